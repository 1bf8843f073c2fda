"""A whole bridge as real processes on real servers, with the platforms' stand-ins beside it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlmodel import func, select

from adapters import load, names
from adapters.standin import Remote
from bridge.migrations import upgrade
from bridge.models import Delivery, Message, Status, Worker
from bridge.store import Store
from tasks.standins import section
from tasks.wiring import open_house
from tests.integration.servers import alive_in

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 10.0
"""Everything of ours ends within this after Ctrl-C or SIGTERM."""


@dataclass
class House:
    """The folder of config.toml, the stand-ins by platform, and the processes started so far."""

    folder: Path
    remotes: Mapping[str, Remote]
    store: Store
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """What all processes printed."""
        path = self.folder / "output.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, name: str, *command: str) -> None:
        """Run one of our commands (or any, given whole) until it is stopped."""
        whole = command or (sys.executable, "-m", "tasks.cli", name)
        with (self.folder / "output.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                whole,
                cwd=ROOT,
                env=os.environ | {"CHATBRIDGE_CONFIG": str(self.folder / "config.toml")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask a process to end; returns how many seconds it took and asserts that it went well."""
        process = self.processes.pop(name)
        began = time.monotonic()
        process.send_signal(number)
        await asyncio.to_thread(process.wait, STOP_SECONDS + 5)
        took = time.monotonic() - began
        assert process.returncode == 0, self.log[-3000:]
        return took

    def ask(self, *command: str) -> Any:
        """What one of our commands says with --json."""
        whole = [sys.executable, "-m", "tasks.cli", *command, "--json"]
        config = ["--config", str(self.folder / "config.toml")]
        ended = subprocess.run([*whole, *config], cwd=ROOT, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr.decode()
        return json.loads(ended.stdout)

    async def until(
        self, met: Callable[[], Awaitable[Any] | Any], what: str, seconds: float = START_SECONDS
    ) -> Any:
        """Wait for a condition, plain or async; a process that ends meanwhile is an error."""
        end = time.monotonic() + seconds
        while True:
            found = met()
            found = await found if isinstance(found, Awaitable) else found
            if found:
                return found
            ended = [name for name, one in self.processes.items() if one.poll() is not None]
            assert not ended, f"{ended} ended:\n{self.log[-4000:]}"
            assert time.monotonic() < end, f"not within {seconds:g} s: {what}\n{self.log[-4000:]}"
            await asyncio.sleep(0.05)

    def alive(self, role: str) -> bool:
        """Whether a worker or a scheduler has joined."""
        with self.store.reading() as session:
            return bool(session.exec(select(Worker.id).where(Worker.role == role)).first())

    async def listening(self) -> bool:
        """Whether the listeners hear what is said on every platform; something is said to see."""
        for remote in self.remotes.values():
            await remote.post("linus", "general", "Can you hear me")
        await asyncio.sleep(0.2)
        with self.store.reading() as session:
            heard = session.exec(select(Message.account).distinct()).all()
        return set(heard) == set(self.remotes)

    async def ready(self, *roles: str) -> None:
        """Wait until the listeners hear, and a process of each of these roles has joined."""
        await self.until(self.listening, "the listeners hear")
        for role in roles:
            await self.until(lambda role=role: self.alive(role), f"a {role} lives")

    def stored(self, *texts: str) -> bool:
        """Whether messages with these texts are there."""
        with self.store.reading() as session:
            there = set(session.exec(select(Message.text)))
        return there.issuperset(texts)

    def count(self, status: Status) -> int:
        """Deliveries of this status."""
        with self.store.reading() as session:
            rows = select(func.count()).select_from(Delivery).where(Delivery.status == status)
            return session.exec(rows).one()


@contextlib.asynccontextmanager
async def house(folder: Path, rules: Callable[[tuple[str, ...]], str]) -> AsyncIterator[House]:
    """A migrated house without any process yet; asserts at the end that no process is left.

    `rules` gets the accounts' names, which are the platforms', and returns the rest of the config.
    """
    async with contextlib.AsyncExitStack() as stack:
        sections, remotes = [], {}
        for name in names():
            standin = await load(name).standin(0)
            stack.push_async_callback(standin.stop)
            sections.append(section(name, standin.account()))
            remotes[name] = await stack.enter_async_context(Remote(standin.url))
        path = folder / "config.toml"
        path.write_text(rules(tuple(remotes)) + "\n" + "\n".join(sections))
        store = open_house(str(path)).store
        stack.callback(store.close)
        upgrade(store)
        built = House(folder, remotes, store)
        try:
            yield built
        finally:
            for process in built.processes.values():
                process.terminate()
            for process in built.processes.values():
                await asyncio.to_thread(process.wait, STOP_SECONDS + 5)
        await built.until(lambda: not alive_in(folder), f"{alive_in(folder)} ends", STOP_SECONDS)
