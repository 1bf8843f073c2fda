"""The engine of a worker against the far sides: every lane in order and once, whatever happens."""

import asyncio
import contextlib
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, select, update

from adapters import load, names
from adapters.standin import Remote, Seen
from bridge import outbox, richtext, workers
from bridge.errors import StoreError
from bridge.lanes import due_lanes, ensure_lanes
from bridge.messages import ChannelNamed, Limits
from bridge.migrations import upgrade
from bridge.models import Account, Delivery, Lane, Status, Worker
from bridge.richtext import Paragraph, Text
from bridge.store import Store
from tasks.engine import Engine
from tasks.standins import section
from tasks.wiring import House, open_house
from tests.integration.databases import STORES

ROOT = Path(__file__).parents[2]
GENEROUS = 60.0
SLACK, DISCORD = "slack", "discord"
POSTING = {SLACK: "chat.postMessage", DISCORD: "POST /channels/*/messages"}


@dataclass
class Rooms:
    """A house whose accounts are the stand-ins, and rows for it to send; no listener, no bells."""

    path: Path
    remotes: dict[str, Remote]
    engines: list[Engine] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.house = self.open()

    @property
    def store(self) -> Store:
        return self.house.store

    def open(self) -> House:
        """The same house as another process opens it."""
        return open_house(str(self.path))

    async def engine(self, house: House | None = None) -> Engine:
        """A running worker of this process."""
        made = Engine(house or self.open())
        await asyncio.to_thread(made.start)
        self.engines.append(made)
        return made

    async def lanes(self, platform: str, number: int) -> list[int]:
        """Lanes to this many channels of a platform, called t0, t1, ..."""
        for index in range(number):
            with contextlib.suppress(ValueError):  # it is there already
                await self.remotes[platform].act("channel", channel=f"t{index}")
        directory = self.house.accounts[platform].directory()
        entries = await directory.entries()
        await directory.close()
        channels = {one.name: one.channel for one in entries if isinstance(one, ChannelNamed)}
        targets = [channels[f"t{index}"] for index in range(number)]
        with self.store.transaction() as session:
            known = ensure_lanes(session, targets)
        return [known[one] for one in targets]

    def owe(self, lane: int, text: str, due: float = 0.0) -> None:
        """Owe a text, due so many seconds from now; rows of a lane keep the order of the calls."""
        self.owe_all([(lane, text)], due)

    def owe_all(self, texts: Sequence[tuple[int, str]], due: float = 0.0) -> None:
        at = datetime.now(UTC) + timedelta(seconds=due)
        with self.store.transaction() as session:
            for lane, text in texts:
                body = richtext.dump((Paragraph((Text(text),)),))
                key = f"key-{next(self._numbers):08}"
                outbox.owe_bodies(session, [(key, lane, body)], "notice", at)

    async def said(self, platform: str, index: int) -> list[str]:
        """What our app has said in a channel."""
        return [one.text for one in await self.seen(platform, index)]

    async def seen(self, platform: str, index: int) -> list[Seen]:
        return [one for one in await self.remotes[platform].messages(f"t{index}") if one.by_app]

    def left(self) -> int:
        """How many deliveries are still owed."""
        with self.store.reading() as session:
            owed = select(func.count()).select_from(Delivery).where(Delivery.status == 0)
            return session.exec(owed).one()

    def rows(self) -> list[Delivery]:
        with self.store.reading() as session:
            return list(session.exec(select(Delivery).order_by(col(Delivery.id))))

    def due(self) -> list[int]:
        """What a sweep would ring now."""
        now = datetime.now(UTC)
        with self.store.reading() as session:
            return [lane for lane, at in due_lanes(session, now, now) if at <= now]

    async def sweep_until_done(self, *engines: Engine) -> None:
        """Ring for what is due, as the scheduler does, until nothing is owed."""

        async def swept() -> bool:
            for engine in engines:
                await ring(engine, self.due())
            return not self.left()

        await eventually(swept, "all is sent", pause=0.5)


async def ring(engine: Engine, lanes: Sequence[int]) -> None:
    await asyncio.to_thread(engine.ring, list(lanes))


async def eventually(
    met: Callable[[], Awaitable[Any] | Any],
    what: str,
    within: float = GENEROUS,
    pause: float = 0.02,
) -> Any:
    end = time.monotonic() + within
    while True:
        found = met()
        found = await found if isinstance(found, Awaitable) else found
        if found:
            return found
        assert time.monotonic() < end, f"not within {within:g} s: {what}"
        await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def opened(folder: Path, store_url: str, broker: str) -> AsyncIterator[Rooms]:
    async with contextlib.AsyncExitStack() as stack:
        sections, remotes = [], {}
        for name in names():
            standin = await load(name).standin(0)
            stack.push_async_callback(standin.stop)
            sections.append(section(name, standin.account()))
            remotes[name] = await stack.enter_async_context(Remote(standin.url))
        head = f'[store]\nurl = "{store_url}"\nsynchronous = "normal"\n[broker]\nurl = "{broker}"\n'
        path = folder / "config.toml"
        path.write_text(head + "\n".join(sections))
        rooms = Rooms(path, remotes)
        upgrade(rooms.store)
        with rooms.store.transaction() as session:
            for name in remotes:
                session.add(Account(name=name, platform=name, person="us"))
        try:
            yield rooms
        finally:
            for engine in rooms.engines:
                await asyncio.to_thread(engine.stop)
                engine._house.store.close()
            rooms.store.close()


@pytest.fixture
async def rooms(tmp_path: Path, valkey: str) -> AsyncIterator[Rooms]:
    """On SQLite."""
    async with opened(tmp_path, "sqlite:///store.db", valkey) as made:
        yield made


@pytest.fixture(params=STORES)
async def rooms_on(
    request: pytest.FixtureRequest, tmp_path: Path, valkey: str
) -> AsyncIterator[Rooms]:
    """On each kind of store."""
    kind = request.param
    url = "sqlite:///store.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    async with opened(tmp_path, url, valkey) as made:
        yield made


@pytest.fixture
def soon_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Not found" counts after a second or two."""
    for module in ("bridge.retry", "bridge.attempt", "bridge.outbox.trying"):
        monkeypatch.setattr(f"{module}.SURE_SECONDS", 1.0)
    monkeypatch.setattr("bridge.retry.LOST_SECONDS", 2.0)


# ---- order, limits, trouble


@pytest.mark.usefixtures("soon_sure")
async def test_every_lane_keeps_its_order_and_sends_once_in_spite_of_trouble(
    rooms_on: Rooms,
) -> None:
    sent: dict[tuple[str, int], list[str]] = {}
    lanes = {name: await rooms_on.lanes(name, 3) for name in (SLACK, DISCORD)}
    for platform, known in lanes.items():
        for index, lane in enumerate(known):
            texts = [f"{platform} {index} {number}" for number in range(5)]
            rooms_on.owe_all([(lane, text) for text in texts])
            sent[platform, index] = texts
        remote = rooms_on.remotes[platform]
        for fault, channel in (
            ({"kind": "ratelimit", "seconds": 1.0, "times": 2}, "t0"),
            ({"kind": "drop_after"}, "t1"),
            ({"kind": "status", "status": 503, "times": 2}, "t1"),
            ({"kind": "drop_before"}, "t2"),
            ({"kind": "status_after", "status": 500}, "t2"),
            ({"kind": "accept_late", "seconds": 0.7}, "t2"),
        ):
            await remote.fault(POSTING[platform], channel=channel, **fault)
    engine = await rooms_on.engine()
    await ring(engine, [one for known in lanes.values() for one in known])
    await eventually(lambda: not rooms_on.left(), "all is sent")
    for (platform, index), texts in sent.items():
        assert await rooms_on.said(platform, index) == texts
    assert {row.status for row in rooms_on.rows()} == {Status.SENT}


async def test_no_more_than_one_in_a_hundred_is_refused_at_a_lanes_pace(rooms: Rooms) -> None:
    refused: Counter[int] = Counter()
    lanes = await rooms.lanes(SLACK, 6)
    rooms.owe_all([(lane, f"{n}") for n in range(8) for lane in lanes])
    engine = await rooms.engine()
    counted_engine(engine, refused)
    began = time.monotonic()
    await ring(engine, lanes)
    await eventually(lambda: not rooms.left(), "all is sent")
    assert time.monotonic() - began >= 5 - 0.1, "a burst of three, then one a second"
    assert sum(refused.values()) == 48, "every attempt got through at once"
    for index in range(6):
        assert await rooms.said(SLACK, index) == [f"{n}" for n in range(8)]


def counted_engine(engine: Engine, attempts: Counter[int]) -> None:
    """Count the attempts of an engine by delivery."""
    attempt = engine._outlets.attempt

    async def counting(job: Any, still_ours: Callable[[], bool]) -> Any:
        attempts[job.id] += 1
        return await attempt(job, still_ours)

    engine._outlets.attempt = counting  # type: ignore[method-assign]


async def test_lanes_that_wait_take_no_room(rooms: Rooms) -> None:
    await rooms.remotes[DISCORD].knobs(limits=False)
    lanes = await rooms.lanes(DISCORD, 131)
    rooms.owe_all([(lane, "late") for lane in lanes])
    *paused, last = lanes
    until = datetime.now(UTC) + timedelta(seconds=60)
    with rooms.store.transaction() as session:
        session.exec(update(Lane).where(col(Lane.id).in_(paused)).values(paused_until=until))
    engine = await rooms.engine()
    began = time.monotonic()
    await ring(engine, lanes)
    await eventually(lambda: rooms.left() == 130, "the one that need not wait")
    assert time.monotonic() - began < 5
    assert await rooms.said(DISCORD, 130) == ["late"]
    assert not engine._active
    assert last not in engine._rung


async def test_the_pause_of_an_account_holds_its_lanes_alone(rooms: Rooms) -> None:
    await rooms.remotes[DISCORD].knobs(limits=False)
    here, there = await rooms.lanes(SLACK, 3), await rooms.lanes(DISCORD, 3)
    rooms.owe_all([(lane, "x") for lane in (*here, *there)])
    await rooms.remotes[DISCORD].fault(POSTING[DISCORD], "latency", seconds=0.1)
    until = datetime.now(UTC) + timedelta(seconds=2)
    with rooms.store.transaction() as session:
        paused = update(Account).where(col(Account.name) == SLACK).values(paused_until=until)
        session.exec(paused)
    engine = await rooms.engine()
    await ring(engine, [*here, *there])
    await eventually(lambda: rooms.left() == 3, "the other account's")
    assert datetime.now(UTC) < until
    assert not any([await rooms.said(SLACK, index) for index in range(3)])
    await eventually(lambda: not rooms.left(), "they go on by themselves")
    assert datetime.now(UTC) >= until
    told = [one.at for index in range(3) for one in await rooms.seen(SLACK, index)]
    assert min(told) >= until.timestamp()


async def test_lanes_at_their_pace_leave_the_room_to_others(rooms: Rooms) -> None:
    await rooms.remotes[DISCORD].knobs(limits=False)
    await rooms.remotes[SLACK].knobs(limits=False)
    engine = await rooms.engine()
    engine._outlets.limits = lambda _: Limits(lane_seconds=30.0)  # type: ignore[method-assign]
    lanes = await rooms.lanes(DISCORD, 110)
    rooms.owe_all([(lane, f"{n}") for lane in lanes for n in range(2)])
    await ring(engine, lanes)
    await eventually(lambda: rooms.left() == 110, "the first of each")
    assert len(engine._resting) == 110
    [other] = await rooms.lanes(SLACK, 1)
    rooms.owe(other, "now")
    await ring(engine, [other])
    await eventually(lambda: rooms.left() == 110, "at once", within=10)
    assert await rooms.said(SLACK, 0) == ["now"]


async def test_many_that_are_due_at_once_in_one_channel_delay_no_other(rooms: Rooms) -> None:
    await rooms.remotes[DISCORD].knobs(limits=False)
    busy, *others = await rooms.lanes(DISCORD, 21)
    rooms.owe_all([(busy, f"{n}") for n in range(200)])
    engine = await rooms.engine()
    await ring(engine, [busy])
    await eventually(lambda: rooms.left() < 190, "the crowd is on its way")
    for index, lane in enumerate(others):
        rooms.owe(lane, f"other {index}")
    owed_at = time.time()
    await ring(engine, others)
    found = [await _heard(rooms, index + 1) for index in range(20)]
    assert max(one.at for one in found) - owed_at < 5
    await eventually(lambda: not rooms.left(), "all is sent")
    assert await rooms.said(DISCORD, 0) == [f"{n}" for n in range(200)]


async def _heard(rooms: Rooms, index: int) -> Seen:
    found: list[Seen] = await eventually(
        lambda: rooms.seen(DISCORD, index), f"something in {index}"
    )
    return found[0]


# ---- wake-ups and several workers


async def test_no_ring_is_lost_although_nobody_sweeps(rooms_on: Rooms) -> None:
    await rooms_on.remotes[DISCORD].knobs(limits=False)
    lanes = await rooms_on.lanes(DISCORD, 3)
    engines = [await rooms_on.engine() for _ in range(2)]
    dice, owed = random.Random(11), Counter[int]()
    for number in range(90):
        lane = dice.choice(lanes)
        rooms_on.owe(lane, f"{number}")
        owed[lane] += 1
        await ring(dice.choice(engines), [lane])
        await asyncio.sleep(dice.choice([0, 0, 0.003, 0.01]))
    await eventually(lambda: not rooms_on.left(), "all is sent without any sweep", within=20)
    for index, lane in enumerate(lanes):
        said = await rooms_on.said(DISCORD, index)
        assert said == sorted(said, key=int)
        assert len(said) == owed[lane]


async def test_two_workers_share_the_lanes_and_keep_every_order(rooms_on: Rooms) -> None:
    await rooms_on.remotes[DISCORD].knobs(limits=False, latency=0.005)
    lanes = await rooms_on.lanes(DISCORD, 12)
    rooms_on.owe_all([(lane, f"{n}") for n in range(15) for lane in lanes])
    first, second = [await rooms_on.engine() for _ in range(2)]
    attempts: Counter[int] = Counter()
    for engine in (first, second):
        counted_engine(engine, attempts)
    await asyncio.gather(ring(first, lanes), ring(second, list(reversed(lanes))))
    await rooms_on.sweep_until_done(first, second)
    for index in range(12):
        assert await rooms_on.said(DISCORD, index) == [f"{n}" for n in range(15)]
    assert set(attempts.values()) == {1}


_WORKER = """
import sys
from tasks.engine import Engine
from tasks.wiring import open_house
engine = Engine(open_house(sys.argv[1]))
engine.start()
print("ready", flush=True)
engine.ring([int(lane) for lane in sys.argv[2:]])
sys.stdin.read()
engine.stop()
"""


@contextlib.contextmanager
def worker_process(rooms: Rooms, lanes: Sequence[int]) -> Iterator[subprocess.Popen[str]]:
    """A worker in a process of its own that drains these lanes."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(rooms.path), *map(str, lanes)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(GENEROUS)
        assert process.stdout
        process.stdout.close()


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def stall(process: subprocess.Popen[str], lock: Path) -> None:
    """Stop a process outside of its transactions: inside of one it would stop all of SQLite."""
    with lock.open("ab") as file:
        while True:
            process.send_signal(signal.SIGSTOP)
            await eventually(lambda: _is_stopped(process.pid), "it stops")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stalled"])
async def test_the_lanes_of_a_worker_that_is_gone_are_taken_over_within_ten_seconds(
    rooms: Rooms, end: signal.Signals
) -> None:
    await rooms.remotes[DISCORD].knobs(limits=False, latency=0.1)
    lanes = await rooms.lanes(DISCORD, 3)
    texts = [f"{n}" for n in range(25)]
    rooms.owe_all([(lane, text) for text in texts for lane in lanes])
    other = await rooms.engine()
    with worker_process(rooms, lanes) as process:
        await eventually(lambda: rooms.left() < 70, "the first worker is at it")
        if end == signal.SIGSTOP:
            await stall(process, Path(f"{rooms.store.url.database}.lock"))
        else:
            process.send_signal(end)
        gone_at = time.time()
        left = rooms.left()
        assert left > 20

        async def taken_over() -> bool:
            await ring(other, rooms.due())
            return rooms.left() < left - 3

        await eventually(taken_over, "another goes on", within=10, pause=0.5)
        took = time.time() - gone_at
        if end == signal.SIGSTOP:
            await asyncio.sleep(max(9.0 - took, 0.0))  # the stall itself is what is tried out
            process.send_signal(signal.SIGCONT)
        await rooms.sweep_until_done(other)
    for index in range(3):
        assert await rooms.said(DISCORD, index) == texts
    assert {row.status for row in rooms.rows()} == {Status.SENT}


async def test_who_was_taken_for_dead_joins_again_and_goes_on(rooms: Rooms) -> None:
    await rooms.remotes[DISCORD].knobs(limits=False, latency=0.05)
    [lane] = await rooms.lanes(DISCORD, 1)
    rooms.owe_all([(lane, f"{n}") for n in range(60)])
    engine = await rooms.engine()
    await ring(engine, [lane])
    await eventually(lambda: rooms.left() < 55, "it is at it")
    with rooms.store.transaction() as session:
        workers.leave(session, engine._life.id)
    await rooms.sweep_until_done(engine)
    assert await rooms.said(DISCORD, 0) == [f"{n}" for n in range(60)]


# ---- the end


async def test_a_worker_that_stops_hands_back_what_it_has_not_sent(rooms: Rooms) -> None:
    await rooms.remotes[DISCORD].knobs(limits=False, latency=0.05)
    lanes = await rooms.lanes(DISCORD, 3)
    rooms.owe_all([(lane, f"{n}") for n in range(100) for lane in lanes])
    engine, other = await rooms.engine(), await rooms.engine()
    await ring(engine, lanes)
    await eventually(lambda: rooms.left() < 290, "it is at it")
    began = time.monotonic()
    await asyncio.to_thread(engine.stop)
    assert time.monotonic() - began < 5, "it begins nothing new"
    assert rooms.left() > 150
    assert not any(row.trying for row in rooms.rows()), "and leaves nothing open"
    with rooms.store.reading() as session:
        assert session.exec(select(Worker.id)).all() == [other._life.id]
    with rooms.store.transaction() as session:
        session.exec(update(Delivery).where(Delivery.status == 0).values(status=Status.CANCELLED))
    said = [await rooms.said(DISCORD, index) for index in range(3)]
    assert all(one == [f"{n}" for n in range(len(one))] for one in said)


async def test_a_platform_that_hangs_does_not_keep_a_worker_from_stopping(rooms: Rooms) -> None:
    await rooms.remotes[DISCORD].fault(POSTING[DISCORD], "latency", seconds=30.0)
    [lane] = await rooms.lanes(DISCORD, 1)
    rooms.owe(lane, "slow")
    engine, other = await rooms.engine(), await rooms.engine()
    await ring(engine, [lane])
    await eventually(lambda: engine._active, "it is under way")
    began = time.monotonic()
    await asyncio.to_thread(engine.stop)
    assert time.monotonic() - began < 10
    await rooms.sweep_until_done(other)
    assert await rooms.said(DISCORD, 0) == ["slow"], "looked up, and not sent again"


# ---- a store that fails


async def test_a_turn_whose_end_was_not_heard_is_not_forgotten(
    rooms_on: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rooms_on.remotes[DISCORD].knobs(limits=False)
    lanes = await rooms_on.lanes(DISCORD, 4)
    rooms_on.owe_all([(lane, f"{n}") for n in range(10) for lane in lanes])
    house, dice = rooms_on.open(), random.Random(3)
    engine = await rooms_on.engine(house)
    transaction = house.store.transaction

    @contextlib.contextmanager
    def deaf() -> Iterator[Any]:
        with transaction() as session:
            yield session
        if dice.random() < 0.15:
            raise StoreError("the connection was lost while it was being committed")

    monkeypatch.setattr(house.store, "transaction", deaf)
    monkeypatch.setattr("tasks.engine.jitter", lambda: 0.0)
    await ring(engine, lanes)
    await eventually(lambda: not rooms_on.left(), "all is sent without any sweep")
    for index in range(4):
        assert await rooms_on.said(DISCORD, index) == [f"{n}" for n in range(10)]


async def test_a_store_that_is_away_for_a_while_only_delays(
    rooms_on: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rooms_on.remotes[DISCORD].knobs(limits=False, latency=0.02)
    lanes = await rooms_on.lanes(DISCORD, 4)
    rooms_on.owe_all([(lane, f"{n}") for n in range(20) for lane in lanes])
    house = rooms_on.open()
    engine = await rooms_on.engine(house)
    transaction, away = house.store.transaction, asyncio.Event()

    @contextlib.contextmanager
    def refused() -> Iterator[Any]:
        if away.is_set():
            raise StoreError("no answer")
        with transaction() as session:
            yield session

    monkeypatch.setattr(house.store, "transaction", refused)
    await ring(engine, lanes)
    await eventually(lambda: rooms_on.left() < 70, "it is at it")
    away.set()
    await asyncio.sleep(1.5)  # the outage itself
    left = rooms_on.left()
    assert left > 20
    away.clear()
    await eventually(lambda: not rooms_on.left(), "it goes on by itself")
    for index in range(4):
        assert await rooms_on.said(DISCORD, index) == [f"{n}" for n in range(20)]
