"""People and a listener that hears them, in small steps that may be cut off anywhere."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from sqlalchemy import text
from sqlmodel import col, func, select

from bridge import cursors
from bridge.cursors import Reading
from bridge.intake import Intake
from bridge.messages import ChannelNamed, Deleted, Edited, Event, Gap, Page, Posted, Reacted, Shown
from bridge.models import Delivery, Message
from bridge.rules import RuleBook
from bridge.store import Store
from tests.integration.far_side import RULE, TICK, US, Crash, World, run
from tests.values import HELP


@dataclass
class Listener:
    """A process that hears people: its inbox, and the backfill it is in the middle of."""

    intake: Intake
    inbox: list[Event] = field(default_factory=list)
    lost: bool = False
    reading: tuple[cursors.Behind, Reading, AsyncIterator[Page]] | None = None


ENDS = st.sampled_from(["commit", "commit", "commit", "roll back", "forget"])
"""How a transaction ends: well, undone after its last statement, or done and nobody knows."""


class Hearing(RuleBasedStateMachine):
    """The steps of people and of the listener."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.echo = self._tell
        self.listener: Listener | None = None
        self.started: int | None = None
        self.known_moot: set[str] = set()
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
            case "edit" if not self._left_open(root):
                world.edited_at[root] = world.now
                world.posts[root] = replace(world.posts[root], text="Never mind.")
                self._tell(Edited(world.posts[root], world.now))

    def _left_open(self, root: str) -> bool:
        """Whether nobody could say, if it is edited now, what a worker that died has sent."""
        with self.store.reading() as session:
            trying = session.exec(
                select(func.max(Delivery.trying))
                .join(Message, col(Delivery.message) == Message.id)
                .where(Message.native_id == root, Delivery.status == 0)
            ).one()
            leads = session.exec(
                select(func.max(Delivery.trying)).where(Delivery.bundle == Delivery.id)
            ).one()
        return (trying or 0) > 0 or (leads or 0) > 0

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

    # ---- the listener

    @rule(
        what=st.sampled_from(["hear", "hear", "read", "read", "read", "die or start"]),
        steps=st.integers(1, 12),
        end=ENDS,
    )
    def listen(self, what: str, steps: int, end: str) -> None:
        if self.listener is None:
            self.listener_starts()
        elif what == "hear":
            self.hear(end)
        elif what == "read":
            self.read_for_a_while(steps, end)
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

    def hear(self, end: str) -> None:
        """Commit what is in the inbox; a commit that fails is a gap."""
        listener = self.listener
        assert listener
        if not (listener.inbox or listener.lost):
            return
        if self.started and not self._cursor():
            end = "commit"
        batch, listener.inbox = listener.inbox, []
        if listener.lost:
            batch.insert(0, Gap(HELP.account, 0, self.world.now, HELP.id))
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
            listener.reading = (
                which,
                reading,
                self.world.missed(HELP, start.after, start.roots_after, start.threads),
            )
            return
        which, reading, pages = listener.reading
        page = run(anext(pages, None))
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
