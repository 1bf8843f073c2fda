"""The outbox: every change of a delivery's status is one function here. Transactions only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, case, literal, true, update
from sqlmodel import Session

from bridge.lanes import LANE
from bridge.messages import ChannelRef
from bridge.models import Delivery, Rule, Status
from bridge.pending import DELIVERY, OWED
from bridge.rules import Owed, Snapshot
from bridge.store import insert_into


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


def claim(session: Session, claims: Sequence[tuple[int, int]]) -> None:
    """Count an attempt for each (delivery, epoch) that is about to be tried."""
    if claims:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id == bindparam("d"), OWED)
            .values(attempts=DELIVERY.c.attempts + 1, trying=bindparam("e")),
            [{"d": delivery, "e": epoch} for delivery, epoch in claims],
        )


def sent(session: Session, receipts: Sequence[tuple[int, str]], now: datetime) -> None:
    """Record (delivery, native id). Always allowed: what happened, happened, whoever holds it."""
    if receipts:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.status != int(Status.SENT))
            .values(
                status=int(Status.SENT), receipt=bindparam("r"), trying=0, reason="", settled_at=now
            ),
            [{"d": delivery, "r": receipt} for delivery, receipt in receipts],
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed attempt that will be made again; the lane waits until `at`."""

    delivery: int
    lane: int
    epoch: int
    at: datetime
    reason: str
    unknown: bool
    counts: bool


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
            reason=bindparam("why"),
        ),
        [
            {
                "d": one.delivery,
                "e": one.epoch,
                "less": 0 if one.counts else 1,
                "unknown": int(one.unknown),
                "why": one.reason,
            }
            for one in refusals
        ],
    )
    session.execute(
        update(LANE)
        .where(LANE.c.id == bindparam("l"), LANE.c.epoch == bindparam("e"))
        .values(paused_until=bindparam("until")),
        [{"l": one.lane, "e": one.epoch, "until": one.at} for one in refusals],
    )


def give_up(session: Session, dead: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """End (delivery, epoch, reason) as dead. Void for whoever no longer holds the lane."""
    if dead:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.trying == bindparam("e"), OWED)
            .values(status=int(Status.DEAD), trying=0, reason=bindparam("why"), settled_at=now),
            [{"d": delivery, "e": epoch, "why": reason} for delivery, epoch, reason in dead],
        )


def cancel(
    session: Session, reasons: Sequence[tuple[int, str]], now: datetime, *, by_holder: bool = False
) -> None:
    """End (delivery, reason) as cancelled.

    One that is being tried is only marked: its holder decides, and calls with `by_holder`.
    """
    if not reasons:
        return
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
