"""What people change about deliveries by command, and how they are told what came of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from bridge import outbox
from bridge.migrations import require_current
from bridge.models import Status
from bridge.pending import DELIVERY
from bridge.store import chunks
from tasks.wiring import House

Result = dict[str, Any]

_TRIES = 10
_BETWEEN_SECONDS = 0.2
_SAID = {
    Status.OWED: "it is owed anyway",
    Status.SENT: "it was sent",
    Status.CANCELLED: "it was cancelled",
    Status.DEAD: "it was given up",
    Status.HELD: "it is held",
}


def dead_ones(house: House) -> list[int]:
    """All deliveries that were given up."""
    require_current(house.store)
    with house.store.reading() as session:
        dead = DELIVERY.c.status == int(Status.DEAD)
        return list(session.scalars(select(DELIVERY.c.id).where(dead)))


def retry(house: House, ids: Sequence[int]) -> list[Result]:
    """Owe these anew, now; a result for each: {"id", "done", "what"}."""
    require_current(house.store)
    with house.store.transaction() as session:
        revived = set(outbox.revive(session, ids, datetime.now(UTC)))
        found = _found(session, ids)
    return [
        _result(one, done=True, what="owed again, due now")
        if one in revived
        else _result(one, done=False, what=_as_it_is(found.get(one)))
        for one in ids
    ]


def cancel(house: House, ids: Sequence[int]) -> list[Result]:
    """Cancel what is owed or held; a result for each: {"id", "done", "what"}."""
    require_current(house.store)
    found: dict[int, _Row] = {}
    for _ in range(_TRIES):
        with house.store.transaction() as session:
            outbox.withdraw(session, ids, datetime.now(UTC))
            found = _found(session, ids)
        # a row that is being written at this very moment was passed over
        if not any(row.status == Status.OWED and not row.wanted for row in found.values()):
            break
        time.sleep(_BETWEEN_SECONDS)
    return [_cancelled(one, found.get(one)) for one in ids]


@dataclass(frozen=True, slots=True)
class _Row:
    status: Status
    wanted: bool
    reason: str


def _found(session: Session, ids: Sequence[int]) -> dict[int, _Row]:
    columns = (
        DELIVERY.c.id,
        DELIVERY.c.status,
        DELIVERY.c.cancel_wanted,
        DELIVERY.c.reason,
    )
    return {
        row.id: _Row(Status(row.status), row.cancel_wanted, row.reason)
        for chunk in chunks(ids)
        for row in session.execute(select(*columns).where(DELIVERY.c.id.in_(chunk)))
    }


def _cancelled(one: int, row: _Row | None) -> Result:
    if row and row.status == Status.CANCELLED and row.reason == outbox.BY_COMMAND:
        return _result(one, done=True, what="cancelled")
    if row and row.status == Status.OWED and row.wanted:
        what = "it is being sent at this moment; if that fails, it is not tried again"
        return _result(one, done=True, what=what)
    return _result(one, done=False, what=_as_it_is(row))


def _as_it_is(row: _Row | None) -> str:
    if row is None:
        return "there is no such delivery"
    return f"{_SAID[row.status]}{f' ({row.reason})' if row.reason else ''}"


def _result(one: int, *, done: bool, what: str) -> Result:
    return {"id": one, "done": done, "what": what}
