"""What the store does when somebody else is in the way, or the disk is full or damaged."""

import contextlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from sqlmodel import func, select, text

from bridge.errors import ConfigError, StoreError
from bridge.migrations import upgrade
from bridge.models import Message
from bridge.rules import When
from bridge.store import Store
from bridge.writelock import WriteLock
from tests.values import NOW, intake, posted, rule

EVERY = rule(when=When(), after="0s")
_spawn = multiprocessing.get_context("spawn")


def hold(database: str, tell: Connection) -> None:
    """Hold a store's write lock until told to end."""
    with WriteLock(database):
        tell.send("locked")
        tell.recv()


@contextlib.contextmanager
def held_by_another_process(database: Path) -> Iterator[tuple[int, Connection]]:
    """The process that holds the lock, and the line to it."""
    ours, theirs = _spawn.Pipe()
    process = _spawn.Process(target=hold, args=(str(database), theirs))
    process.start()
    try:
        assert ours.poll(30)
        assert ours.recv() == "locked"
        assert process.pid
        yield process.pid, ours
    finally:
        with contextlib.suppress(OSError):
            ours.send("end")
        process.join(30)
        ours.close()
        theirs.close()


def number_of_messages(store: Store) -> int:
    with store.reading() as session:
        return session.exec(select(func.count()).select_from(Message)).one()


# ---- waiting for the lock


def test_a_lock_that_another_process_holds_is_waited_for_with_a_limit(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    lock = WriteLock(str(database), patience=0.3)
    with held_by_another_process(database) as (pid, _):
        began = time.monotonic()
        with pytest.raises(StoreError) as raised, lock:
            pass
        assert 0.3 <= time.monotonic() - began < 10
    told = str(raised.value)
    assert "locked for writing" in told
    assert str(database) in told
    if Path("/proc/locks").exists():
        assert f"process {pid}: " in told
    with lock:
        pass
    lock.close()


def test_what_was_waited_for_in_vain_is_not_held_later(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    lock, other = WriteLock(str(database), patience=0.05), WriteLock(str(database))
    with other:
        for _ in range(3):
            with pytest.raises(StoreError), lock:
                pass
    _until(lambda: not [one for one in threading.enumerate() if one.name == "store lock"])
    third = WriteLock(str(database), patience=0.05)
    with third:
        pass
    for one in (lock, other, third):
        one.close()


def test_a_waiter_goes_on_as_soon_as_the_lock_is_free(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    lock = WriteLock(str(database))
    with held_by_another_process(database) as (_, line):
        threading.Timer(0.2, line.send, ["end"]).start()
        with lock:
            pass
    lock.close()


def test_a_thread_that_holds_the_lock_too_long_is_named_as_well(tmp_path: Path) -> None:
    lock = WriteLock(str(tmp_path / "store.db"), patience=0.1)
    let_go, held = threading.Event(), threading.Event()

    def keep() -> None:
        with lock:
            held.set()
            let_go.wait(30)

    keeper = threading.Thread(target=keep)
    keeper.start()
    assert held.wait(30)
    with pytest.raises(StoreError, match="another thread"), lock:
        pass
    let_go.set()
    keeper.join()
    lock.close()


def test_the_lock_keeps_writers_apart_under_a_crowd(tmp_path: Path) -> None:
    locks = [WriteLock(str(tmp_path / "store.db")) for _ in range(4)]
    inside: list[int] = []
    overlaps: list[int] = []

    def write(lock: WriteLock) -> None:
        for _ in range(50):
            with lock:
                inside.append(1)
                overlaps.append(len(inside))
                inside.pop()

    crowd = [threading.Thread(target=write, args=(lock,)) for lock in locks]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert overlaps == [1] * 200
    for lock in locks:
        lock.close()


def test_a_free_lock_costs_no_thread(tmp_path: Path) -> None:
    lock = WriteLock(str(tmp_path / "store.db"))
    before = threading.active_count()
    for _ in range(100):
        with lock:
            assert threading.active_count() == before
    lock.close()


def test_a_stopped_writer_is_a_clear_error_and_nothing_is_lost_or_half_done(store: Store) -> None:
    taking = intake(store, EVERY)
    taking.take([posted(1)], NOW)
    assert store._writers
    store._writers._patience = 0.3
    with held_by_another_process(Path(str(store.url.database))) as (pid, _):
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError, match="locked for writing"):
                taking.take([posted(2)], NOW)
            assert number_of_messages(store) == 1, "readers go on"
        finally:
            os.kill(pid, signal.SIGCONT)
    assert taking.take([posted(2)], NOW).stored == 1


def test_a_program_that_keeps_the_database_locked_by_itself_is_a_clear_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store._BUSY_SECONDS", 0.1)
    hasty = Store(f"sqlite:///{store.url.database}")
    other = Store(f"sqlite:///{store.url.database}")
    with (
        other.engine.connect() as connection,
        connection.begin(),
        pytest.raises(StoreError, match="locked"),
    ):
        intake(hasty, EVERY)
    intake(hasty, EVERY)
    hasty.close()
    other.close()


# ---- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here; the next test limits the file instead")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    path = folder / "filler"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return path


def test_a_full_disk_is_a_clear_error_and_keeps_what_was_acknowledged(small_disk: Path) -> None:
    made = Store(f"sqlite:///{small_disk}/store.db")
    upgrade(made)
    taking, taken = intake(made, EVERY), 0
    filler = fill(small_disk)

    def go_on() -> None:
        nonlocal taken
        while taken < 2000:
            taking.take([posted(taken, "x" * 5000)], NOW)
            taken += 1

    with pytest.raises(StoreError, match="full"):
        go_on()
    assert number_of_messages(made) == taken
    filler.unlink()
    assert taking.take([posted(taken, "x" * 5000)], NOW).stored == 1
    made.require_sound()
    made.close()


_LIMITED = """
import resource, sys
from bridge.errors import StoreError
from bridge.store import Store
from tests.values import NOW, intake, posted
store = Store(sys.argv[1])
taking, taken = intake(store), 0
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    while taken < 2000:
        taking.take([posted(taken, "x" * 5000)], NOW)
        print(taken, flush=True)
        taken += 1
except StoreError as error:
    print(error, file=sys.stderr)
"""


def test_a_file_that_may_not_grow_is_a_clear_error_and_keeps_what_was_acknowledged(
    store: Store,
) -> None:
    assert resource.RLIMIT_FSIZE is not None
    url = f"sqlite:///{store.url.database}"
    ended = subprocess.run(
        [sys.executable, "-c", _LIMITED, url, "600000"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    acknowledged = len(ended.stdout.split())
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith(f"store {url}: ")
    assert len(ended.stderr.splitlines()) == 1
    assert 0 < acknowledged < 2000
    assert number_of_messages(store) == acknowledged
    store.require_sound()
    assert intake(store).take([posted(5000)], NOW).stored == 1


# ---- a damaged file


def test_a_sound_file_is_found_sound(store: Store) -> None:
    intake(store, EVERY).take([posted(number) for number in range(200)], NOW)
    store.require_sound()


@pytest.fixture
def closed(store: Store) -> Path:
    """The file of a store with some messages in it."""
    intake(store, EVERY).take([posted(number, "x" * 500) for number in range(400)], NOW)
    store.close()
    return Path(str(store.url.database))


def test_a_damaged_file_is_a_clear_error_at_the_start(closed: Path) -> None:
    size = closed.stat().st_size
    with closed.open("r+b") as file:
        for place in range(size // 2, size - 4096, 4096):
            file.seek(place)
            file.write(b"\xff" * 512)
    damaged = Store(f"sqlite:///{closed}")
    with pytest.raises(StoreError, match=r"damaged|malformed") as raised:
        damaged.require_sound()
    assert str(closed) in str(raised.value)
    assert "\n" not in str(raised.value)
    damaged.close()


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"Dear diary, " * 1000)
    strange = Store(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(StoreError, match="not a database"):
        strange.require_sound()
    strange.close()


def test_looking_through_a_large_file_ends_in_time(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store._LOOK_SECONDS", -1.0)
    large = Store(f"sqlite:///{closed}")
    large.require_sound()
    with large.reading() as session:
        assert session.execute(text("SELECT 1")).scalar() == 1, "the connection can be used on"
    large.close()


def test_where_the_file_cannot_be_made_the_error_says_what_to_mend(tmp_path: Path) -> None:
    nowhere = Store(f"sqlite:///{tmp_path}/none/store.db")
    with pytest.raises(StoreError, match=r"mend \[store\] url"), nowhere.transaction():
        pass


@pytest.mark.parametrize("url", ["", "mysql://x/y", "no url", "sqlite+nothing:///x"])
def test_a_url_that_leads_nowhere_is_a_mistake_in_the_config(url: str) -> None:
    with pytest.raises(ConfigError, match="store"):
        Store(url)


def _until(met: object) -> None:
    end = time.monotonic() + 30
    while not met():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)
