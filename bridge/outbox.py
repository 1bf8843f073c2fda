"""The outbox: every change of a delivery's status is one function here. Transactions only."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, func, literal, null, select, true, update
from sqlmodel import Session

from bridge.lanes import LANE
from bridge.messages import ChannelRef
from bridge.models import Delivery, Rule, Status
from bridge.pending import ACCOUNT, DELIVERY, OWED
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

    Rows are numbered in the order of the messages, which breaks ties of `due_at` in a lane.
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
        for one in sorted(owed, key=lambda one: (one.due_at, one.message, one.key))
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

    An attempt that another holder of the lane left open may still be under way somewhere: only a
    look-up some time from now can tell that it did not arrive.
    """
    if not claims:
        return
    moment = DELIVERY.c.tried_at.type
    fresh = DELIVERY.c.trying == 0
    taken_over = DELIVERY.c.trying != bindparam("e")
    sure = literal(now + timedelta(seconds=SURE_SECONDS), moment)
    session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.id == bindparam("d"), OWED)
        .values(
            attempts=DELIVERY.c.attempts + 1,
            trying=bindparam("e"),
            tried_at=case((fresh, literal(now, moment)), else_=DELIVERY.c.tried_at),
            sure_at=case((fresh, null()), (taken_over, sure), else_=DELIVERY.c.sure_at),
        ),
        [{"d": delivery, "e": epoch} for delivery, epoch in claims],
    )


def bundle(session: Session, lead: int, others: Sequence[int]) -> None:
    """Let these deliveries leave as one message with the first of them, now and ever after."""
    session.execute(
        update(DELIVERY).where(DELIVERY.c.id.in_([lead, *others]), OWED).values(bundle=lead)
    )


def looked(session: Session, deliveries: Sequence[tuple[int, int]], now: datetime) -> None:
    """Record that the message behind (delivery, epoch) was read anew; no attempt was made."""
    if deliveries:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.trying == bindparam("e"), OWED)
            .values(looked_at=now, trying=0, attempts=DELIVERY.c.attempts - 1),
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


def sent(session: Session, receipts: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """Record (delivery, lane, native id). Always allowed: what happened, happened."""
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
    session.execute(
        update(LANE).where(LANE.c.id == bindparam("l")).values(last_receipt=bindparam("r")),
        [{"l": lane, "r": receipt} for _, lane, receipt in receipts if receipt],
    )


def echoed(session: Session, echoes: Sequence[tuple[str, str]], now: datetime) -> None:
    """Record (key, native id) of our own messages as they came back to us: they were sent."""
    if echoes:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.key == bindparam("k"), OWED, DELIVERY.c.trying != 0)
            .values(
                status=int(Status.SENT), receipt=bindparam("r"), trying=0, reason="", settled_at=now
            ),
            [{"k": key, "r": native} for key, native in echoes],
        )


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


def retry(session: Session, refusals: Sequence[Refusal]) -> None:
    """Record failed attempts and pause their lanes. Void for whoever no longer holds the lane."""
    if not refusals:
        return
    session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.trying == bindparam("e"), OWED)
        .values(
            attempts=DELIVERY.c.attempts - bindparam("less"),
            trying=case((bindparam("unknown") == 1, DELIVERY.c.trying), else_=0),
            sure_at=func.coalesce(bindparam("sure"), DELIVERY.c.sure_at),
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
    if paused:
        session.execute(
            update(ACCOUNT)
            .where(ACCOUNT.c.name == bindparam("a"))
            .values(paused_until=bindparam("until")),
            paused,
        )
    session.execute(
        update(LANE)
        .where(LANE.c.id == bindparam("l"), LANE.c.epoch == bindparam("e"))
        .values(paused_until=bindparam("until")),
        [{"l": one.lane, "e": one.epoch, "until": one.at} for one in refusals],
    )


def give_up(session: Session, dead: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """End (delivery, epoch, reason) as dead. Void for whoever no longer holds the lane."""
    _end(session, Status.DEAD, dead, now)


def hold(session: Session, held: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """Leave (delivery, epoch, reason) to a person: nobody can tell whether it arrived."""
    _end(session, Status.HELD, held, now)


def _end(
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

    One that is being tried is only marked: its holder decides, and calls with `by_holder`. One
    that somebody is writing at this moment is left to whoever does; the claim judges it anew.
    """
    if not by_holder:
        untouched = _lock_untouched(session, [delivery for delivery, _ in reasons])
        reasons = [(delivery, why) for delivery, why in reasons if delivery in untouched]
    if not reasons:
        return 0
    idle = true() if by_holder else DELIVERY.c.trying == 0
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
