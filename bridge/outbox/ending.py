"""Rows that end: sent, cancelled, dead or held."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    Row,
    and_,
    bindparam,
    case,
    exists,
    literal,
    select,
    true,
    update,
)
from sqlmodel import Session

from bridge.lanes import LANE
from bridge.models import Status
from bridge.pending import DELIVERY, OWED
from bridge.store import chunks, is_sqlite

_LEAD = DELIVERY.alias("lead")


def sent(
    session: Session,
    receipts: Sequence[tuple[int, int, str]],
    now: datetime,
    before: Mapping[int, str] | None = None,
) -> None:
    """Record (delivery, lane, native id). Always allowed: what happened, happened.

    It becomes the lane's last receipt, unless that is no longer the one of `before` (by lane):
    then the lane has gone on since.
    """
    if not receipts:
        return
    session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.status != int(Status.SENT))
        .values(
            status=int(Status.SENT), receipt=bindparam("r"), trying=0, reason="", settled_at=now
        ),
        [{"d": delivery, "r": receipt} for delivery, _, receipt in receipts],
    )
    last = update(LANE).where(LANE.c.id == bindparam("l")).values(last_receipt=bindparam("r"))
    if before is not None:
        last = last.where(LANE.c.last_receipt == bindparam("b"))
    named = [
        {"l": lane, "r": native} if before is None else {"l": lane, "r": native, "b": before[lane]}
        for _, lane, native in receipts
        if native
    ]
    if named:
        session.execute(last, named)


def echoed(session: Session, echoes: Sequence[tuple[str, str]], now: datetime) -> None:
    """Record (key, native id) of our own messages as they came back to us: they were sent.

    One that somebody is writing at this moment is left to whoever does, and so is its lane. The
    others' lanes go on at once.
    """
    natives = dict(echoes)
    found = select(DELIVERY.c.id, DELIVERY.c.lane, DELIVERY.c.key).join_from(
        DELIVERY, LANE, LANE.c.id == DELIVERY.c.lane
    )
    leads: list[Row[tuple[int, int, str]]] = []
    for chunk in chunks(sorted(natives)):
        tried = found.where(DELIVERY.c.key.in_(chunk), OWED, DELIVERY.c.trying != 0)
        leads += session.execute(tried.with_for_update(skip_locked=True))
    receipts = [(lead.id, lead.lane, natives[lead.key]) for lead in leads]
    for lead in leads:
        with_it = select(DELIVERY.c.id).where(DELIVERY.c.bundle == lead.id, OWED)
        receipts += [(one, lead.lane, natives[lead.key]) for one in session.scalars(with_it)]
    sent(session, receipts, now)
    if leads:  # their lanes were waiting for nothing but this
        lanes = {lead.lane for lead in leads}
        session.execute(update(LANE).where(LANE.c.id.in_(lanes)).values(paused_until=None))


def give_up(session: Session, dead: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """End (delivery, epoch, reason) as dead. Void for whoever no longer holds the lane."""
    _end(session, Status.DEAD, dead, now)


def hold(session: Session, held: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """Leave (delivery, epoch, reason) to a person: nobody can tell whether it arrived."""
    _end(session, Status.HELD, held, now)


def drop(session: Session, moot: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """End (delivery, epoch, reason) as cancelled: it did not arrive, and no longer matters.

    What was to leave with it stays owed.
    """
    _end_alone(session, Status.CANCELLED, moot, now)


def _end(
    session: Session, status: Status, ended: Sequence[tuple[int, int, str]], now: datetime
) -> None:
    """End deliveries, and with each what was to leave with it, if it was still ours to end."""
    _end_alone(session, status, ended, now)
    ended_now = exists().where(
        _LEAD.c.id == bindparam("d"), _LEAD.c.status == int(status), _LEAD.c.settled_at == now
    )
    if ended:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.bundle == bindparam("d"), OWED, ended_now)
            .values(status=int(status), reason=bindparam("why"), settled_at=now),
            [{"d": delivery, "why": reason} for delivery, _, reason in ended],
        )


def _end_alone(
    session: Session, status: Status, ended: Sequence[tuple[int, int, str]], now: datetime
) -> None:
    if ended:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.trying == bindparam("e"), OWED)
            .values(status=int(status), trying=0, reason=bindparam("why"), settled_at=now),
            [{"d": delivery, "e": epoch, "why": reason} for delivery, epoch, reason in ended],
        )


def cancel(
    session: Session, reasons: Sequence[tuple[int, str]], now: datetime, *, by_holder: bool = False
) -> int:
    """End (delivery, reason) as cancelled; says how many.

    One that is being tried, alone or with others, is only marked: its holder decides, and calls
    with `by_holder`. One that somebody is writing at this moment is left to whoever does; the
    claim judges it anew.
    """
    if not by_holder:
        untouched = _lock_untouched(session, [delivery for delivery, _ in reasons])
        reasons = [(delivery, why) for delivery, why in reasons if delivery in untouched]
    if not reasons:
        return 0
    leaving = exists().where(
        _LEAD.c.id == DELIVERY.c.bundle, _LEAD.c.trying != 0, _LEAD.c.status == 0
    )
    idle = true() if by_holder else and_(DELIVERY.c.trying == 0, ~leaving)
    session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.id == bindparam("d"), OWED)
        .values(
            status=case((idle, int(Status.CANCELLED)), else_=DELIVERY.c.status),
            cancel_wanted=True,
            reason=bindparam("why"),
            settled_at=case((idle, literal(now, DELIVERY.c.settled_at.type))),
        ),
        [{"d": delivery, "why": reason} for delivery, reason in reasons],
    )
    return len(reasons)


def _lock_untouched(session: Session, deliveries: Sequence[int]) -> Collection[int]:
    """Take those of these rows that nobody is writing: who never waits can block nobody."""
    if is_sqlite(session):
        return deliveries
    found: set[int] = set()
    for chunk in chunks(deliveries):
        rows = select(DELIVERY.c.id).where(DELIVERY.c.id.in_(chunk), OWED)
        found.update(session.scalars(rows.with_for_update(skip_locked=True)))
    return found
