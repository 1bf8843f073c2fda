"""Our own processes, and a supervisor that starts again whatever dies."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.processes import celery_worker, die_with_parent, ours
from tasks.wiring import CONFIG_VARIABLE
from tests.integration.servers import alive_in

PAUSE_SECONDS = 0.5
"""Before whoever ended without being killed by us is started again."""
STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.1


@dataclass(slots=True)
class Member:
    """A process that should always be running. `inner`: the one to hit is its child."""

    name: str
    command: Sequence[str]
    inner: bool = False
    process: subprocess.Popen[bytes] | None = None
    again_at: float = 0.0


class Crew:
    """Starts, kills, stops and starts again. Use from the main thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._members: dict[str, Member] = {}
        self._stopped: set[int] = set()
        self.ended: list[str] = []

    def join(self, name: str, command: Sequence[str], *, inner: bool = False) -> None:
        """Start a process and keep it running."""
        self._members[name] = Member(name, command, inner)
        self._start(self._members[name])

    def pids(self) -> dict[str, int]:
        """The processes that run, by name; of a supervised one the one that works."""
        found = {name: self.pid(name) for name in self._members}
        return {name: pid for name, pid in found.items() if pid is not None}

    def pid(self, name: str) -> int | None:
        """Whom to hit."""
        process = self._members[name].process
        if process is None or process.poll() is not None:
            return None
        return _child_of(process.pid) if self._members[name].inner else process.pid

    def kill(self, name: str, seconds: float) -> bool:
        """kill -9, to be started again so many seconds later; False when it is down already."""
        pid = self.pid(name)
        if pid is None:
            return False
        self._signal(pid, signal.SIGKILL)
        self._stopped.discard(pid)
        self._members[name].again_at = time.monotonic() + seconds
        return True

    async def stop(self, pid: int | None, seconds: float) -> bool:
        """Let a process stand still for a while."""
        if pid is None or pid in self._stopped:
            return False
        self._stopped.add(pid)
        try:
            self._signal(pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
        finally:
            if pid in self._stopped:
                self._stopped.discard(pid)
                self._signal(pid, signal.SIGCONT)
        return True

    async def supervise(self) -> None:
        """Start again what died, until cancelled."""
        while True:
            for member in self._members.values():
                self._look(member)
            await asyncio.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """End all of them, and whatever else works in our folder."""
        for pid in self._stopped:
            self._signal(pid, signal.SIGCONT)
        running = [one.process for one in self._members.values() if one.process]
        for process in running:
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(end - time.monotonic(), 0.1))
        for process in running:
            process.kill()
            process.wait()

    def _look(self, member: Member) -> None:
        now = time.monotonic()
        if member.process is not None and member.process.poll() is not None:
            code, member.process = member.process.returncode, None
            if member.again_at < now - STOP_SECONDS:  # nobody killed it
                member.again_at = now + PAUSE_SECONDS
                self.ended.append(f"{member.name} ended by itself with {code}")
        if member.process is None and now >= member.again_at:
            self._start(member)

    def _start(self, member: Member) -> None:
        with (self._folder / f"{member.name}.log").open("ab") as sink:
            member.process = subprocess.Popen(
                member.command,
                env={**os.environ, CONFIG_VARIABLE: str(self._folder / "config.toml")},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads touch what it uses
            )
        member.again_at = 0.0

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def muster(crew: Crew) -> None:
    """Start what a run begins with: two of each."""
    crew.join("listener-1", ours("listen"))
    crew.join("listener-2", ours("listen"))
    crew.join("worker-1", celery_worker("info"))
    crew.join("worker-2", ours("worker"), inner=True)
    crew.join("scheduler-1", ours("scheduler"))
    crew.join("scheduler-2", ours("scheduler"))


def sweep_up(folder: Path) -> list[str]:
    """Kill every process that still works in a folder; says which there were."""
    left = alive_in(folder)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return list(left.values())


def _child_of(pid: int) -> int | None:
    """The first child of a process."""
    with contextlib.suppress(OSError, ValueError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None
