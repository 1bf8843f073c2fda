"""Crashes between any two steps: what is owed arrives once, in order, and nothing else does.

A listener, a backfill and two workers take small steps over one store; each may be cut off before
or after its commit and forgets all it knew. The far side is a model with history and memory.
"""

import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlmodel import SQLModel, select

from bridge import cursors, workers
from bridge.attempt import Verdict, attempt
from bridge.cursors import Reading
from bridge.delivery import Settlement, turn
from bridge.errors import RateLimitedError, RetryableError, SendError, UnknownOutcomeError
from bridge.intake import Intake
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Event,
    Gap,
    Limits,
    Outbound,
    Page,
    Posted,
    Reacted,
    Receipt,
    Shown,
)
from bridge.models import Account, Delivery, Lane, Message, Worker
from bridge.pending import Pending
from bridge.retry import judge
from bridge.rules import RuleBook
from bridge.store import Store
from tests import values
from tests.integration.databases import STORES
from tests.values import HELP, NOW, ONCALL, STAFF

TICK = "white_check_mark"
LAG = timedelta(seconds=3)
"""History shows a message of ours only after so long."""
MOST_CRASHES = 5
"""A delivery that kills its sender again and again ends dead, on purpose."""
US = "U-us"
SNAPSHOT = values.rule().snapshot
RULE = values.rule(after="10s", unless=("reply", f"reaction:{TICK}"), to=(ONCALL, STAFF))
# no link and no author: several deliveries of a lane read alike
RULE = replace(RULE, snapshot=(plain := replace(SNAPSHOT, text="{excerpt}")), snapshot_id=plain.id)


REFUSED = {"refused": RetryableError("busy"), "limited": RateLimitedError("slow down", 5.0)}
OUTCOMES = (
    *("ok", "ok", *REFUSED),
    *("500", "500 after", "lost", "lost after", "lost 4", "lost 24"),
)
"""What comes of a call: what its caller learns, and whether it is carried out, now or later."""
CRASHES = ("crash", "crash after", "crash 9")


class Crash(Exception):  # noqa: N818  (not an error of anything: the power went off)
    """A process ends here and forgets everything."""


@dataclass
class Told:
    """A message of ours in a lane: what it was for, and when it got there."""

    native: int
    keys: tuple[str, ...]
    document: Any
    at: datetime


@dataclass
class World:
    """Both platforms: what people did in #help, and what arrived in the lanes."""

    now: datetime = NOW
    posts: dict[str, Posted] = field(default_factory=dict)
    edited_at: dict[str, datetime] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    ticked: set[str] = field(default_factory=set)
    lanes: dict[ChannelRef, list[Told]] = field(default_factory=lambda: defaultdict(list))
    late: list[tuple[datetime, ChannelRef, Outbound, tuple[str, ...]]] = field(default_factory=list)
    echo: Callable[[Posted], None] = lambda _: None
    outcome: str = "ok"
    job: Pending | None = None
    _count: int = 0

    def position(self) -> int:
        self._count += 1
        return int(self.now.timestamp() * 1000) * 1000 + self._count

    def wait(self, seconds: float) -> None:
        end = self.now + timedelta(seconds=seconds)
        for one in sorted(self.late, key=lambda late: late[0]):
            if one[0] <= end:
                self.late.remove(one)
                self.now = one[0]
                self.accept(*one[1:])
        self.now = end

    def accept(self, channel: ChannelRef, outbound: Outbound, keys: tuple[str, ...]) -> Receipt:
        """A message arrives, unless the platform still remembers its key."""
        if channel == STAFF:
            for one in self.lanes[channel]:
                if one.keys[0] == outbound.key and self.now - one.at < timedelta(seconds=60):
                    return Receipt(str(one.native), one.native)
        native = self.position()
        self.lanes[channel].append(Told(native, keys, outbound.document, self.now))
        if channel == ONCALL:
            said = Posted(channel, str(native), native, US, "told", self.now, key=outbound.key)
            self.echo(said)
        return Receipt(str(native), native)

    # ---- as the ports see it

    def sender(self, account: str) -> "World":
        self.limits = Limits(remembers_seconds=60 if account == STAFF.account else 0)
        return self

    def history(self, _: str) -> "World":
        return self

    async def send(self, outbound: Outbound) -> Receipt:
        assert self.job
        keys = (self.job.key, *(one.key for one in self.job.others))
        what, _, then = self.outcome.partition(" ")
        if what in REFUSED:
            raise REFUSED[what]
        receipt = None
        if what == "ok" or then == "after":
            receipt = self.accept(outbound.channel, outbound, keys)
        elif then:
            moment = self.now + timedelta(seconds=float(then))
            self.late.append((moment, outbound.channel, outbound, keys))
        if what == "ok" and receipt:
            return receipt
        raise Crash if what == "crash" else UnknownOutcomeError(what, answered=what == "500")

    async def find(self, outbound: Outbound, after: str) -> Receipt | None:
        for one in self.lanes[outbound.channel]:
            if one.native <= int(after or 0) or self.now - one.at < LAG:
                continue
            by_key = outbound.channel == ONCALL
            if one.keys[0] == outbound.key if by_key else one.document == outbound.document:
                return Receipt(str(one.native), one.native)
        return None

    async def look(self, channel: ChannelRef, native_id: str, thread: str) -> Sequence[Event]:
        assert (channel, thread) == (HELP, "")
        replies = [one for one in self.posts.values() if one.thread == native_id]
        return [self._stands(self.posts[native_id]), *map(self._stands, replies)]

    async def missed(self, after: int, roots_after: int) -> AsyncIterator[Page]:
        """Pages of two, and the replies to each root one by one."""
        every = sorted(self.posts.values(), key=lambda post: post.position)
        roots = [one for one in every if not one.thread and one.position > after]
        start = after + 1
        for index in range(0, len(roots), 2):
            two = roots[index : index + 2]
            end = two[-1].position
            yield Page(tuple(self._stands(one) for one in two), start, end)
            start = end + 1
        end = self.position()
        yield Page((), start, end)
        for one in every:
            if one.thread and one.position > after and int(one.thread) >= roots_after:
                yield Page((self._stands(one),), 1, 0)

    def _stands(self, post: Posted) -> Shown | Deleted:
        if post.native_id in self.deleted:
            return Deleted(HELP, post.native_id, post.position, self.now)
        reactions = ((TICK, "U-grace"),) if post.native_id in self.ticked else ()
        return Shown(post, self.now, self.edited_at.get(post.native_id), reactions)

    def matters(self, native: str) -> bool:
        """Whether what a question owes still has to be told in the end."""
        answered = any(one.thread == native for one in self.posts.values())
        gone = native in self.deleted | self.ticked | set(self.edited_at)
        return not answered and not gone


@dataclass
class Listener:
    """A process that hears people: its inbox, and the backfill it is in the middle of."""

    intake: Intake
    inbox: list[Event] = field(default_factory=list)
    lost: bool = False
    reading: tuple[cursors.Behind, Reading, AsyncIterator[Page]] | None = None


@dataclass
class Hand:
    """A worker: the jobs it has claimed, and what came of them."""

    id: str
    dead_at: datetime | None = None
    buried: bool = False
    jobs: list[Pending] = field(default_factory=list)
    settled: list[Settlement] = field(default_factory=list)
    held: set[int] = field(default_factory=set)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits for anything."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")


ENDS = st.sampled_from(["commit", "commit", "commit", "roll back", "forget"])
"""How a transaction ends: well, undone after its last statement, or done and nobody knows."""


class Bridge(RuleBasedStateMachine):
    """The steps, in any order."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.echo = self._tell
        self.listener: Listener | None = None
        self.hands: list[Hand] = []
        self.crashes = 0
        self.started: int | None = None
        self.known_moot: set[str] = set()
        self.claimed_moot: dict[int, set[str]] = {}
        self._ids = 0
        self._patch = mock.patch("bridge.attempt._now", new=self._clock)
        self._patch.start()
        self.undo = False
        transaction = self.store.transaction

        @contextmanager
        def perhaps_undone() -> Iterator[Any]:
            with transaction() as session:
                yield session
                if self.undo:
                    session.flush()
                    raise Crash

        self._transaction = perhaps_undone

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

    def _clock(self) -> datetime:
        return self.world.now

    # ---- people

    @rule(
        deed=st.sampled_from(["ask", "ask", "answer", "delete", "tick", "edit", "ask a lot"]),
        which=st.integers(0, 12),
        words=st.sampled_from(["How?", "How?", "Why?"]),
        heard=st.booleans(),
    )
    def people_act(self, deed: str, which: int, words: str, heard: object) -> None:
        root = self._pick(which)
        if deed.startswith("ask"):
            for _ in range(7 if deed == "ask a lot" else 2):
                self._post(words, "U-ada")
        elif root and root not in self.world.deleted:
            self._do(deed, root)
        if heard and self.listener and self.listener.inbox:
            self.hear("commit")

    def _do(self, deed: str, root: str) -> None:
        world = self.world
        match deed:
            case "answer":
                self._post("Like this.", "U-grace", thread=root)
            case "delete":
                world.deleted.add(root)
                self._tell(Deleted(HELP, root, int(root), world.now))
            case "tick":
                world.ticked.add(root)
                self._tell(Reacted(HELP, root, "U-grace", TICK, added=True, at=world.now))
            case "edit":
                world.edited_at[root] = world.now
                world.posts[root] = replace(world.posts[root], text="Never mind.")
                self._tell(Edited(world.posts[root], world.now))

    def _pick(self, which: int) -> str | None:
        roots = [one.native_id for one in self.world.posts.values() if not one.thread]
        return roots[which % len(roots)] if roots else None

    def _post(self, words: str, author: str, thread: str = "") -> None:
        position = self.world.position()
        post = Posted(HELP, str(position), position, author, words, self.world.now, thread=thread)
        self.world.posts[post.native_id] = post
        self._tell(post)

    def _tell(self, event: Event) -> None:
        if self.listener:
            self.listener.inbox.append(event)

    # ---- time

    @rule(seconds=st.sampled_from([1.0, 5.0, 11.0, 11.0, 31.0, 61.0, 700.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.world.wait(seconds)

    # ---- the listener

    @rule()
    def listener_dies_or_starts(self) -> None:
        if self.listener is None:
            self.listener_starts()
        elif self._cursor():  # a channel that was never heard of starts when it first is
            self.listener = None

    def listener_starts(self) -> None:
        self.listener = Listener(Intake(self.store, RuleBook([RULE]), {US}.__contains__))
        if self.started is None:
            self.listener.inbox.append(ChannelNamed(HELP, "help"))
            self.started = self.world.position()
            self.listener.inbox.append(Gap(HELP.account, self.started, self.world.now))
        else:
            self.listener.inbox.append(Gap(HELP.account, self.world.position(), self.world.now))

    @precondition(lambda self: self.listener and (self.listener.inbox or self.listener.lost))
    @rule(end=ENDS)
    def hear(self, end: str) -> None:
        """Commit what is in the inbox; a commit that fails is a gap."""
        listener = self.listener
        assert listener
        if self.started and not self._cursor():
            end = "commit"
        batch, listener.inbox = listener.inbox, []
        if listener.lost:
            batch.insert(0, Gap(HELP.account, 0, self.world.now))
        if self._ended(end, lambda: listener.intake.take(batch, self.world.now)):
            listener.lost = False
            self._note_moot(batch)
        elif end == "forget":
            self._note_moot(batch)
            self.listener = None
        else:
            listener.lost = True

    def _cursor(self) -> int | None:
        with self.store.reading() as session:
            found = session.execute(text("SELECT cursor FROM channel WHERE id = 'C-help'"))
            return found.scalar()

    @precondition(lambda self: self.listener is not None)
    @rule(steps=st.integers(1, 12), end=ENDS)
    def read_for_a_while(self, steps: int, end: str) -> None:
        for _ in range(steps):
            if self.listener:
                self.read_on("commit")
        if self.listener:
            self.read_on(end)

    def read_on(self, end: str) -> None:
        """One step of the backfill: begin, a page, or the end."""
        listener = self.listener
        assert listener
        if listener.reading is None:
            with self.store.reading() as session:
                behind = cursors.behind(session, HELP.account)
                which = next((one for one in behind if one.channel == HELP), None)
                if which is None:
                    return
                start = cursors.reading_from(session, which, self.world.now)
            reading = Reading(self.world.now)
            listener.reading = which, reading, self.world.missed(*start)
            return
        which, reading, pages = listener.reading
        page = run(anext(pages, None))  # type: ignore[arg-type]
        step: Callable[[], Any] = (
            (lambda: listener.intake.read_up(HELP, page, self.world.now))
            if page
            else (lambda: listener.intake.catch_up(which, reading, self.world.now))
        )
        done = self._ended(end, step)
        if (done or end == "forget") and page:
            self._note_moot(page.events)
            reading.note(page)
        if not done or page is None:
            listener.reading = None

    def _note_moot(self, events: Sequence[Event]) -> None:
        """What the store knows to be moot from now on."""
        for event in events:
            match event:
                case Deleted(native_id=native) | Reacted(native_id=native):
                    self.known_moot.add(native)
                case Edited(message=message):
                    self.known_moot.add(message.native_id)
                case Posted(thread=thread, author="U-grace") if thread:
                    self.known_moot.add(thread)
                case Shown(message=message, edited_at=edited_at, reactions=reactions):
                    if edited_at or reactions:
                        self.known_moot.add(message.native_id)
                    if message.thread:
                        self.known_moot.add(message.thread)

    # ---- workers

    def worker_joins(self) -> None:
        self.hands.append(Hand(self._register()))

    def _register(self) -> str:
        self._ids += 1
        made = f"worker-{self._ids}"
        with self.store.transaction() as session:
            workers.register(session, Worker(id=made, started_at=self.world.now))
        return made

    @precondition(lambda self: any(not one.dead_at for one in self.hands))
    @rule(which=st.integers(0, 1), end=ENDS)
    def take_turn(self, which: int, end: str) -> None:
        """One transaction of a worker."""
        hand = self._hand(which)
        if hand.buried:  # its next beat tells it so
            hand.id, hand.buried = self._register(), False
        settled = hand.settled
        active = {job.lane for job in hand.jobs} | {one.job.lane for one in settled}
        rung = [lane for lane in self._lanes() if lane not in active]
        done: list[Any] = []

        def work() -> None:
            with self.store.transaction() as session:
                done.append(turn(session, hand.id, settled, rung, hand.held, self.world.now))

        moot = set(self.known_moot)
        if self._ended(end, work):
            hand.settled, hand.held = [], set(done[0].more)
            hand.jobs += done[0].jobs
            self.claimed_moot.update({job.id: moot for job in done[0].jobs})
        elif end == "forget":  # the engine cannot tell, and tries all of it again
            hand.held |= set(rung)

    @precondition(lambda self: any(not one.dead_at for one in self.hands))
    @rule(
        which=st.integers(0, 1),
        wait=st.sampled_from([0.0, 2.0, 11.0, 11.0, 35.0]),
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
                self._try(hand, hand.jobs[0], outcome)

    @precondition(lambda self: any(one.jobs for one in self.hands if not one.dead_at))
    @rule(which=st.integers(0, 1), outcome=st.sampled_from(CRASHES))
    def crash_over_a_job(self, which: int, outcome: str) -> None:
        busy = [one for one in self.hands if one.jobs and not one.dead_at]
        hand = busy[which % len(busy)]
        if self.crashes < MOST_CRASHES:
            self.crashes += 1
            self._try(hand, hand.jobs[0], outcome)
            self._replace_the_dead()

    def _try(self, hand: Hand, job: Pending, outcome: str) -> None:
        self.world.job, self.world.outcome = job, outcome

        def still_ours() -> bool:
            if not hand.buried:
                self._must_matter(job)
            return not hand.buried

        try:
            came_of_it = run(attempt(job, self.world, still_ours=still_ours))
        except Crash:
            self._die(hand)
            return
        hand.jobs.remove(job)
        hand.settled.append(Settlement(job, self._verdict(job, came_of_it)))

    def _must_matter(self, job: Pending) -> None:
        """It is sent next: what was moot at its claim must not be."""
        for row in (job, *job.others):
            assert row.source
            moot = self.claimed_moot.get(job.id, set())
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

    @precondition(lambda self: any(not one.dead_at for one in self.hands))
    @rule(which=st.integers(0, 1))
    def worker_dies(self, which: int) -> None:
        if self.crashes < MOST_CRASHES:
            self.crashes += 1
            self._die(self._hand(which))
            self._replace_the_dead()

    def _replace_the_dead(self) -> None:
        if not any(not one.dead_at for one in self.hands):
            self.worker_joins()

    @precondition(lambda self: len([one for one in self.hands if not one.dead_at]) < 2)
    @rule()
    def another_worker_joins(self) -> None:
        self.worker_joins()

    def _die(self, hand: Hand) -> None:
        hand.dead_at = self.world.now
        hand.jobs, hand.settled, hand.held = [], [], set()

    @precondition(lambda self: any(not one.buried for one in self.hands))
    @rule(stalled=st.booleans(), which=st.integers(0, 1))
    def somebody_is_taken_for_dead(self, stalled: object, which: int) -> None:
        """After the TTL; of the living only one that is held up by then, and will notice."""
        dead = [one for one in self.hands if one.dead_at and not one.buried]
        living = [one for one in self.hands if not one.dead_at and not one.buried]
        if dead:
            hand = dead[0]
        elif stalled and living:
            hand = living[which % len(living)]
        else:
            return
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

    def _ended(self, end: str, work: Callable[[], Any]) -> bool:
        """Do a step; whether whoever did it knows that it is done."""
        self.undo = end == "roll back"
        with mock.patch.object(self.store, "transaction", self._transaction):
            try:
                work()
            except Crash:
                return False
            finally:
                self.undo = False
        return end == "commit"

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
            for _ in self.hands:
                self.somebody_is_taken_for_dead(stalled=False, which=0)
            if not self.hands:
                self.worker_joins()
            for hand in [one for one in self.hands if not one.dead_at]:
                while hand.jobs:
                    self._try(hand, hand.jobs[0], "ok")
                self.take_turn(self.hands.index(hand), "commit")
            self.world.wait(11.0)
            if not self._busy():
                return
        raise AssertionError("it never comes to rest")

    def _busy(self) -> bool:
        with self.store.reading() as session:
            owed = session.exec(select(Delivery.id).where(Delivery.status == 0)).first()
            behind = cursors.behind(session, HELP.account)
        in_hand = any(one.jobs or one.settled for one in self.hands)
        assert self.listener
        return bool(owed or behind or in_hand or self.listener.inbox or self.world.late)

    def _look_at_the_end(self) -> None:
        with self.store.reading() as session:
            found = session.exec(
                select(Delivery.key, Message.native_id, Lane.channel)
                .join(Message, Delivery.message == Message.id)
                .join(Lane, Delivery.lane == Lane.id)
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
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=80,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    store.close()
