"""The embedded broker: one server for all who use it, back when killed, gone with the last."""

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from tasks import broker
from tasks.broker import EmbeddedBroker
from tests.integration.servers import alive_in, until

ROOT = Path(__file__).parents[2]
_USER = """
import sys
from pathlib import Path
from tasks.broker import EmbeddedBroker
embedded = EmbeddedBroker(Path(sys.argv[1]))
embedded.enter()
print("in", flush=True)
sys.stdin.read()
embedded.leave()
"""


class User:
    """A process of its own that uses the broker until its input ends."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _USER, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def is_in(self) -> None:
        assert self._process.stdout
        assert self._process.stdout.readline() == b"in\n"

    def leave(self) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0

    def die(self) -> None:
        self._process.kill()
        self._process.communicate()


def servers(folder: Path) -> list[int]:
    return [pid for pid, command in alive_in(folder).items() if "valkey-server" in command]


def put(url: str, *texts: str) -> None:
    with Connection(url) as connection, connection.SimpleQueue("tried") as queue:
        for text in texts:
            queue.put(text)


def get(url: str, number: int) -> list[str]:
    with Connection(url) as connection, connection.SimpleQueue("tried") as queue:
        messages = [queue.get(timeout=10) for _ in range(number)]
        for message in messages:
            message.ack()
        return [message.payload for message in messages]


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    made = EmbeddedBroker(tmp_path)
    made.enter()
    yield made
    made.leave()
    assert servers(tmp_path) == []


def test_processes_that_start_at_once_share_one_server_until_the_last_leaves(
    tmp_path: Path,
) -> None:
    users = [User(tmp_path) for _ in range(3)]
    for user in users:
        user.is_in()
    [server] = servers(tmp_path)
    for user in users[:-1]:
        user.leave()
        assert servers(tmp_path) == [server]
    users[-1].leave()
    assert alive_in(tmp_path) == {}


def test_a_user_that_is_killed_counts_no_longer(tmp_path: Path) -> None:
    first, second = User(tmp_path), User(tmp_path)
    first.is_in()
    second.is_in()
    first.die()
    assert len(servers(tmp_path)) == 1
    second.leave()
    assert alive_in(tmp_path) == {}


def test_what_a_killed_server_held_is_there_when_it_is_revived(
    embedded: EmbeddedBroker, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(broker, "_used", [embedded])
    put(embedded.url, "one", "two")
    [server] = servers(tmp_path)
    until(lambda: _written(tmp_path, "two"), "the queue is written down")
    os.kill(server, signal.SIGKILL)
    until(lambda: not servers(tmp_path), "the server is gone")
    broker.revive()
    [again] = servers(tmp_path)
    assert again != server
    assert get(embedded.url, 2) == ["one", "two"]


def _written(folder: Path, text: str) -> bool:
    """Whether a message is in the append-only files, where its body is base64."""
    files = (folder / "broker" / "appendonlydir").glob("*.incr.aof")
    return any(base64.b64encode(text.encode()) in path.read_bytes() for path in files)


def test_a_server_that_stands_still_for_a_moment_is_not_started_twice(
    embedded: EmbeddedBroker, tmp_path: Path
) -> None:
    [server] = servers(tmp_path)
    os.kill(server, signal.SIGSTOP)
    waking = threading.Timer(2.5, os.kill, (server, signal.SIGCONT))
    waking.start()
    assert not embedded.ensure()
    waking.join()
    assert servers(tmp_path) == [server]


def test_a_server_that_stays_silent_is_replaced(
    embedded: EmbeddedBroker, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(broker, "_START_SECONDS", 3.0)
    [server] = servers(tmp_path)
    os.kill(server, signal.SIGSTOP)
    assert embedded.ensure()
    [again] = servers(tmp_path)
    assert again != server


def test_what_waits_survives_that_everybody_leaves(tmp_path: Path) -> None:
    first = EmbeddedBroker(tmp_path)
    first.enter()
    put(first.url, "kept")
    first.leave()
    assert servers(tmp_path) == []
    second = EmbeddedBroker(tmp_path)
    second.enter()
    assert get(second.url, 1) == ["kept"]
    second.leave()


@pytest.mark.parametrize(
    "name",
    ["with space", "50% of it?", "größer #1", "x" * 120],
    ids=["a space", "a percent and a question mark", "an umlaut and a hash", "too long"],
)
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    embedded = EmbeddedBroker(folder)
    embedded.enter()
    put(embedded.url, "hello")
    assert get(embedded.url, 1) == ["hello"]
    embedded.leave()
    assert servers(folder) == []
    assert not embedded.socket.exists()


def test_leaving_twice_is_harmless_and_a_new_user_may_come_at_once(tmp_path: Path) -> None:
    for _ in range(3):
        embedded = EmbeddedBroker(tmp_path)
        embedded.enter()
        embedded.leave()
        embedded.leave()
    assert servers(tmp_path) == []


def test_leaving_is_quick(tmp_path: Path) -> None:
    embedded = EmbeddedBroker(tmp_path)
    embedded.enter()
    began = time.monotonic()
    embedded.leave()
    assert time.monotonic() - began < 3
