"""The outbox: every change of a delivery's status is one function here. Transactions only."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlmodel import Session

from bridge.lanes import LANE
from bridge.messages import ChannelRef
from bridge.models import Delivery, Rule, Status
from bridge.pending import ACCOUNT, DELIVERY, OWED, UNKNOWN
from bridge.retry import SURE_SECONDS
from bridge.rules import Owed, Snapshot
from bridge.store import chunks, insert_into, is_sqlite


def keep_rules(session: Session, rules: Iterable[Snapshot]) -> None:
    """Keep rules as they are now, for the deliveries that will be owed by them."""
    rows = {rule.id: {"id": rule.id, "name": rule.name, "body": rule.dump()} for rule in rules}
    if rows:
        statement = insert_into(session, Rule).on_conflict_do_nothing()
        session.execute(statement, [rows[key] for key in sorted(rows)])


def owe(
    session: Session, owed: Sequence[Owed], lanes: Mapping[ChannelRef, int], now: datetime
) -> None:
    """Write what messages owe. Safe to repeat: a key that is there stays as it is.

    Rows are numbered in the platform's order of messages, which breaks ties of `due_at` in a lane.
    """
    rows = [
        {
            "key": one.key,
            "lane": lanes[one.target],
            "rule": one.rule,
            "message": one.message,
            "due_at": one.due_at,
            "owed_at": now,
        }
        for one in sorted(owed, key=lambda one: (one.due_at, one.position, one.key))
    ]
    if rows:
        session.execute(insert_into(session, Delivery).on_conflict_do_nothing(), rows)


def owe_bodies(
    session: Session, bodies: Sequence[tuple[str, int, str]], kind: str, due_at: datetime
) -> None:
    """Write ready-made contents, given as (key, lane, body). Safe to repeat."""
    rows = [
        {"key": key, "lane": lane, "kind": kind, "body": body, "due_at": due_at, "owed_at": due_at}
        for key, lane, body in sorted(bodies)
    ]
    if rows:
        session.execute(insert_into(session, Delivery).on_conflict_do_nothing(), rows)


def claim(session: Session, claims: Sequence[tuple[int, int]], now: datetime) -> None:
    """Count an attempt for each (delivery, epoch) that is about to be tried.

    An attempt that was left open, by another holder of the lane say, may still be under way
    somewhere: only a look-up some time from now can tell that it did not arrive.
    """
    if not claims:
        return
    moment = DELIVERY.c.tried_at.type
    fresh = DELIVERY.c.trying == 0
    left_open = DELIVERY.c.trying > 0
    sure = literal(now + timedelta(seconds=SURE_SECONDS), moment)
    surer = case((DELIVERY.c.sure_at > sure, DELIVERY.c.sure_at), else_=sure)
    session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.id == bindparam("d"), OWED)
        .values(
            attempts=DELIVERY.c.attempts + 1,
            trying=bindparam("e"),
            tried_at=case((fresh, literal(now, moment)), else_=DELIVERY.c.tried_at),
            sure_at=case((fresh, null()), (left_open, surer), else_=DELIVERY.c.sure_at),
        ),
        [{"d": delivery, "e": epoch} for delivery, epoch in claims],
    )


def bundle(session: Session, lead: int, others: Sequence[int]) -> None:
    """Let these deliveries leave as one message with the first of them, now and ever after."""
    session.execute(
        update(DELIVERY).where(DELIVERY.c.id.in_([lead, *others]), OWED).values(bundle=lead)
    )


def untried(session: Session, deliveries: Sequence[tuple[int, int]]) -> None:
    """Take back what `claim` wrote of (delivery, epoch): no attempt was made."""
    if deliveries:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.trying == bindparam("e"), OWED)
            .values(trying=0, attempts=DELIVERY.c.attempts - 1),
            [{"d": delivery, "e": epoch} for delivery, epoch in deliveries],
        )


def read_anew(session: Session, deliveries: Sequence[tuple[int, datetime]]) -> None:
    """Record of (delivery, moment) that history has shown all of the message behind it then."""
    if deliveries:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id == bindparam("d"), OWED)
            .values(looked_at=bindparam("at")),
            [{"d": delivery, "at": at} for delivery, at in deliveries],
        )


def sent(
    session: Session,
    receipts: Sequence[tuple[int, int, str]],
    now: datetime,
    holder: str | None = None,
) -> None:
    """Record (delivery, lane, native id). Always allowed: what happened, happened.

    It becomes the lane's last receipt, if the holder (where named) still holds the lane.
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
    named = [{"l": lane, "r": native} for _, lane, native in receipts if native]
    last = update(LANE).where(LANE.c.id == bindparam("l"), _held_by(holder))
    if named:
        session.execute(last.values(last_receipt=bindparam("r")), named)


def _held_by(holder: str | None) -> ColumnElement[bool]:
    """Keeps off lanes that others hold by now: not to be written, nor to be waited for."""
    return true() if holder is None else LANE.c.holder == holder


def echoed(session: Session, echoes: Sequence[tuple[str, str]], now: datetime) -> None:
    """Record (key, native id) of our own messages as they came back to us: they were sent.

    One that somebody is writing at this moment is left to whoever does, and so is its lane.
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed attempt that will be made again; the lane (and the account) waits until `at`."""

    delivery: int
    lane: int
    epoch: int
    at: datetime
    reason: str
    unknown: bool
    counts: bool
    sure_at: datetime | None = None
    account: str = ""


def retry(session: Session, refusals: Sequence[Refusal], holder: str | None = None) -> None:
    """Record failed attempts and pause their lanes. Void for whoever no longer holds the lane."""
    if not refusals:
        return
    sure = bindparam("sure", type_=DELIVERY.c.sure_at.type)
    session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.trying == bindparam("e"), OWED)
        .values(
            attempts=DELIVERY.c.attempts - bindparam("less"),
            trying=case((bindparam("unknown") == 1, UNKNOWN), else_=0),
            sure_at=case(
                (DELIVERY.c.sure_at > sure, DELIVERY.c.sure_at),
                else_=func.coalesce(sure, DELIVERY.c.sure_at),
            ),
            reason=bindparam("why"),
        ),
        [
            {
                "d": one.delivery,
                "e": one.epoch,
                "less": 0 if one.counts else 1,
                "unknown": int(one.unknown),
                "sure": one.sure_at,
                "why": one.reason,
            }
            for one in refusals
        ],
    )
    paused = [{"a": one.account, "until": one.at} for one in refusals if one.account]
    paused.sort(key=itemgetter("a"))  # as other workers do, so that none blocks another for good
    if paused:
        session.execute(
            update(ACCOUNT)
            .where(
                ACCOUNT.c.name == bindparam("a"),
                or_(ACCOUNT.c.paused_until.is_(None), ACCOUNT.c.paused_until < bindparam("until")),
            )
            .values(paused_until=bindparam("until")),
            paused,
        )
    session.execute(
        update(LANE)
        .where(LANE.c.id == bindparam("l"), LANE.c.epoch == bindparam("e"), _held_by(holder))
        .values(paused_until=bindparam("until")),
        [{"l": one.lane, "e": one.epoch, "until": one.at} for one in refusals],
    )


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
    lead = DELIVERY.alias("lead")
    ended_now = exists().where(
        lead.c.id == bindparam("d"), lead.c.status == int(status), lead.c.settled_at == now
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
    with `by_holder`. One
    that somebody is writing at this moment is left to whoever does; the claim judges it anew.
    """
    if not by_holder:
        untouched = _lock_untouched(session, [delivery for delivery, _ in reasons])
        reasons = [(delivery, why) for delivery, why in reasons if delivery in untouched]
    if not reasons:
        return 0
    lead = DELIVERY.alias("lead")
    leaving = exists().where(lead.c.id == DELIVERY.c.bundle, lead.c.trying != 0, lead.c.status == 0)
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


# ---- by command

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
