"""Rows that are tried: claimed, bundled, refused, tried again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from sqlalchemy import (
    bindparam,
    case,
    func,
    literal,
    null,
    or_,
    update,
)
from sqlmodel import Session

from bridge.lanes import LANE, held_by
from bridge.pending import ACCOUNT, DELIVERY, OWED, UNKNOWN
from bridge.retry import SURE_SECONDS


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
            crashes=case((left_open, DELIVERY.c.crashes + 1), else_=0),
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
    """Take back what `claim` wrote of (delivery, epoch): no attempt was made.

    A notification is made anew when it is sent after all.
    """
    if deliveries:
        session.execute(
            update(DELIVERY)
            .where(DELIVERY.c.id == bindparam("d"), DELIVERY.c.trying == bindparam("e"), OWED)
            .values(
                trying=0,
                attempts=DELIVERY.c.attempts - 1,
                body=case((DELIVERY.c.rule != "", ""), else_=DELIVERY.c.body),
            ),
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed attempt that will be made again; the lane (and the account) waits until `at`.

    `body` is what was said, where that has to be found again.
    """

    delivery: int
    lane: int
    epoch: int
    at: datetime
    reason: str
    unknown: bool
    counts: bool
    sure_at: datetime | None = None
    account: str = ""
    body: str | None = None


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
            body=func.coalesce(bindparam("said"), DELIVERY.c.body),
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
                "said": one.body,
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
        .where(LANE.c.id == bindparam("l"), LANE.c.epoch == bindparam("e"), held_by(holder))
        .values(paused_until=bindparam("until")),
        [{"l": one.lane, "e": one.epoch, "until": one.at} for one in refusals],
    )
