"""A whole bridge for a run: stand-ins, servers, config and channels; our processes on top."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sqlmodel import select

from adapters import names
from adapters.standin import Remote
from bridge.errors import StoreError
from bridge.migrations import upgrade
from bridge.models import Digest, Message, Worker
from tasks.processes import die_with_parent, ours
from tasks.standins import section
from tasks.wiring import House, open_house
from tests.chaos.crew import Crew, muster, sweep_up
from tests.chaos.plan import KEYWORDS, WAIT_SECONDS, Plan, other
from tests.chaos.servers import Server, servers

HISTORY_LAG = 2.0
REHEARSAL = "rehearsal"
TICK = "white_check_mark"
_READY_SECONDS = 60.0

Accounts: TypeAlias = Mapping[str, Mapping[str, Any]]
"""What the stand-ins say of themselves, by platform: `url` and `account`."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a run acts on."""

    folder: Path
    house: House
    remotes: Mapping[str, Remote]
    crew: Crew
    store: Server
    broker: Server


@contextlib.asynccontextmanager
async def stage(plan: Plan, pair: str, *, keep: bool = False) -> AsyncIterator[Stage]:
    """Set everything up in a temporary folder. At the end nothing is left, but for what `keep`s."""
    folder = Path(tempfile.mkdtemp(prefix="chatbridge-chaos-"))
    crew = Crew(folder)
    try:
        async with contextlib.AsyncExitStack() as stack:
            accounts = stack.enter_context(_standins())
            remotes = {
                name: await stack.enter_async_context(Remote(one["url"]))
                for name, one in accounts.items()
            }
            for remote in remotes.values():
                await _furnish(remote, plan)
            store, broker = stack.enter_context(servers(pair, folder))
            config = folder / "config.toml"
            config.write_text(_config(plan, accounts, store.url, broker.url))
            house = open_house(str(config))
            stack.callback(house.store.close)
            upgrade(house.store)
            stack.callback(crew.close)
            muster(crew)
            built = Stage(folder, house, remotes, crew, store, broker)
            await _ready(built)
            yield built
    finally:
        sweep_up(folder)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _standins() -> Iterator[Accounts]:
    """The judges, in a process of their own that nobody kills."""
    command = [*ours("standin", "--json"), *(f"--{name}-port=0" for name in names())]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads touch what it uses
    )
    assert process.stdout
    with process.stdout:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.wait()


async def _furnish(remote: Remote, plan: Plan) -> None:
    await remote.knobs(limits=True, history_lag=HISTORY_LAG)
    for channel in (*plan.channels, REHEARSAL):
        await remote.act("channel", channel=channel)


def _config(plan: Plan, accounts: Accounts, store: str, broker: str) -> str:
    """Every channel tells the channel of the same name on the other platform."""
    sections = [section(name, one["account"]) for name, one in accounts.items()]
    sections.append(f'[store]\nurl = "{store}"\n[broker]\nurl = "{broker}"\n')
    for platform in plan.platforms:
        to = other(plan.platforms, platform)
        for channel in plan.channels:
            sections += [
                _rule(kind, f"{platform}:#{channel}", f"{to}:#{channel}")
                for kind in ("urgent", "waiting")
            ]
    first = plan.channels[0]
    everywhere = ", ".join(f'"{name}:#{first}"' for name in plan.platforms)
    digests = ", ".join(f'"{name}:#digest"' for name in plan.platforms)
    sections.append(
        f'[[digests]]\nname = "news"\nchannels = [{everywhere}]\nto = [{digests}]\n'
        f'every = "{plan.size.window}s"\ncatch_up = "all"\nsections = ["numbers", "threads"]\n'
    )
    return "\n".join(sections)


def _rule(kind: str, source: str, target: str) -> str:
    after = f"{WAIT_SECONDS:g}s" if kind == "waiting" else "0s"
    unless = f'unless = ["reply", "reaction:{TICK}"]\n' if kind == "waiting" else ""
    return (
        f'[[notifications]]\nname = "{kind} {source}"\nchannels = ["{source}"]\n'
        f'when = {{ keywords = ["{KEYWORDS[kind]}"] }}\nafter = "{after}"\n{unless}'
        f'to = ["{target}"]\ntext = "{{author}} in {{channel}}: {{excerpt}} {{link}}"\n'
    )


async def _ready(built: Stage) -> None:
    """Wait until everybody lives and hears."""
    supervising = asyncio.create_task(built.crew.supervise())
    try:
        end = time.monotonic() + _READY_SECONDS
        while missing := await asyncio.to_thread(_missing, built):
            if time.monotonic() > end:
                raise RuntimeError(f"not ready after {_READY_SECONDS:g} s: {sorted(missing)}")
            for name in missing & built.remotes.keys():
                await built.remotes[name].post("ada", REHEARSAL, "Can you hear me?")
            await asyncio.sleep(0.5)
    finally:
        supervising.cancel()


def _missing(built: Stage) -> set[str]:
    """Who has not worked yet."""
    try:
        with built.house.store.reading() as session:
            heard = set(session.exec(select(Message.account).distinct()))
            begun = {f"digest {name}" for name in session.exec(select(Digest.name))}
            roles = list(session.exec(select(Worker.role)))
    except StoreError:
        return {"store"}
    few = {role for role in ("worker", "scheduler") if roles.count(role) < 2}
    return (built.house.accounts.keys() - heard) | ({"digest news"} - begun) | few
