"""How fast one account may send, whoever asks: slots are booked ahead, one after the other.

The generic cell rate algorithm. All that is kept is the moment at which the account would be idle
if everything booked went out evenly ("theoretical arrival time", tat). Times are microseconds.
"""

import time
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, Table, cast, func, literal, select, update
from sqlalchemy import type_coerce as read_as
from sqlmodel import Session

from bridge.models import EPOCH, Budget
from bridge.store import insert_into, is_sqlite

BURST_SECONDS = 0.2
"""After a rest, so much of the rate may go out at once (one message at least)."""
SECOND = 1_000_000
HORIZON = 5 * SECOND
"""Nobody books further ahead: whoever would have to wait longer asks again."""
_MARGIN = SECOND
_INTEGER = BigInteger()

BUDGET: Table = Budget.__table__  # type: ignore[attr-defined]
_TAT: ColumnElement[int] = read_as(BUDGET.c.tat, _INTEGER)


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate in the form that booking needs."""

    interval: int
    tolerance: int

    @classmethod
    def of(cls, rate: float) -> "Pace":
        """The pace of so many messages a second."""
        return cls(
            interval=round(SECOND / rate),
            tolerance=round(SECOND / rate * max(rate * BURST_SECONDS - 1, 0)),
        )

    @property
    def furthest(self) -> int:
        """How far ahead the books can be; what is beyond was booked before a clock was set back."""
        return HORIZON + self.tolerance + self.interval + _MARGIN

    def book(self, tat: int, now: int) -> tuple[int, int]:
        """The wait for the next slot, and the new tat; beyond the horizon nothing is booked."""
        tat = now if tat > now + self.furthest else max(tat, now)
        wait = max(tat - self.tolerance - now, 0)
        return wait, tat if wait > HORIZON else tat + self.interval


def book(session: Session, account: str, rate: float) -> int:
    """Book the account's next slot; returns the wait for it. Beyond HORIZON nothing is booked.

    Counts by the one clock that all workers share: the database server's, or this machine's where
    the store is a file.
    """
    insert = insert_into(session, Budget).values(account=account, tat=EPOCH)
    locked = insert.on_conflict_do_update(
        index_elements=["account"], set_={"account": insert.excluded.account}
    )
    tat, now = session.execute(locked.returning(_TAT, _now(session))).one()
    wait, booked = Pace.of(rate).book(tat, now)
    session.execute(
        update(BUDGET).where(BUDGET.c.account == account).values(tat=read_as(booked, _INTEGER))
    )
    return wait


def ahead(session: Session) -> dict[str, float]:
    """By how many seconds each account is booked ahead."""
    rows = session.execute(select(BUDGET.c.account, _TAT - _now(session)))
    return {account: max(left, 0) / SECOND for account, left in rows}


def _now(session: Session) -> ColumnElement[int]:
    if is_sqlite(session):
        return literal(time.time_ns() // 1000, _INTEGER)
    return cast(func.extract("epoch", func.clock_timestamp()) * SECOND, _INTEGER)
