"""A whole bridge in a folder of its own: stand-ins, listeners, worker and scheduler as processes."""

import asyncio
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import select

from adapters import names
from adapters.standin import Remote
from bridge.errors import BridgeError
from bridge.migrations import upgrade
from bridge.models import Account, Digest
from tasks.processes import Children, celery_worker, ours
from tasks.standins import section
from tasks.wiring import House, open_house

START_SECONDS = 40.0
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Stage:
    """The running house: its config, the far sides by platform, and where its log is."""

    house: House
    remotes: Mapping[str, Remote]
    log: Path
    children: Children

    @property
    def platforms(self) -> tuple[str, ...]:
        """The names of the stand-ins, which are the accounts' names as well."""
        return tuple(self.remotes)


@contextlib.asynccontextmanager
async def stage(rules: Callable[[tuple[str, ...]], str]) -> AsyncIterator[Stage]:
    """Set everything up in a temporary folder; at the end nothing of it is left.

    `rules` gets the platforms' names and returns what config.toml says below the accounts.
    """
    with tempfile.TemporaryDirectory(prefix="chatbridge-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "config.toml"
        log = Path(folder) / "chatbridge.log"
        standins = await asyncio.to_thread(_start_standins)
        children = Children(path, output=log)
        try:
            accounts = "\n".join(section(n, one["account"]) for n, one in standins[1].items())
            path.write_text(f"{accounts}\n{rules(tuple(standins[1]))}")
            house = open_house(str(path))
            upgrade(house.store)
            async with contextlib.AsyncExitStack() as stack:
                remotes = {
                    name: await stack.enter_async_context(Remote(one["url"]))
                    for name, one in standins[1].items()
                }
                children.add("listen", *ours("listen"))
                children.add("worker", *celery_worker("info"))
                children.add("scheduler", *ours("scheduler"))
                built = Stage(house, remotes, log, children)
                await _all_there(built)
                yield built
        finally:
            await asyncio.to_thread(children.stop, STOP_SECONDS)
            await asyncio.to_thread(_end, standins[0])


def _start_standins() -> tuple[subprocess.Popen[bytes], dict[str, dict[str, object]]]:
    command = [*ours("standin", "--json"), *(f"--{name}-port=0" for name in names())]
    process = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    )
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        raise BridgeError("the stand-ins did not start; try `chatbridge standin`")
    return process, json.loads(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


async def _all_there(built: Stage) -> None:
    """Wait until the listeners hear: a message posted on each platform must arrive."""
    end = time.monotonic() + START_SECONDS
    while not await asyncio.to_thread(_ready, built.house):
        if time.monotonic() > end:
            tail = built.log.read_text(errors="replace")[-3000:] if built.log.exists() else ""
            raise BridgeError(f"not ready after {START_SECONDS:.0f} s; the log ends with:\n{tail}")
        for child in built.children.children:
            if child.process and child.process.poll() is not None:
                tail = built.log.read_text(errors="replace")[-3000:]
                raise BridgeError(f"the {child.name} process ended; the log ends with:\n{tail}")
        await asyncio.sleep(0.1)


def _ready(house: House) -> bool:
    """Whether every account is known and every digest has begun: all processes have worked."""
    with house.store.reading() as session:
        accounts = len(session.exec(select(Account)).all())
        digests = len(session.exec(select(Digest)).all())
    return accounts == len(house.accounts) and digests == len(house.settings.digests)
