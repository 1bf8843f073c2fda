"""Up to where each channel is complete, and what to do about a gap. Transactions only.

The cursor of a channel moves by a live event while the channel is caught up, else by backfill
alone. Positions grow with time over all channels of an account.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Table,
    case,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlmodel import Session

from bridge.archive import trigger_columns, triggers
from bridge.messages import ChannelRef, Deleted, Gap, Page, Posted, Shown, Threads
from bridge.models import Channel
from bridge.pending import DELIVERY, MESSAGE, OWED
from bridge.rules import Trigger
from bridge.store import insert_into

ROOTS = timedelta(days=7)
"""Threads whose root is older than this are not read for new replies after a gap."""

CHANNEL: Table = Channel.__table__  # type: ignore[attr-defined]
_GAP_AT = CHANNEL.c.gap_at
_UNJUDGED = MESSAGE.c.judged == false()


@dataclass(frozen=True, slots=True)
class Behind:
    """A channel to be read up from `cursor` on; `gap_at` names the gap that is being closed.

    In a `waiting` one are messages that no rule has seen yet.
    """

    channel: ChannelRef
    name: str
    cursor: int
    gap_at: datetime
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """From which positions on to read a channel, and the roots of threads; see History.missed."""

    after: int
    roots_after: int
    threads: Threads = field(default_factory=dict)


@dataclass(slots=True)
class Reading:
    """What a backfill has read of a channel since `began_at`.

    All up to `end`; `whole` are the native ids of messages that were shown with all reactions.
    """

    began_at: datetime
    end: int = 0
    whole: set[str] = field(default_factory=set)

    def note(self, page: Page) -> None:
        """Keep what a page tells."""
        self.end = max(self.end, page.end)
        shown = (event for event in page.events if isinstance(event, Shown))
        self.whole |= {one.message.native_id for one in shown if one.reactions is not None}


def open_gaps(session: Session, gaps: Iterable[Gap]) -> None:
    """Mark every channel of these accounts behind; one that was never heard of starts at now.

    Of a gap that names a channel only that one, which starts at the gap's position.
    """
    for gap in gaps:
        here = [CHANNEL.c.account == gap.account]
        heard: ColumnElement[bool] = CHANNEL.c.cursor.is_not(None)
        if gap.channel:
            here.append(CHANNEL.c.id == gap.channel)
            _ensure(session, gap)
            heard = or_(heard, literal(gap.position > 0))
        start = gap.position or null()  # whoever failed to store something may know no position
        session.execute(
            update(CHANNEL)
            .where(*here)
            .values(
                behind=or_(CHANNEL.c.behind, heard),
                gap_at=case((heard, literal(gap.at, _GAP_AT.type)), else_=_GAP_AT),
                cursor=func.coalesce(CHANNEL.c.cursor, start),
            )
        )


def _ensure(session: Session, gap: Gap) -> None:
    row = {"account": gap.account, "id": gap.channel, "name": ""}
    session.execute(insert_into(session, Channel).values(row).on_conflict_do_nothing())


def move(session: Session, posts: Iterable[Posted]) -> set[ChannelRef]:
    """Move the cursors of caught-up channels to these live posts; returns those that are behind."""
    furthest: dict[ChannelRef, int] = {}
    for post in posts:
        furthest[post.channel] = max(furthest.get(post.channel, 0), post.position)
    rows = [
        {"account": ref.account, "id": ref.id, "name": "", "cursor": position}
        for ref, position in furthest.items()
    ]
    if not rows:
        return set()
    insert = insert_into(session, Channel)
    old, new = CHANNEL.c, insert.excluded
    further = ~old.behind & (old.cursor.is_(None) | (old.cursor < new.cursor))
    statement = insert.on_conflict_do_update(
        index_elements=["account", "id"],
        set_={"cursor": case((further, new.cursor), else_=old.cursor)},
    ).returning(old.account, old.id, old.behind)
    found = session.execute(statement, sorted(rows, key=lambda row: (row["account"], row["id"])))
    return {ChannelRef(account, channel) for account, channel, behind in found if behind}


def behind(session: Session, account: str) -> list[Behind]:
    """The channels of an account that must be read up, the most recently active first."""
    here = MESSAGE.c.account == CHANNEL.c.account, MESSAGE.c.channel == CHANNEL.c.id
    waiting = exists().where(*here, _UNJUDGED)
    found = session.execute(
        select(CHANNEL, waiting.label("waiting"))
        .where(CHANNEL.c.account == account, CHANNEL.c.behind)
        .order_by(CHANNEL.c.cursor.desc())
    )
    return [
        Behind(ChannelRef(row.account, row.id), row.name, row.cursor, row.gap_at, bool(row.waiting))
        for row in found
    ]


def reading_from(session: Session, channel: Behind, now: datetime) -> Start:
    """From which position on to read a channel, and from which on the roots of threads.

    From the cursor; but from the oldest message on that something is still owed for, because it
    may have been edited, deleted or reacted to meanwhile. Roots of the last 7 days may have new
    replies, which the threads that we know of tell.
    """
    mine = (MESSAGE.c.account == channel.channel.account, MESSAGE.c.channel == channel.channel.id)
    recent = MESSAGE.c.sent_at > now - ROOTS
    waiting = select(DELIVERY.c.message).where(OWED, DELIVERY.c.message.is_not(None))
    oldest = func.min(MESSAGE.c.position)
    pending = session.scalar(select(oldest).where(*mine, recent, MESSAGE.c.id.in_(waiting)))
    root = session.scalar(select(oldest).where(*mine, recent))
    after = min(channel.cursor, channel.cursor if pending is None else pending - 1)
    roots_after = min(after, after if root is None else root - 1)
    return Start(after, roots_after, _threads(session, channel.channel, roots_after))


def _threads(session: Session, channel: ChannelRef, after: int) -> Threads:
    rows = session.execute(
        select(MESSAGE.c.thread, func.max(MESSAGE.c.position), func.count())
        .where(
            MESSAGE.c.account == channel.account,
            MESSAGE.c.channel == channel.id,
            MESSAGE.c.thread != "",
            MESSAGE.c.position > after,
            MESSAGE.c.posted,
            MESSAGE.c.deleted_at.is_(None),
        )
        .group_by(MESSAGE.c.thread)
    )
    return {root: (latest, count) for root, latest, count in rows}


def end_of(session: Session, channel: Behind, now: datetime) -> Start:
    """The same as `reading_from`, for reading only the end of a channel once more, and whole."""
    cursor = session.scalar(select(CHANNEL.c.cursor).where(*_is(channel.channel)))
    roots_after = reading_from(session, channel, now).roots_after
    return Start(cursor or channel.cursor, roots_after)


def gone(session: Session, channel: ChannelRef, page: Page, at: datetime) -> list[Deleted]:
    """Messages that we know of, and that history does not show where it should."""
    if page.end < page.start:
        return []
    shown = {
        event.native_id if isinstance(event, Deleted) else event.message.native_id
        for event in page.events
    }
    known = session.execute(
        select(MESSAGE.c.native_id, MESSAGE.c.position).where(
            MESSAGE.c.account == channel.account,
            MESSAGE.c.channel == channel.id,
            MESSAGE.c.position.between(page.start, page.end),
            MESSAGE.c.thread == "",
            MESSAGE.c.posted,
            MESSAGE.c.deleted_at.is_(None),
        )
    )
    return [Deleted(channel, native, place, at) for native, place in known if native not in shown]


def unjudged(
    session: Session, channel: Behind, reading: Reading, most: int
) -> tuple[list[Trigger], bool]:
    """Messages that no rule has seen yet, in the platform's own order; they count as seen now.

    The flag says that there are no more. What came after another gap that has opened meanwhile
    waits until that is closed.
    """
    ref = channel.channel
    latest_gap = select(CHANNEL.c.gap_at).where(*_is(ref)).scalar_subquery()
    rows = session.execute(
        select(*trigger_columns())
        .where(
            MESSAGE.c.account == ref.account,
            MESSAGE.c.channel == ref.id,
            ~MESSAGE.c.judged,
            MESSAGE.c.posted,
            or_(latest_gap == channel.gap_at, MESSAGE.c.position <= reading.end),
        )
        .order_by(MESSAGE.c.position)
        .limit(most)
    ).all()
    ids = [row.id for row in rows]
    if ids:
        judged = update(MESSAGE).where(MESSAGE.c.id.in_(ids)).values(judged=True)
        rows = session.execute(judged.returning(*trigger_columns())).all()
    return triggers(sorted(rows, key=lambda row: row.position)), len(ids) < most


def close(session: Session, caught_up: Behind, reading: Reading) -> None:
    """A channel is complete, unless another gap has opened since this one began to be closed."""
    end = max(reading.end, caught_up.cursor)
    here = _is(caught_up.channel)
    session.execute(update(CHANNEL).where(*here, CHANNEL.c.cursor < end).values(cursor=end))
    session.execute(
        update(CHANNEL).where(*here, CHANNEL.c.gap_at == caught_up.gap_at).values(behind=False)
    )


def read_whole(
    session: Session, channel: ChannelRef, reading: Reading
) -> list[tuple[int, datetime]]:
    """What is owed for messages that were read with all that was said to them, and when."""
    waiting = session.execute(
        select(DELIVERY.c.id, MESSAGE.c.native_id)
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message)
        .where(OWED, MESSAGE.c.account == channel.account, MESSAGE.c.channel == channel.id)
    )
    return [(row.id, reading.began_at) for row in waiting if row.native_id in reading.whole]


def which_behind(session: Session, channels: Collection[ChannelRef]) -> set[ChannelRef]:
    """Those of these channels that are still being read up."""
    if not channels:
        return set()
    found = session.execute(select(CHANNEL.c.account, CHANNEL.c.id).where(CHANNEL.c.behind))
    return {ref for row in found if (ref := ChannelRef(row.account, row.id)) in channels}


def _is(channel: ChannelRef) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return CHANNEL.c.account == channel.account, CHANNEL.c.id == channel.id
