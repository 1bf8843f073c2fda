"""Who is alive: heartbeats, judged by the observer's own clock, and roles that one process holds.

Clocks of machines differ, so a beat is a counter. Whoever sees one stand still for the TTL takes
the row away, unless it moved in that very moment; with the row goes all that the worker held.
"""

from collections.abc import Mapping

from sqlalchemy import Table, delete, exists, or_, select, update
from sqlmodel import Session

from bridge.models import Lease, Worker
from bridge.store import insert_into

BEAT_SECONDS = 2.0
TTL_SECONDS = 6.0

WORKER: Table = Worker.__table__  # type: ignore[attr-defined]
LEASE: Table = Lease.__table__  # type: ignore[attr-defined]


def register(session: Session, worker: Worker) -> None:
    """Begin to live."""
    session.add(worker)


def beat(session: Session, worker: str) -> bool:
    """Show that a worker lives; False when others took it for dead and its row is gone."""
    moved = update(WORKER).where(WORKER.c.id == worker).values(beat=WORKER.c.beat + 1)
    return session.execute(moved.returning(WORKER.c.id)).first() is not None


def beats(session: Session) -> dict[str, int]:
    """Everybody's beat."""
    return {row.id: row.beat for row in session.execute(select(WORKER.c.id, WORKER.c.beat))}


def bury(session: Session, dead: Mapping[str, int]) -> None:
    """Take away the rows of workers whose beat is still the given one.

    A row that is being written belongs to somebody who lives, and is not waited for.
    """
    for worker, last in sorted(dead.items()):
        still = select(WORKER.c.id).where(WORKER.c.id == worker, WORKER.c.beat == last)
        idle = still.with_for_update(skip_locked=True).scalar_subquery()
        session.execute(delete(WORKER).where(WORKER.c.id == idle))


def leave(session: Session, worker: str) -> None:
    """End a worker's life in good order: all that it held is free at once."""
    session.execute(delete(WORKER).where(WORKER.c.id == worker))


def lead(session: Session, role: str, worker: str) -> bool:
    """Whether the worker holds the role now: it did already, or nobody living does."""
    session.execute(
        insert_into(session, Lease).on_conflict_do_nothing(), [{"name": role, "holder": worker}]
    )
    living = exists().where(WORKER.c.id == LEASE.c.holder)
    taken = (
        update(LEASE)
        .where(LEASE.c.name == role, or_(LEASE.c.holder == worker, ~living))
        .values(holder=worker)
        .returning(LEASE.c.name)
    )
    return session.execute(taken).first() is not None


class Observer:
    """Remembers when each beat last moved, by the clock that its owner passes in (seconds).

    Who has not looked for long cannot tell: when the store was away, everybody's beat stood still.
    """

    def __init__(self, ttl: float = TTL_SECONDS) -> None:
        self._ttl = ttl
        self._moved: dict[str, tuple[int, float]] = {}
        self._looked = 0.0

    def dead(self, seen: Mapping[str, int], clock: float) -> dict[str, int]:
        """The workers whose beat has stood still for the TTL, with that beat."""
        if clock - self._looked > self._ttl / 2:
            self._moved.clear()
        self._looked = clock
        self._moved = {
            worker: known
            if (known := self._moved.get(worker)) and known[0] == last
            else (last, clock)
            for worker, last in seen.items()
        }
        return {
            worker: last
            for worker, (last, since) in self._moved.items()
            if clock - since >= self._ttl
        }
