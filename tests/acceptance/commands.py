"""Our commands as processes of their own, the way people run them."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.migrations import upgrade
from bridge.store import Store
from tasks.standins import section

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds that anything may take on a busy machine before a test gives up."""
STOP_SECONDS = 15.0
"""So long a command may take to end: the 10 s that are promised, and some for a busy machine."""

Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        return self.err.splitlines()


def environment(extra: Environment | None = None) -> dict[str, str]:
    """Ours, without anything that a developer's shell may say about accounts."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CHATBRIDGE")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(extra or {})}


def chatbridge(*arguments: str) -> tuple[str, ...]:
    """The command line of one of our commands."""
    return (sys.executable, "-m", "tasks.cli", *arguments)


async def run(*arguments: str, folder: Path, env: Environment | None = None) -> Result:
    """Run a command in a folder to its end."""
    return await execute(*chatbridge(*arguments), folder=folder, env=env)


async def execute(*command: str, folder: Path, env: Environment | None = None) -> Result:
    """Run any command in a folder to its end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    return Result(process.returncode or 0, out.decode(), err.decode())


class Running:
    """A command that goes on until it is told to end."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to it alone."""
        self.process.send_signal(number)

    def interrupt(self) -> None:
        """What a terminal does on Ctrl-C: SIGINT to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    async def ended(self, within: float = PATIENCE) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return await asyncio.wait_for(self.process.wait(), within)
        except TimeoutError:
            raise AssertionError(f"still running after {within} s:\n{self.output}") from None

    async def printed(self, text: str) -> None:
        """Wait until it has printed a text."""
        await self.shows(re.escape(text))

    async def shows(self, pattern: str) -> None:
        """Wait until it has printed something that fits a pattern."""

        async def there() -> bool:
            ended = self.process.returncode is not None
            found = re.search(pattern, self.output) is not None
            assert found or not ended, f"ended without {pattern!r}:\n{self.output}"
            return found

        await eventually(there, f"{pattern!r} in {self.log}")


@contextlib.asynccontextmanager
async def running(
    *arguments: str, folder: Path, env: Environment | None = None
) -> AsyncIterator[Running]:
    """A command of ours that runs beside the test; at the end nothing of it is left."""
    async with beside(*chatbridge(*arguments), folder=folder, env=env) as command:
        yield command


@contextlib.asynccontextmanager
async def beside(
    *command: str, folder: Path, env: Environment | None = None
) -> AsyncIterator[Running]:
    """Any command that runs beside the test; at the end nothing of it is left."""
    log = folder / f"output-{time.monotonic_ns()}.log"
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield Running(process, log)
    finally:
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 2 * STOP_SECONDS)
        for pid in processes_of(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def nothing_left(folder: Path) -> None:
    """Wait until no process works for this folder any more."""

    async def gone() -> bool:
        return not processes_of(folder)

    await eventually(gone, f"nothing left of {processes_of(folder)}", STOP_SECONDS)


async def eventually(
    condition: Callable[[], Awaitable[Any]], what: str = "", within: float = PATIENCE
) -> Any:
    """Wait until a condition holds; returns what it returned."""
    end = time.monotonic() + within
    while not (found := await condition()):
        assert time.monotonic() < end, f"not within {within} s: {what or condition.__name__}"
        await asyncio.sleep(0.05)
    return found


def processes_of(folder: Path) -> dict[int, str]:
    """The command lines of all processes that work for a config in this folder (Linux)."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            ours = f"CHATBRIDGE_CONFIG={folder}/".encode() in (each / "environ").read_bytes()
            if line and int(each.name) != os.getpid() and (ours or str(folder) in line):
                found[int(each.name)] = line.strip()
    return found


def migrate(folder: Path) -> None:
    """Make the store of a config in this folder, without a process."""
    store = Store(f"sqlite:///{folder / 'chatbridge.db'}")
    upgrade(store)
    store.close()


def write_config(folder: Path, text: str, accounts: Mapping[str, Mapping[str, str]]) -> Path:
    """A config.toml in this folder: sections of accounts, then the text."""
    sections = "\n".join(section(name, account) for name, account in accounts.items())
    path = folder / "config.toml"
    path.write_text(f"{sections}\n{text}")
    return path
