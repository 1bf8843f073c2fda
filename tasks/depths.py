"""How much waits, and since when: read often, so every statement is bounded however much it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlmodel import Session

from bridge.cursors import CHANNEL
from bridge.lanes import LANE, WORKER
from bridge.pending import DELIVERY, OWED

MOST_DUE = 10_000
MOST_PENDING = 100_000
DEEPEST = 20
"""Lanes that are told apart."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Depths:
    """One moment of the store. Keys are (account,), (account, channel) or (role,)."""

    pending: int
    due: Mapping[Labels, int]
    oldest_seconds: Mapping[Labels, float]
    deepest: Mapping[Labels, int]
    behind: Mapping[Labels, int]
    processes: Mapping[Labels, int]


def read_depths(session: Session, now: datetime) -> Depths:
    """What is due now and in which lanes, what is owed at all, and which channels are behind."""
    lanes = session.execute(due_by_lane(now)).all()
    due: dict[Labels, int] = {}
    oldest: dict[Labels, float] = {}
    for row in lanes:
        account = (row.account,)
        due[account] = due.get(account, 0) + row.number
        late = (now - row.oldest).total_seconds()
        oldest[account] = max(oldest.get(account, 0.0), late)
    return Depths(
        pending=session.scalar(pending()) or 0,
        due=due,
        oldest_seconds=oldest,
        deepest={(row.account, row.channel): row.number for row in lanes[:DEEPEST]},
        behind=channels_behind(session),
        processes=_counts(session, select(WORKER.c.role, func.count()).group_by(WORKER.c.role)),
    )


def channels_behind(session: Session) -> dict[Labels, int]:
    """How many channels of each account are being read up."""
    account = CHANNEL.c.account
    return _counts(session, select(account, func.count()).where(CHANNEL.c.behind).group_by(account))


def due_by_lane(now: datetime) -> Select[str, str, int, datetime]:
    """The lanes of what has been due for longest, the deepest first."""
    first = (
        select(DELIVERY.c.lane, DELIVERY.c.due_at)
        .where(OWED, DELIVERY.c.due_at <= now)
        .order_by(DELIVERY.c.due_at)
        .limit(MOST_DUE)
        .subquery()
    )
    by_lane = (
        select(first.c.lane, func.count().label("number"), func.min(first.c.due_at).label("oldest"))
        .group_by(first.c.lane)
        .subquery()
    )
    return (
        select(LANE.c.account, LANE.c.channel, by_lane.c.number, by_lane.c.oldest)
        .join(by_lane, by_lane.c.lane == LANE.c.id)
        .order_by(by_lane.c.number.desc(), LANE.c.id)
    )


def pending() -> Select[int]:
    """How many deliveries are owed, as far as it is worth counting."""
    some = select(DELIVERY.c.due_at).where(OWED).limit(MOST_PENDING).subquery()
    return select(func.count()).select_from(some)


def _counts(session: Session, query: Select[str, int]) -> dict[Labels, int]:
    return {(name,): number for name, number in session.execute(query)}
