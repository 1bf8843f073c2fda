"""Workers take turns over the same lanes at once: no row is tried by two, order is kept."""

import random
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import pytest
from sqlmodel import select

from bridge import workers
from bridge.delivery import Settlement, Verdict, turn
from bridge.messages import ChannelRef, Deleted, Receipt
from bridge.models import Delivery, Lane, Status, Worker
from bridge.pending import Pending
from bridge.retry import Again, GiveUp
from bridge.rules import When
from bridge.store import Store
from tests.integration.together import together
from tests.values import HELP, NOW, intake, posted, rule, seconds

WORKERS = 4
MESSAGES = 60
TARGETS = tuple(ChannelRef("acme", f"T{number}") for number in range(8))
IN_TIME = NOW + seconds(300)
AFTER_AN_OUTAGE = NOW + seconds(7200)
"""So late that what waits in a lane leaves as one message."""


@dataclass
class Watcher:
    """Sees every attempt begin and end, from all workers."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    trying: dict[int, int] = field(default_factory=dict)
    tried: dict[int, list[tuple[datetime, int]]] = field(default_factory=lambda: defaultdict(list))
    receipts: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    talk_is_over: threading.Event = field(default_factory=threading.Event)
    failed: threading.Event = field(default_factory=threading.Event)

    def begin(self, job: Pending) -> None:
        with self.lock:
            assert job.lane not in self.trying, f"two attempts in lane {job.lane}"
            self.trying[job.lane] = job.id
            self.tried[job.lane].append((job.due_at, job.id))

    def end(self, job: Pending, verdict: Verdict | None) -> None:
        """`verdict` is None when the worker died over it."""
        with self.lock:
            assert self.trying.pop(job.lane) == job.id
            for row in (job, *job.others):
                self.receipts[row.id] += isinstance(verdict, Receipt)


@dataclass
class Hand:
    """One worker, with its own connections, that now and then dies and comes back as another."""

    store: Store
    dice: random.Random
    watcher: Watcher
    deaths: bool
    now: datetime
    id: str = ""

    def run(self) -> None:
        try:
            self._join()
            self._work()
        finally:
            self.store.close()

    def _work(self) -> None:
        jobs: list[Pending] = []
        held: frozenset[int] = frozenset()
        while not self.watcher.failed.is_set() and not self._all_done():
            if self.deaths and self.dice.random() < 0.03:
                jobs, held = self._die(jobs), frozenset()
            settled = [Settlement(job, self._verdict(job)) for job in jobs]
            for one in settled:
                self.watcher.end(one.job, one.verdict)
            with self.store.transaction() as session:
                done = turn(session, self.id, settled, self._rung(), held, self.now)
            jobs, held = list(done.jobs), done.more
            for job in jobs:
                self.watcher.begin(job)

    def _join(self) -> None:
        self.id = f"worker-{self.dice.getrandbits(64):x}"
        with self.store.transaction() as session:
            workers.register(session, Worker(id=self.id, started_at=NOW))

    def _die(self, jobs: list[Pending]) -> list[Pending]:
        for job in jobs:
            self.watcher.end(job, None)
        with self.store.transaction() as session:
            workers.bury(session, {self.id: 0})
        self._join()
        return []

    def _rung(self) -> list[int]:
        with self.store.reading() as session:
            lanes = list(session.exec(select(Lane.id)))
        return self.dice.sample(lanes, self.dice.randint(1, len(lanes))) if lanes else []

    def _verdict(self, job: Pending) -> Verdict:
        match self.dice.randint(0, 9):
            case 0:
                return Again(self.now, "busy", counts=False)
            case 1:
                return Again(self.now, "no answer", unknown=True, counts=False)
            case 2:
                return GiveUp("gone")
            case _:
                return Receipt(f"sent-{job.id}", job.id)

    def _all_done(self) -> bool:
        over = self.watcher.talk_is_over.is_set()
        with self.store.reading() as session:
            owed = session.exec(select(Delivery.id).where(Delivery.status == 0).limit(1)).first()
        return over and owed is None


def speak(store: Store, dice: random.Random, over: threading.Event) -> None:
    """Messages come in while others are sent, and some are deleted again."""
    taking = intake(store, rule(when=When(), after="0s", unless=(), to=TARGETS))
    number = 0
    while number < MESSAGES:
        more = dice.randint(1, 5)
        batch = [posted(n) for n in range(number + 1, number + more + 1)]
        gone = [
            Deleted(HELP, str(n), n, NOW)
            for n in range(1, number + more + 1)
            if dice.random() < 0.02
        ]
        taking.take([*batch, *gone], NOW)
        number += more
    over.set()
    store.close()


@pytest.mark.parametrize("now", [IN_TIME, AFTER_AN_OUTAGE], ids=["in time", "after an outage"])
@pytest.mark.parametrize("deaths", [False, True], ids=["nobody dies", "workers die"])
def test_no_row_is_tried_by_two_and_every_lane_keeps_its_order(
    store_on: Store, deaths: bool, now: datetime
) -> None:
    url = store_on.url.render_as_string(hide_password=False)
    watcher = Watcher()
    hands = [
        Hand(Store(url, synchronous="normal"), random.Random(n), watcher, deaths, now)
        for n in range(WORKERS)
    ]
    talker = partial(
        speak, Store(url, synchronous="normal"), random.Random(WORKERS), watcher.talk_is_over
    )
    together([talker, *(hand.run for hand in hands)], watcher.failed)
    with store_on.reading() as session:
        rows = session.exec(select(Delivery)).all()
    assert len(rows) >= MESSAGES * len(TARGETS)
    for tried in watcher.tried.values():
        assert tried == sorted(tried)
    sent = {row.id for row in rows if row.status == Status.SENT}
    assert sent == {delivery for delivery, times in watcher.receipts.items() if times}
    assert set(watcher.receipts.values()) <= {0, 1}, "nothing is sent again after its receipt"
    assert {row.status for row in rows} <= {Status.SENT, Status.CANCELLED, Status.DEAD}
    assert all(row.attempts or row.bundle for row in rows if row.id in sent), "it was cancelled"
