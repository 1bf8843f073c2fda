"""Crashes between any two steps: what is owed arrives once, in order, and nothing else does.

A listener, a backfill and two workers take small steps over one store; each may be cut off before
or after its commit and forgets all it knew. The far side is a model with history and memory.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlmodel import SQLModel, col, select

from bridge import cursors, workers
from bridge.attempt import Verdict, attempt
from bridge.delivery import Settlement, turn
from bridge.errors import SendError
from bridge.intake import Intake
from bridge.models import Account, Delivery, Lane, Message, Worker
from bridge.pending import Pending
from bridge.retry import judge
from bridge.rules import RuleBook
from bridge.store import Store
from tests.integration.databases import STORES
from tests.integration.far_side import CRASHES, OUTCOMES, RULE, US, Crash, run
from tests.integration.hearing import ENDS, Hearing
from tests.values import HELP, ONCALL, STAFF

MOST_CRASHES = 6
"""A delivery that kills its sender again and again ends dead, on purpose."""


@dataclass
class Hand:
    """A worker: what it has claimed, as who, and what was known to be moot; what came of it."""

    id: str
    dead_at: datetime | None = None
    buried: bool = False
    jobs: list[tuple[Pending, str, set[str]]] = field(default_factory=list)
    settled: list[Settlement] = field(default_factory=list)
    held: set[int] = field(default_factory=set)


class Bridge(Hearing):
    """And the steps of two workers, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.hands: list[Hand] = []
        self.crashes = 0

    @initialize()
    def begin(self) -> None:
        with self.store.transaction() as session:
            for name in (HELP.account, STAFF.account):
                session.add(Account(name=name, platform=name, person=US))
        Intake(self.store, RuleBook([RULE]), {US}.__contains__).prepare()
        self.listener_starts()
        self._post("How?", "U-ada")
        self.hear("commit")
        self.worker_joins()
        self.world.wait(11.0)

    def worker_joins(self) -> None:
        self.hands.append(Hand(self._register()))

    def _register(self) -> str:
        self._ids += 1
        made = f"worker-{self._ids}"
        with self.store.transaction() as session:
            workers.register(session, Worker(id=made, started_at=self.world.now))
        return made

    def take_turn(self, which: int, end: str) -> None:
        """One transaction of a worker."""
        hand = self._hand(which)
        if hand.buried:  # its next beat tells it so
            hand.id, hand.buried = self._register(), False
        settled = hand.settled
        active = {job.lane for job, *_ in hand.jobs} | {one.job.lane for one in settled}
        rung = [lane for lane in self._lanes() if lane not in active]
        done: list[Any] = []

        def work() -> None:
            with self.store.transaction() as session:
                done.append(turn(session, hand.id, settled, rung, hand.held, self.world.now))

        moot = set(self.known_moot)
        end = "commit" if end == "forget" and self.crashes >= MOST_CRASHES else end
        if self._ended(end, work):
            hand.settled, hand.held = [], set(done[0].more)
            hand.jobs += [(job, done[0].worker, moot) for job in done[0].jobs]
        elif end == "forget":  # the engine cannot tell, and tries all of it again
            self.crashes += 1
            hand.held |= set(rung)

    @rule(
        which=st.integers(0, 1),
        wait=st.sampled_from([0.0, 2.0, 11.0, 11.0, 35.0, 65.0, 700.0]),
        tries=st.lists(st.sampled_from(OUTCOMES), max_size=4),
        end=ENDS,
    )
    def work(self, which: int, wait: float, tries: list[str], end: str) -> None:
        """A turn, some time later, and what comes of some of its jobs."""
        self.world.wait(wait)
        self.take_turn(which, end)
        for outcome in tries:
            hand = self._hand(which)
            if hand.jobs:
                self._try(hand, outcome)

    @precondition(lambda self: self._busy_hands())
    @rule(which=st.integers(0, 1), tries=st.lists(st.sampled_from(OUTCOMES), min_size=1), end=ENDS)
    def go_on(self, which: int, tries: list[str], end: str) -> None:
        """A worker that is in the middle of something goes on with it."""
        hand = self._busy_hands()[which % len(self._busy_hands())]
        for outcome in tries[: len(hand.jobs)]:
            self._try(hand, outcome)
        self.take_turn(self.hands.index(hand), end)

    @precondition(lambda self: self._busy_hands())
    @rule(which=st.integers(0, 1), outcome=st.sampled_from(CRASHES))
    def crash_over_a_job(self, which: int, outcome: str) -> None:
        hand = self._busy_hands()[which % len(self._busy_hands())]
        if self.crashes < MOST_CRASHES:
            self.crashes += 1
            self._try(hand, outcome)
            self._replace_the_dead()

    def _busy_hands(self) -> list[Hand]:
        return [one for one in self.hands if one.jobs and not one.dead_at]

    def _try(self, hand: Hand, outcome: str) -> None:
        """A worker does what one of its jobs needs next."""
        job, claimed_as, moot = hand.jobs[0]
        self.world.job, self.world.outcome = job, outcome

        def still_ours() -> bool:
            ours = not hand.buried and hand.id == claimed_as
            if ours:
                self._must_matter(job, moot)
            return ours

        try:
            came_of_it = run(attempt(job, self.world, still_ours=still_ours))
        except Crash:
            self._die(hand)
            return
        hand.jobs.pop(0)
        hand.settled.append(Settlement(job, self._verdict(job, came_of_it)))

    def _must_matter(self, job: Pending, moot: set[str]) -> None:
        """It is sent next: what was moot at its claim must not be."""
        for row in (job, *job.others):
            assert row.source
            sure = not job.trying or row is job
            assert not (sure and row.source.native_id in moot), "it was moot before its claim"

    def _verdict(self, job: Pending, outcome: Any) -> Verdict:
        if not isinstance(outcome, SendError):
            return outcome  # type: ignore[no-any-return]
        return judge(
            outcome,
            attempts=job.attempts + 1,
            others_succeed=False,
            due_at=job.due_at,
            now=self.world.now,
            give_up=1e9,
            jitter=0.5,
        )

    @rule(
        what=st.sampled_from(["dies", "joins", "is taken for dead", "is taken for dead"]),
        which=st.integers(0, 1),
    )
    def a_worker(self, what: str, which: int) -> None:
        living = [one for one in self.hands if not one.dead_at]
        if what == "joins" and len(living) < 2:
            self.worker_joins()
        elif what == "dies" and self.crashes < MOST_CRASHES:
            self.crashes += 1
            self._die(self._hand(which))
            self._replace_the_dead()
        elif what == "is taken for dead":
            self._take_for_dead(living, which)

    def _replace_the_dead(self) -> None:
        if not any(not one.dead_at for one in self.hands):
            self.worker_joins()

    def _die(self, hand: Hand) -> None:
        hand.dead_at = self.world.now
        hand.jobs, hand.settled, hand.held = [], [], set()

    def _take_for_dead(self, living: Sequence[Hand], which: int = 0) -> None:
        """After the TTL; of the living only one that was held up, and will notice."""
        dead = [one for one in self.hands if one.dead_at]
        stalled = [one for one in living if not one.buried and self.crashes < MOST_CRASHES]
        if not dead and not stalled:
            return
        hand = dead[0] if dead else stalled[which % len(stalled)]
        self.crashes += 1 if stalled and not dead else 0
        self.world.wait(6.0)
        with self.store.transaction() as session:
            workers.bury(session, {hand.id: 0})
        hand.buried = True
        if hand.dead_at:
            self.hands.remove(hand)

    def _hand(self, which: int) -> Hand:
        living = [one for one in self.hands if not one.dead_at]
        return living[which % len(living)]

    def _lanes(self) -> list[int]:
        with self.store.reading() as session:
            return [one for one in session.exec(select(Lane.id)) if one]

    # ---- the end

    def teardown(self) -> None:
        try:
            if self.started is not None:
                self._come_to_rest()
                self._look_at_the_end()
        finally:
            self._patch.stop()

    def _come_to_rest(self) -> None:
        """Nothing goes wrong any more."""
        for _ in range(400):
            if self.listener is None:
                self.listener_starts()
            assert self.listener
            if self.listener.inbox or self.listener.lost:
                self.hear("commit")
            self.read_on("commit")
            while self.listener and self.listener.reading:
                self.read_on("commit")
            for _ in list(self.hands):
                self._take_for_dead([])
            if not self.hands:
                self.worker_joins()
            for hand in [one for one in self.hands if not one.dead_at]:
                while hand.jobs:
                    self._try(hand, "ok")
                self.take_turn(self.hands.index(hand), "commit")
            self.world.wait(11.0)
            if not self._busy():
                return
        raise AssertionError("it never comes to rest")

    def _busy(self) -> bool:
        with self.store.reading() as session:
            owed = session.exec(select(Delivery.id).where(Delivery.status == 0)).first()
            behind = [one for one in cursors.behind(session, HELP.account) if one.channel == HELP]
        in_hand = any(one.jobs or one.settled for one in self.hands)
        assert self.listener
        return bool(owed or behind or in_hand or self.listener.inbox or self.world.late)

    def _look_at_the_end(self) -> None:
        with self.store.reading() as session:
            found = session.exec(
                select(Delivery.key, Message.native_id, Lane.channel)
                .join(Message, col(Delivery.message) == Message.id)
                .join(Lane, col(Delivery.lane) == Lane.id)
            ).all()
        sources = {key: native for key, native, _ in found}
        for channel in (ONCALL, STAFF):
            told = [key for one in self.world.lanes[channel] for key in one.keys]
            natives = [int(sources[key]) for key in told]
            assert len(told) == len(set(told)), "nothing is there twice"
            assert natives == sorted(natives), "order is kept"
            owed = {
                native
                for native, post in self.world.posts.items()
                if not post.thread and self.world.matters(native)
            }
            assert owed <= {sources[key] for key in told}, "nothing is lost"
            assert {sources[key] for key in told} <= set(self.world.posts)


def emptied(store: Store) -> None:
    """Take every row away, which is quicker than another database."""
    names = ", ".join(f'"{name}"' for name in SQLModel.metadata.tables)
    with store.transaction() as session:
        session.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))


@pytest.mark.parametrize("kind", STORES)
def test_whatever_dies_between_any_two_steps_everything_arrives_once_and_in_order(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    store: Store
    if kind == "sqlite":
        store = request.getfixturevalue("store")
        store.close()
        fresh = tmp_path / "fresh.db"
        shutil.copy(str(store.url.database), fresh)
    else:
        store = Store(request.getfixturevalue("postgres_url"))

    def machine() -> Bridge:
        if kind == "sqlite":
            store.close()
            for end in ("", "-wal", "-shm"):
                Path(f"{store.url.database}{end}").unlink(missing_ok=True)
            shutil.copy(fresh, str(store.url.database))
        else:
            emptied(store)
        made = type("AnyBridge", (Bridge,), {"store": store})
        return made()  # type: ignore[no-any-return]

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]
        settings=settings(
            stateful_step_count=60,
            derandomize=settings.get_current_profile_name() != "deep",
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    store.close()
