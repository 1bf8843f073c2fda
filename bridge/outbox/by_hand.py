"""What a person may do to a delivery: send it after all, or not at all."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import (
    and_,
    case,
    update,
)
from sqlmodel import Session

from bridge.models import Status
from bridge.outbox.ending import cancel
from bridge.pending import DELIVERY, UNKNOWN
from bridge.store import chunks

BY_COMMAND = "cancelled by command"


def revive(session: Session, ids: Collection[int], now: datetime) -> list[int]:
    """Owe dead and held deliveries anew, as if they were due now; returns those that are.

    One that died while nobody knew whether it had arrived is looked up first; of a held one a
    person has just decided that it did not.
    """
    unsure = and_(DELIVERY.c.status == int(Status.DEAD), DELIVERY.c.sure_at.is_not(None))
    revived: list[int] = []
    for chunk in chunks(sorted(ids)):
        ended = DELIVERY.c.status.in_([int(Status.DEAD), int(Status.HELD)])
        again = update(DELIVERY).where(DELIVERY.c.id.in_(chunk), ended)
        owed = again.values(
            status=int(Status.OWED),
            due_at=now,
            attempts=0,
            trying=case((unsure, UNKNOWN), else_=0),
            bundle=0,
            cancel_wanted=False,
            settled_at=None,
        )
        revived += session.scalars(owed.returning(DELIVERY.c.id))
    return sorted(revived)


def withdraw(session: Session, ids: Collection[int], now: datetime) -> None:
    """Cancel by command what is owed or held; see `cancel` for one that is being tried."""
    cancel(session, [(delivery, BY_COMMAND) for delivery in sorted(ids)], now)
    for chunk in chunks(sorted(ids)):
        held = DELIVERY.c.status == int(Status.HELD)
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id.in_(chunk), held)
            .values(status=int(Status.CANCELLED), reason=BY_COMMAND, settled_at=now)
        )
