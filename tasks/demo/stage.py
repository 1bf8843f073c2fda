"""A whole bridge in a folder of its own: stand-ins, listeners, worker, scheduler as processes."""

import asyncio
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import select

from adapters import names
from adapters.standin import Remote
from bridge.errors import BridgeError
from bridge.migrations import upgrade
from bridge.models import Digest, Message
from tasks.processes import Children, celery_worker, die_with_parent, ours
from tasks.standins import section
from tasks.wiring import House, open_house

START_SECONDS = 40.0
STOP_SECONDS = 8.0
STANDINS_STOP_SECONDS = 1.5
REHEARSAL = "rehearsal"
_TAIL = 6000


@dataclass(frozen=True, slots=True)
class Stage:
    """The running house: its config, the far sides by platform, and where its log is.

    `rehearsal` holds the ids of the channels in which it was tried out before it was handed over.
    """

    house: House
    remotes: Mapping[str, Remote]
    log: Path
    children: Children
    rehearsal: frozenset[str] = frozenset()

    @property
    def platforms(self) -> tuple[str, ...]:
        """The names of the stand-ins, which are the accounts' names as well."""
        return tuple(self.remotes)

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-_TAIL:] if self.log.exists() else ""

    def keep_going(self) -> None:
        """Start again what died. Raises BridgeError for a process that cannot run at all."""
        if name := self.children.refused():
            raise BridgeError(f"the {name} process ended; the log ends with:\n{self.tail()}")


@contextlib.asynccontextmanager
async def stage(rules: Callable[[tuple[str, ...]], str]) -> AsyncIterator[Stage]:
    """Set everything up in a temporary folder; at the end nothing of it is left.

    `rules` gets the platforms' names and returns what config.toml says below the accounts.
    """
    with tempfile.TemporaryDirectory(prefix="chatbridge-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "config.toml"
        standins, found = _start_standins()
        children = Children(path, output=path.with_name("chatbridge.log"))
        try:
            accounts = "\n".join(section(name, one["account"]) for name, one in found.items())
            path.write_text(f"{accounts}\n{rules(tuple(found))}")
            async with contextlib.AsyncExitStack() as stack:
                remotes = {
                    name: await stack.enter_async_context(Remote(one["url"]))
                    for name, one in found.items()
                }
                house, log = open_house(str(path)), path.with_name("chatbridge.log")
                rehearsal = [
                    await one.act("channel", channel=REHEARSAL) for one in remotes.values()
                ]
                built = Stage(house, remotes, log, children, frozenset(rehearsal))
                await _start(built)
                yield built
        finally:
            await asyncio.to_thread(_end, children, standins)


async def _start(built: Stage) -> None:
    """Start every process and wait until all of them have worked."""
    upgrade(built.house.store)
    built.children.add("listen", *ours("listen"))
    built.children.add("worker", *celery_worker("info"))
    built.children.add("scheduler", *ours("scheduler"))
    end = time.monotonic() + START_SECONDS
    while deaf := await asyncio.to_thread(_deaf, built):
        if time.monotonic() > end:
            why = f"not ready after {START_SECONDS:.0f} s"
            raise BridgeError(f"{why}; the log ends with:\n{built.tail()}")
        for name in deaf & built.remotes.keys():
            await built.remotes[name].post("ada", REHEARSAL, "Can you hear me?")
        for _ in range(10):
            built.keep_going()
            await asyncio.sleep(0.1)
            if not await asyncio.to_thread(_deaf, built):
                return


def _deaf(built: Stage) -> set[str]:
    """What has not worked yet: accounts that heard nothing so far, digests not begun."""
    with built.house.store.reading() as session:
        heard = session.exec(select(Message.account).distinct()).all()
        begun = session.exec(select(Digest.name)).all()
    digests = {f"digest {one.name}" for one in built.house.settings.digests}
    return (built.house.accounts.keys() - heard) | (digests - {f"digest {one}" for one in begun})


def _start_standins() -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """Their process and, by platform, the url and the account of each. Call in the main thread."""
    command = [*ours("standin", "--json"), *(f"--{name}-port=0" for name in names())]
    process = subprocess.Popen(  # noqa: S603
        command,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  (no threads touch what it uses)
    )
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        process.wait()
        raise BridgeError("the stand-ins did not start; try `chatbridge standin`")
    return process, json.loads(line)


def _end(children: Children, standins: subprocess.Popen[bytes]) -> None:
    """Stop everything; the stand-ins last, so that what is being sent arrives."""
    children.stop(STOP_SECONDS)
    standins.terminate()
    try:
        standins.wait(STANDINS_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        standins.kill()
        standins.wait()
    if standins.stdout:
        standins.stdout.close()
