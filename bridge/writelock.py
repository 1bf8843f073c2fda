"""One writer at a time over all threads and processes that use a SQLite file."""

import contextlib
import fcntl
import os
import threading
from pathlib import Path
from typing import IO

from bridge.errors import StoreError

PATIENCE_SECONDS = 30.0
"""So long a transaction waits for others to end theirs."""


class WriteLock:
    """A context manager; enters within `patience` seconds or raises StoreError.

    SQLite's own busy handler sleeps up to 100 ms between looks; a blocking flock wakes at once.
    """

    def __init__(self, database: str | None, patience: float = PATIENCE_SECONDS) -> None:
        kept = database and database != ":memory:"
        self._path = Path(f"{database}.lock") if kept else None
        self._patience = patience
        self._threads = threading.RLock()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> None:
        if not self._threads.acquire(timeout=self._patience):
            raise self._waited("another thread of this process")
        try:
            if self._path:
                self._lock(self._path)
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            if self._file:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Give back the file. Safe to call twice."""
        with self._threads:
            if self._file:
                self._file.close()
                self._file = None

    def _lock(self, path: Path) -> None:
        file = self._file or self._opened(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            self._file = None  # what is waited for in vain must not be ours later
            file = self._wait(path)
        self._file = file

    def _wait(self, path: Path) -> IO[bytes]:
        """The file, locked. Nothing ends a blocking flock, so a thread of its own waits in it."""
        waiting = _Waiting(self._opened(path))
        threading.Thread(target=waiting.run, name="store lock", daemon=True).start()
        file = waiting.result(self._patience)
        if file is None:
            raise self._waited(_holder(path))
        return file

    def _waited(self, who: str) -> StoreError:
        store = self._path.with_suffix("") if self._path else "store in memory"
        return StoreError(
            f"store {store}: it has been locked for writing by {who} for {self._patience:g} s; "
            "let that go on, or end it"
        )

    def _opened(self, path: Path) -> IO[bytes]:
        try:
            return path.open("ab")
        except OSError as error:
            raise StoreError(
                f"store {path.with_suffix('')}: cannot be written ({error.strerror}); "
                "mend [store] url or the folder's rights"
            ) from error


class _Waiting:
    """A file that is being locked; given up, it is closed as soon as that succeeds."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decide = threading.Lock()
        self._locked = threading.Event()
        self._given_up = False

    def run(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        with self._decide:
            if self._given_up:
                self._file.close()
            else:
                self._locked.set()

    def result(self, patience: float) -> IO[bytes] | None:
        """The file once it is locked; None when that took too long."""
        if self._locked.wait(patience):
            return self._file
        with self._decide:
            self._given_up = not self._locked.is_set()
        return None if self._given_up else self._file


def _holder(path: Path) -> str:
    """Who holds the lock, as far as this machine tells (Linux)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        inode = str(path.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            # e.g. "2: FLOCK  ADVISORY  WRITE 13323 fe:00:2177939 0 EOF"; "->" marks who waits
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
                return _named(int(fields[4]))
    return f"another process (`fuser {path}` may name it)"


def _named(pid: int) -> str:
    command = (
        Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    )
    us = " (this very process)" if pid == os.getpid() else ""
    return f"process {pid}{us}: {command.strip()[:100]}"
