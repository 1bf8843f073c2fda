"""`up` and its parts from start to end: stopped, killed, and started again."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.models import Status
from tests.acceptance.bridges import Bridge
from tests.acceptance.commands import (
    STOP_SECONDS,
    beside,
    eventually,
    nothing_left,
    processes_of,
    run,
    running,
)
from tests.acceptance.conftest import Far

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")

RULES = """
[scheduler]
sweep = "1s"

[[notifications]]
name = "soon"
channels = ["slack:#general", "discord:#general"]
after = "1s"
to = ["slack:#oncall", "discord:#oncall"]

[[notifications]]
name = "later"
channels = ["slack:#help", "discord:#help"]
after = "20s"
unless = ["reply"]
to = ["slack:#oncall", "discord:#oncall"]
"""
ACCOUNTS = ("slack", "discord")


@pytest.fixture
async def bridge(far: Far, tmp_path: Path) -> AsyncIterator[Bridge]:
    with Bridge(tmp_path, far, RULES) as made:
        yield made


async def brokers(bridge: Bridge) -> list[int]:
    """The embedded broker; it rewrites its command line, so its own file tells."""
    pid_file = bridge.folder / ".chatbridge" / "broker" / "valkey.pid"
    return [int(pid_file.read_text())] if pid_file.exists() else []


async def all_parts(bridge: Bridge) -> bool:
    return len(processes_of(bridge.folder)) >= 3


async def told_once(bridge: Bridge, text: str) -> None:
    """A text arrives in #oncall of every platform, and nowhere twice."""
    for account in ACCOUNTS:
        await bridge.tells(account, text)
    for account in ACCOUNTS:
        told = [one.text for one in await bridge.told(account)]
        assert sum(text in one for one in told) == 1, told


async def test_what_was_owed_at_the_end_goes_out_once_at_the_next_start(bridge: Bridge) -> None:
    async with bridge.up() as up:
        for account in ACCOUNTS:
            await bridge.far.remotes[account].post("ada", "help", f"Asked on {account}.")
            await bridge.stored(f"Asked on {account}.")
        up.interrupt()
        assert await up.ended(STOP_SECONDS) == 0
        assert not processes_of(bridge.folder)
        assert "Traceback" not in up.output
    assert len(bridge.deliveries(Status.OWED)) == 4
    assert not [one for account in ACCOUNTS for one in await bridge.told(account)]
    async with bridge.up():
        for account in ACCOUNTS:
            await told_once(bridge, f"Asked on {account}.")

        async def settled() -> bool:
            return len(bridge.deliveries(Status.SENT)) == 4

        await eventually(settled)
        for account in ACCOUNTS:
            assert len(await bridge.told(account)) == 2


async def test_sigterm_ends_it_in_good_order(bridge: Bridge) -> None:
    async with bridge.up() as up:
        up.signal(signal.SIGTERM)
        assert await up.ended(STOP_SECONDS) == 0
        assert not processes_of(bridge.folder)
        assert "Traceback" not in up.output


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
async def test_it_ends_as_well_before_everything_has_started(how: str, bridge: Bridge) -> None:
    async with running("up", folder=bridge.folder) as up:

        async def begun() -> bool:
            return len(processes_of(bridge.folder)) > 1

        await eventually(begun)
        up.interrupt() if how == "Ctrl-C" else up.signal(signal.SIGTERM)
        assert await up.ended(STOP_SECONDS) in {0, 130}
        await nothing_left(bridge.folder)
        assert "Traceback" not in up.output


async def test_a_child_that_is_killed_is_started_again(bridge: Bridge) -> None:
    async with bridge.up() as up:
        for number, part in enumerate(("celery", "scheduler", "listen")):
            for pid, line in processes_of(bridge.folder).items():
                if part in line and pid != up.process.pid:
                    os.kill(pid, signal.SIGKILL)
            await up.printed(f"process={'worker' if part == 'celery' else part}")
            await bridge.hears(*ACCOUNTS)
            await bridge.far.remotes["slack"].post("ada", "general", f"After kill {number}.")
            await told_once(bridge, f"After kill {number}.")


async def test_the_embedded_broker_that_is_killed_is_started_again(bridge: Bridge) -> None:
    async with bridge.up():
        (server,) = await eventually(lambda: brokers(bridge), "the broker runs")
        os.kill(server, signal.SIGKILL)
        await bridge.far.remotes["discord"].post("ada", "general", "After the broker.")
        await told_once(bridge, "After the broker.")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of it")
async def test_nobody_goes_on_when_up_itself_is_killed(bridge: Bridge) -> None:
    async with bridge.up() as up:
        await eventually(lambda: all_parts(bridge), "all parts run")
        up.signal(signal.SIGKILL)
        await up.ended()
        await nothing_left(bridge.folder)


async def test_listening_to_one_account_takes_in_nothing_of_the_other(bridge: Bridge) -> None:
    async with bridge.up("slack") as listen:
        await bridge.far.remotes["discord"].post("ada", "general", "Nobody listens here.")
        await bridge.far.remotes["slack"].post("ada", "general", "Somebody listens here.")
        await bridge.stored("Somebody listens here.")
        assert bridge.said() == ["Somebody listens here."]
        listen.interrupt()
        assert await listen.ended(STOP_SECONDS) == 0
        await nothing_left(bridge.folder)


@pytest.mark.parametrize("ours", [True, False], ids=["chatbridge worker", "celery -A tasks worker"])
async def test_the_parts_work_as_processes_of_their_own(ours: bool, bridge: Bridge) -> None:
    celery = (sys.executable, "-m", "celery", "-A", "tasks", "worker", "-l", "info")
    worker = (
        running("worker", folder=bridge.folder) if ours else beside(*celery, folder=bridge.folder)
    )
    async with (
        bridge.up(*ACCOUNTS) as listen,
        worker as work,
        running("scheduler", folder=bridge.folder) as clock,
    ):
        await bridge.far.remotes["slack"].post("ada", "general", "Three processes.")
        await told_once(bridge, "Three processes.")
        for part in (listen, work, clock):
            part.signal(signal.SIGTERM)
        for part in (listen, work, clock):
            assert await part.ended(STOP_SECONDS) == 0, part.output
            assert "Traceback" not in part.output
        await nothing_left(bridge.folder)


async def test_status_tells_who_is_alive(bridge: Bridge) -> None:
    async with bridge.up():
        await bridge.far.remotes["slack"].post("ada", "general", "Wake the worker.")
        await told_once(bridge, "Wake the worker.")
        result = await run("status", folder=bridge.folder)
        facts = dict(line.split("  ", 1) for line in result.out.splitlines())
        assert facts["workers"].strip() == "1"
        assert facts["schedulers"].strip() == "1"
        assert "(process " in facts["leading scheduler"]
