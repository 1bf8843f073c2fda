"""Child processes under supervision: started again when they die, all gone when we go."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tasks.wiring import CONFIG_VARIABLE

USAGE = 2
"""Exit code of a child whose config is wrong: starting it again would not help."""
STOP_SECONDS = 10.0
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

        A child that refuses its config ends everything with its code.
        """
        while not until.wait(0.2):
            for child in self.children:
                if self._refused(child):
                    return USAGE
        return 0

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
        if code is None:
            return False
        if code == USAGE:
            return True
        steady = time.monotonic() - child.began > _STEADY_SECONDS
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
                preexec_fn=_die_with_parent,  # noqa: PLW1509  (no threads touch what it uses)
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
    return (sys.executable, "-m", "celery", "--app", "tasks", "--quiet", "worker", *options)


def stop_signals() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set. Call in the main thread."""
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: event.set())
    return event


def _die_with_parent() -> None:
    """Ask the kernel to end this child when its parent is killed, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
