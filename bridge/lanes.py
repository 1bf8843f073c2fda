"""Lanes: the ordered queue to one destination, and which worker holds it. Transactions only.

A lane belongs to a worker while `lane.holder` names a worker that has a row; a worker that others
found dead loses its row, and with it everything it held. `epoch` fences what it may still say.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Table, and_, exists, func, or_, select, true, update
from sqlmodel import Session

from bridge.messages import ChannelRef
from bridge.models import Lane, Worker
from bridge.pending import DELIVERY, OWED
from bridge.store import chunks, insert_into, is_sqlite

LANE: Table = Lane.__table__  # type: ignore[attr-defined]
WORKER: Table = Worker.__table__  # type: ignore[attr-defined]


def ensure_lanes(session: Session, targets: Collection[ChannelRef]) -> dict[ChannelRef, int]:
    """The ids of the lanes to these destinations, made where there is none yet."""
    if not targets:
        return {}
    rows = [{"account": t.account, "channel": t.id} for t in sorted(targets, key=_sort_key)]
    session.execute(insert_into(session, Lane).on_conflict_do_nothing(), rows)
    wanted = or_(*(and_(LANE.c.account == t.account, LANE.c.channel == t.id) for t in targets))
    found = session.execute(select(LANE.c.id, LANE.c.account, LANE.c.channel).where(wanted))
    return {ChannelRef(account, channel): lane for lane, account, channel in found}


def lease(session: Session, worker: str, lanes: Collection[int]) -> set[int]:
    """Take those of these lanes that nobody living holds.

    Two workers cannot block each other: one that is being written is left to whoever does. If
    that lets go of it, it looks at it again after that commit.
    """
    taken: set[int] = set()
    living = exists().where(WORKER.c.id == LANE.c.holder)
    free_ = or_(LANE.c.holder.is_(None), ~living)
    for chunk in chunks(sorted(lanes)):
        wanted: Sequence[int] = chunk
        if not is_sqlite(session):
            seen_free = select(LANE.c.id).where(LANE.c.id.in_(chunk), free_)
            locked = seen_free.order_by(LANE.c.id).with_for_update(skip_locked=True)
            wanted = session.scalars(locked).all()
        if wanted:
            taken.update(_take(session, worker, wanted, free_))
    return taken


def _take(
    session: Session, worker: str, lanes: Sequence[int], free_: ColumnElement[bool]
) -> Iterable[int]:
    held = update(LANE).where(LANE.c.id.in_(lanes), free_)
    values = held.values(holder=worker, epoch=LANE.c.epoch + 1)
    return session.scalars(values.returning(LANE.c.id))


def free(session: Session, worker: str, lanes: Collection[int]) -> None:
    """Let go of lanes that this worker holds; others are left alone."""
    for chunk in chunks(sorted(lanes)):
        session.execute(
            update(LANE).where(LANE.c.id.in_(chunk), LANE.c.holder == worker).values(holder=None)
        )


def due_lanes(session: Session, until: datetime, now: datetime) -> list[tuple[int, datetime]]:
    """Every lane with something due before `until`, and when its first is (or its pause ends)."""
    # the unary plus keeps SQLite from scanning the index on lanes instead of the one on due_at
    plus = is_sqlite(session)
    lane: ColumnElement[int] = DELIVERY.c.lane.op("+")(0) if plus else DELIVERY.c.lane
    due = (
        select(lane.label("lane"), func.min(DELIVERY.c.due_at).label("due_at"))
        .where(OWED, DELIVERY.c.due_at <= until)
        .group_by(lane)
        .subquery()
    )
    paused = LANE.c.paused_until
    statement = (
        select(LANE.c.id, due.c.due_at, paused)
        .join(due, due.c.lane == LANE.c.id)
        .where(or_(paused.is_(None), paused <= until))
    )
    rows = session.execute(statement)
    return [(row.id, max(row.due_at, row.paused_until or now)) for row in rows]


def held_by(holder: str | None) -> ColumnElement[bool]:
    """Keeps off lanes that others hold by now: not to be written, nor to be waited for."""
    return true() if holder is None else LANE.c.holder == holder


def lanes_with_due(session: Session, lanes: Collection[int], now: datetime) -> list[int]:
    """Those of these lanes that have something due and are not paused."""
    found: list[int] = []
    for chunk in chunks(sorted(lanes)):
        due = exists().where(DELIVERY.c.lane == LANE.c.id, OWED, DELIVERY.c.due_at <= now)
        open_ = or_(LANE.c.paused_until.is_(None), LANE.c.paused_until <= now)
        found += session.scalars(select(LANE.c.id).where(LANE.c.id.in_(chunk), due, open_))
    return found


def _sort_key(target: ChannelRef) -> tuple[str, str]:
    return target.account, target.id
