"""Child processes under supervision: started again when they die, all gone when we go."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from tasks.wiring import CONFIG_VARIABLE, WRONG_USE

STOP_SECONDS = 9.0
"""So long children may take to end; we promise 10 seconds in all."""
_LOOK_SECONDS = 0.2
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 30.0
_SET_PARENT_DEATH_SIGNAL = 1

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Child:
    """One command that should always be running."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    failures: int = 0
    again_at: float = 0.0
    proven: bool = False


@dataclass(slots=True)
class Children:
    """Several commands, run with the same config. `output` takes what they print (None: ours)."""

    config: Path
    output: Path | None = None
    children: list[Child] = field(default_factory=list)

    def add(self, name: str, *command: str) -> Child:
        """Start a command and keep it running."""
        child = Child(name, command)
        self.children.append(child)
        self._start(child)
        return child

    def watch(self, until: threading.Event) -> int:
        """Start again what dies, until the event is set; returns an exit code.

        A child that refuses its config from the beginning ends everything with its code. One that
        has worked before meets something passing, such as a store that is away: it tries again.
        """
        while not until.wait(_LOOK_SECONDS):
            if self.refused():
                return WRONG_USE
        return 0

    def refused(self) -> str:
        """Start again what died, once; the name of a child that refuses its config, or ""."""
        return next((child.name for child in self.children if self._refused(child)), "")

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End all of them: asked first, killed when the time is over."""
        running = [child.process for child in self.children if child.process]
        for process in running:
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + seconds
        for process in running:
            try:
                process.wait(max(end - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _refused(self, child: Child) -> bool:
        if child.process is None:
            if time.monotonic() >= child.again_at:
                self._start(child)
            return False
        code = child.process.poll()
        steady = time.monotonic() - child.began > _STEADY_SECONDS
        child.proven = child.proven or steady
        if code is None:
            return False
        if code == WRONG_USE and not child.proven:
            return True
        child.failures = 1 if steady else child.failures + 1
        pause = min(0.5 * 2.0 ** (child.failures - 1), _LONGEST_PAUSE)
        log.warning("process ended", process=child.name, code=code, again_in=pause)
        child.process, child.again_at = None, time.monotonic() + pause
        return False

    def _start(self, child: Child) -> None:
        child.began = time.monotonic()
        sink = self.output.open("ab") if self.output else None
        try:
            # a session of its own: Ctrl-C reaches us alone, and we ask each child once
            child.process = subprocess.Popen(  # noqa: S603
                child.command,
                env={**os.environ, CONFIG_VARIABLE: str(self.config)},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  (no threads touch what it uses)
            )
        finally:
            if sink:
                sink.close()


def ours(*arguments: str) -> tuple[str, ...]:
    """The command line of one of our own commands."""
    return (sys.executable, "-m", "tasks.cli", *arguments)


def celery_worker(level: str) -> tuple[str, ...]:
    """The command line of a Celery worker with our defaults."""
    options = ("--loglevel", level, "--without-gossip", "--without-mingle", "--without-heartbeat")
    # Celery's eight lines about root are about pickled messages, which we do not take
    python = (sys.executable, "-W", "ignore:You're running the worker with superuser")
    return (*python, "-m", "celery", "--app", "tasks", "--quiet", "worker", *options)


def supervise(config: Path, commands: Mapping[str, Sequence[str]]) -> int:
    """Keep these commands running until Ctrl-C or SIGTERM; returns an exit code."""
    stop = stop_signals()
    children = Children(config)
    try:
        for name, command in commands.items():
            children.add(name, *command)
        return children.watch(stop)
    finally:
        children.stop()


def run_until_stopped(work: Coroutine[Any, Any, int | None], *, interrupted: int = 0) -> int:
    """Run a coroutine to its end (its code, else 0), or to Ctrl-C or SIGTERM (`interrupted`)."""
    return asyncio.run(_until_stopped(work, interrupted))


async def _until_stopped(work: Coroutine[Any, Any, int | None], interrupted: int) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            return await task or 0
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
    return interrupted


def stop_signals() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set. Call in the main thread."""
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: event.set())
    return event


def die_with_parent() -> None:
    """In a new child: ask the kernel to end it when its parent is killed, where it can (Linux).

    The kernel takes the thread that started it for the parent: start children in the main thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
