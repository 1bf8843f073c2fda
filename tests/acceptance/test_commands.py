"""What every command tells when all is well."""

import json
import socket
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.models import Status
from tests.acceptance.bridges import Bridge
from tests.acceptance.commands import (
    STOP_SECONDS,
    eventually,
    execute,
    nothing_left,
    run,
    running,
    write_config,
)
from tests.acceptance.conftest import Far

RULES = """
[scheduler]
sweep = "1s"

[[notifications]]
name = "question"
channels = ["slack:#help", "discord:#help"]
when = { question = true }
after = "2s"
unless = ["reply"]
to = ["slack:#oncall", "discord:#oncall"]

[[digests]]
name = "daily"
channels = ["slack:#general"]
every = "1d"
to = ["discord:#digest"]
"""


@pytest.fixture
async def bridge(far: Far, tmp_path: Path) -> AsyncIterator[Bridge]:
    with Bridge(tmp_path, far, RULES) as made:
        yield made


async def test_help_is_there_for_every_command_and_loads_nothing_heavy(tmp_path: Path) -> None:
    code = """
import contextlib, io, sys
from tasks.cli import app
told = io.StringIO()
def commands(group, path):
    for info in group.registered_commands:
        yield [*path, info.name or info.callback.__name__.replace("_", "-")]
    for info in group.registered_groups:
        yield [*path, info.name]
        yield from commands(info.typer_instance, [*path, info.name])
for command in [[], *commands(app, [])]:
    with contextlib.redirect_stdout(told):
        app([*command, "--help"], standalone_mode=False)
print(told.getvalue().count("Usage: "))
heavy = "adapters aiohttp alembic bridge.settings celery discord slack_sdk sqlalchemy".split()
print([name for name in heavy if name in sys.modules])
"""
    result = await execute(sys.executable, "-c", code, folder=tmp_path)
    count, heavy = result.out.splitlines()
    assert int(count) >= 15, result
    assert heavy == "[]"


async def test_check_finds_everything_in_order_and_changes_nothing(
    far: Far, tmp_path: Path
) -> None:
    write_config(tmp_path, RULES, far.accounts)
    result = await run("check", folder=tmp_path)
    assert result.code == 0, result
    assert result.out.splitlines() == [
        f"ok    config {tmp_path}/config.toml",
        "ok    account discord: chatbridge in Workshop, 6 channels",
        "ok    account slack: chatbridge in Stand-in, 6 channels",
        "ok    addresses of all notifications",
        "ok    addresses of all digests",
        (
            f"ok    store sqlite:///{tmp_path}/chatbridge.db: not there yet; "
            "`chatbridge migrate` makes it"
        ),
        "ok    broker embedded",
    ]
    assert not result.err
    assert not (tmp_path / "chatbridge.db").exists()
    await nothing_left(tmp_path)


async def test_check_as_json_is_one_line_of_findings(far: Far, tmp_path: Path) -> None:
    write_config(tmp_path, RULES, far.accounts)
    findings = json.loads((await run("check", "--json", folder=tmp_path)).out)
    assert all(one.keys() == {"ok", "warning", "what"} for one in findings)
    assert all(one["ok"] for one in findings)


async def test_check_refuses_what_this_version_cannot_carry_out(far: Far, tmp_path: Path) -> None:
    later = RULES.replace('unless = ["reply"]', 'unless = ["seen"]\nlimit = "20/h"')
    relay = '[[relays]]\nname = "r"\nchannels = ["slack:#general", "discord:#general"]\n'
    write_config(tmp_path, later + relay, far.accounts)
    result = await run("check", folder=tmp_path)
    wrong = [line for line in result.out.splitlines() if line.startswith("WRONG ")]
    assert result.code == 2
    assert [line.split(": ")[1] for line in wrong] == [
        "notifications[0].unless[0]",
        "notifications[0].limit",
        "relays[0]",
    ]
    assert all("this version cannot carry it out yet" in line for line in wrong)


PRIVATE = """
[[notifications]]
name = "withheld"
channels = ["slack:#secret", "slack:#help"]
to = ["slack:#secret", "discord:#oncall"]

[[notifications]]
name = "kept"
channels = ["slack:#secret"]
to = ["slack:#secret", "dm:author"]

[[notifications]]
name = "allowed"
channels = ["slack:#secret"]
to = ["discord:#oncall"]
allow_private = true
"""


async def test_check_warns_of_a_private_channel_of_which_nothing_would_be_told(
    far: Far, tmp_path: Path
) -> None:
    write_config(tmp_path, PRIVATE, far.accounts)
    result = await run("check", folder=tmp_path)
    assert result.code == 0
    (line,) = [line for line in result.out.splitlines() if line.startswith("warn ")]
    assert "notifications 'withheld': #secret is private" in line
    assert "set allow_private = true" in line


async def test_migrating_twice_changes_nothing_the_second_time(far: Far, tmp_path: Path) -> None:
    write_config(tmp_path, "", far.accounts)
    first, second = [await run("migrate", folder=tmp_path) for _ in range(2)]
    assert (first.code, second.code) == (0, 0)
    assert ": now at " in first.out
    assert ": already at " in second.out
    assert first.err == second.err == ""


async def test_an_empty_bridge_has_facts_as_well(bridge: Bridge) -> None:
    listed = await run("deliveries", "list", folder=bridge.folder)
    assert (listed.code, listed.out) == (0, "no deliveries\n")
    assert json.loads((await run("deliveries", "list", "--json", folder=bridge.folder)).out) == []
    schedules = (await run("schedules", folder=bridge.folder)).out.splitlines()
    assert schedules[0].split() == ["name", "schedule", "last", "next", "result"]
    assert "no scheduler runs" in schedules[1]
    assert schedules[2].startswith("digest daily  every 1d UTC  -")
    assert schedules[2].endswith("not begun")
    status = json.loads((await run("status", "--json", folder=bridge.folder)).out)
    assert (status["messages"], status["owed"], status["leading scheduler"]) == (0, 0, "none")


async def test_deliveries_are_listed_by_what_one_looks_for(bridge: Bridge) -> None:
    async with bridge.up():
        slack = bridge.far.remotes["slack"]
        asked = await slack.post("ada", "help", "Who is answered?")
        await slack.post("grace", "help", "You are.", thread=asked)
        await slack.post("ada", "help", "Who is not?")
        await bridge.tells("slack", "Who is not?")
        await bridge.tells("discord", "Who is not?")

        async def settled() -> bool:
            return (
                len(bridge.deliveries(Status.SENT)) == len(bridge.deliveries(Status.CANCELLED)) == 2
            )

        await eventually(settled)

    async def listed(*options: str) -> list[dict[str, object]]:
        result = await run("deliveries", "list", "--json", *options, folder=bridge.folder)
        found: list[dict[str, object]] = json.loads(result.out)
        return found

    everything = await listed()
    assert [one["id"] for one in everything] == sorted(
        (one["id"] for one in everything), reverse=True
    )
    sent = await listed("--status", "sent")
    assert {one["to"] for one in sent} == {"slack:#oncall", "discord:#oncall"}
    assert {one["about"] for one in sent} == {"Who is not?"}
    (cancelled,) = await listed("--status", "cancelled", "--account", "discord")
    assert cancelled["reason"] == "somebody replied"
    assert len(await listed("--limit", "1")) == 1
    assert len(await listed("--rule", "question")) == 4
    assert await listed("--rule", "nothing") == []
    table = (await run("deliveries", "list", folder=bridge.folder)).out.splitlines()
    assert table[0].split()[:3] == ["id", "status", "kind"]
    assert len(table) == 5
    assert table[0].index("status") == table[1].index(str(everything[0]["status"]))


async def test_the_sections_that_a_standin_prints_are_a_config(tmp_path: Path) -> None:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], two.getsockname()[1]
    options = ("--slack-port", str(ports[0]), "--discord-port", str(ports[1]))
    async with running("standin", *options, folder=tmp_path) as standins:

        async def said() -> bool:
            return standins.output.count("api_url = ") == 2

        await eventually(said)
        (tmp_path / "config.toml").write_text(standins.output)
        accounts = tomllib.loads(standins.output)["accounts"]
        assert f":{ports[0]}/" in accounts["slack"]["api_url"]
        assert f":{ports[1]}/" in accounts["discord"]["api_url"]
        assert (await run("check", folder=tmp_path)).code == 0
        standins.interrupt()
        assert await standins.ended(STOP_SECONDS) == 0


async def test_standins_as_json_are_one_line_and_only_those_that_are_asked_for(
    tmp_path: Path,
) -> None:
    async with running("standin", "--json", "--discord-port", "0", folder=tmp_path) as standins:
        await standins.printed("\n")
        found = json.loads(standins.output)
        assert found.keys() == {"discord"}
        assert found["discord"].keys() == {"url", "account"}
