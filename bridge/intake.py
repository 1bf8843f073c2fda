"""A batch of events becomes one transaction: messages, what they owe, what no longer matters."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

from sqlalchemy import select, tuple_
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlmodel import Session

from bridge import archive, cursors, directory, outbox
from bridge.archive import MessageKey, Own, message_key
from bridge.cursors import Behind, Reading
from bridge.errors import StoreError
from bridge.lanes import ensure_lanes
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Event,
    Gap,
    Page,
    PersonNamed,
    Posted,
    Reacted,
    Shown,
)
from bridge.models import Quarantine
from bridge.pending import MESSAGE, pending_for
from bridge.rules import RuleBook, Trigger, no_longer_matters
from bridge.store import Store, one_by_one

E = TypeVar("E")

MOST_JUDGED = 200
"""Messages that rules judge in one transaction after a gap."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a batch. `owed` pairs a lane with the moment something is due in it."""

    stored: int = 0
    owed: tuple[tuple[int, datetime], ...] = ()
    cancelled: int = 0
    quarantined: int = 0

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(
            self.stored + other.stored,
            self.owed + other.owed,
            self.cancelled + other.cancelled,
            self.quarantined + other.quarantined,
        )


@dataclass
class Intake:
    """Takes batches in, one thread at a time."""

    store: Store
    rules: RuleBook
    own: Own
    _lanes: dict[ChannelRef, int] = field(default_factory=dict)

    def prepare(self) -> None:
        """Keep the rules and make the lanes they name; once, before the first batch."""
        targets = {target for rule in self.rules.rules for target in rule.to}
        with self.store.transaction() as session:
            outbox.keep_rules(session, (rule.snapshot for rule in self.rules.rules))
            lanes = ensure_lanes(session, targets)
        self._lanes.update(lanes)

    def take(self, events: Sequence[Event], now: datetime) -> Taken:
        """Store a batch in one transaction. Safe to repeat: what was seen before changes nothing.

        An event that the store cannot hold is set aside in quarantine and the rest is stored.
        Raises StoreError when the store cannot be reached; then nothing was stored.
        """
        try:
            with self.store.transaction() as session:
                taken, lanes = self._take(session, events, now)
        except (StoreError, ValueError, OverflowError) as error:
            if not _is_about_data(error):
                raise
            return self._take_halves(events, now, error)
        self._lanes.update(lanes)
        return taken

    def _take_halves(self, events: Sequence[Event], now: datetime, error: Exception) -> Taken:
        if len(events) > 1:
            middle = len(events) // 2
            return self.take(events[:middle], now) + self.take(events[middle:], now)
        with self.store.transaction() as session:
            session.add(Quarantine(at=now, event=ascii(events[0]), reason=ascii(str(error))))
        return Taken(quarantined=1)

    def _take(
        self, session: Session, events: Sequence[Event], now: datetime
    ) -> tuple[Taken, dict[ChannelRef, int]]:
        # two listeners of one account hand on the same events, cut into batches each in its way
        one_by_one(session, {account_of(event) for event in events})
        taken, lanes = Taken(), dict[ChannelRef, int]()
        for part in _cut_at_gaps(events):
            came_of_it, more = self._take_part(session, part, now)
            taken, lanes = taken + came_of_it, lanes | more
        return taken, lanes

    def _take_part(
        self, session: Session, events: Sequence[Event], now: datetime
    ) -> tuple[Taken, dict[ChannelRef, int]]:
        directory.name_channels(session, _of(events, ChannelNamed))
        directory.name_people(session, _of(events, PersonNamed))
        cursors.open_gaps(session, _of(events, Gap))
        live, shown = _of(events, Posted), _of(events, Shown)
        behind = cursors.move(session, live)
        behind |= cursors.which_behind(session, {one.message.channel for one in shown} - behind)
        posts = [*(one.message for one in shown), *live]
        stored, triggers = archive.add_posts(session, posts, now, self.own, behind)
        edits = [Edited(one.message, one.edited_at) for one in shown if one.edited_at]
        archive.apply_edits(session, [*edits, *_of(events, Edited)], now, self.own)
        archive.apply_deletes(session, _of(events, Deleted), now)
        archive.show_reactions(session, shown)
        archive.apply_reactions(session, _of(events, Reacted))
        outbox.echoed(session, [(post.key, post.native_id) for post in posts if post.key], now)
        bells, lanes = self._owe(session, triggers, now)
        cancelled = _tidy(session, _touched(events), now)
        return Taken(stored=stored, owed=bells, cancelled=cancelled), lanes

    def _owe(
        self, session: Session, triggers: Sequence[Trigger], now: datetime
    ) -> tuple[tuple[tuple[int, datetime], ...], dict[ChannelRef, int]]:
        owed = [one for trigger in triggers for one in self.rules.owed_by(trigger)]
        lanes = ensure_lanes(session, {one.target for one in owed} - self._lanes.keys())
        known = self._lanes | lanes if lanes else self._lanes
        outbox.owe(session, owed, known, now)
        return tuple((known[one.target], one.due_at) for one in owed), lanes

    def read_up(self, channel: ChannelRef, page: Page, now: datetime) -> Taken:
        """Store a page of history; the channel's cursor stays until all is read."""
        with self.store.transaction() as session:
            deleted = cursors.gone(session, channel, page, now)
        return self.take([*page.events, *deleted], now)

    def catch_up(self, channel: Behind, reading: Reading, now: datetime) -> tuple[Taken, bool]:
        """Let the rules judge what came while the channel was behind, in the platform's order.

        For whoever has read the channel to its end. Judges a few hundred at a time; the flag says
        that all is judged and the channel is complete, with its cursor at the end of the reading.
        """
        with self.store.transaction() as session:
            one_by_one(session, {channel.channel.account})
            waiting, done = cursors.unjudged(session, channel, reading, MOST_JUDGED)
            bells, lanes = self._owe(session, waiting, now)
            cancelled = _tidy(session, {_trigger_key(one) for one in waiting}, now)
            if done:
                outbox.read_anew(session, cursors.read_whole(session, channel.channel, reading))
                cursors.close(session, channel, reading)
        self._lanes.update(lanes)
        return Taken(owed=bells, cancelled=cancelled), done


def _tidy(session: Session, touched: Collection[MessageKey], now: datetime) -> int:
    """Cancel early what these messages no longer need; the claim would find it as well."""
    if not touched:
        return 0
    key = tuple_(MESSAGE.c.account, MESSAGE.c.channel, MESSAGE.c.native_id)
    ids = session.scalars(select(MESSAGE.c.id).where(key.in_(sorted(touched)))).all()
    pending = pending_for(session, ids)
    verdicts = [(one.id, no_longer_matters(one.rule, one.facts)) for one in pending if one.rule]
    reasons = [(delivery, reason) for delivery, reason in verdicts if reason]
    return outbox.cancel(session, reasons, now)


def _touched(events: Iterable[Event]) -> set[MessageKey]:
    """The messages whose pending deliveries may no longer matter after these events."""
    found: set[MessageKey] = set()
    for event in events:
        match event:
            case Posted(channel=channel, thread=thread, reply_to=reply_to):
                found |= {(channel.account, channel.id, one) for one in (thread, reply_to) if one}
            case Edited(message=message):
                found.add(message_key(message))
            case Deleted() | Reacted():
                found.add(message_key(event))
            case Shown(message=message):
                found.add(message_key(message))
                found |= _touched([message])
    return found


def _cut_at_gaps(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """The events in pieces that begin with a gap: what came before one was heard before it."""
    starts = [0, *(index for index, one in enumerate(events) if index and isinstance(one, Gap))]
    return (events[start:end] for start, end in pairwise([*starts, len(events)]))


def account_of(event: Event) -> str:
    """The account that an event came by."""
    match event:
        case Edited(message=message):
            return message.channel.account
        case Shown(message=message):
            return message.channel.account
        case PersonNamed(account=account) | Gap(account=account):
            return account
        case _:
            return event.channel.account


def _trigger_key(trigger: Trigger) -> MessageKey:
    return trigger.channel.account, trigger.channel.id, trigger.native_id


def _of(events: Iterable[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def _is_about_data(error: Exception) -> bool:
    """Whether what was in a row is at fault, rather than the store."""
    if not isinstance(error, StoreError):
        return True
    cause = error.__cause__
    return isinstance(cause, DataError | IntegrityError) or (
        isinstance(cause, StatementError) and not isinstance(cause, DBAPIError)
    )
