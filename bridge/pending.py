"""What is owed, joined with the facts that say whether it still matters. Reads only."""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Table,
    and_,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlmodel import Session

from bridge.messages import ChannelRef
from bridge.models import Account, Channel, Delivery, Lane, Message, Person, Reaction, Rule
from bridge.rules import Facts, Snapshot
from bridge.store import chunks
from bridge.waiting import Pending as Pending  # noqa: PLC0414  (asked for here as well)
from bridge.waiting import Source as Source  # noqa: PLC0414

DELIVERY: Table = Delivery.__table__  # type: ignore[attr-defined]
LANE: Table = Lane.__table__  # type: ignore[attr-defined]
MESSAGE: Table = Message.__table__  # type: ignore[attr-defined]
REACTION: Table = Reaction.__table__  # type: ignore[attr-defined]
ACCOUNT: Table = Account.__table__  # type: ignore[attr-defined]
CHANNEL: Table = Channel.__table__  # type: ignore[attr-defined]
PERSON: Table = Person.__table__  # type: ignore[attr-defined]
RULE: Table = Rule.__table__  # type: ignore[attr-defined]

OWED = DELIVERY.c.status == 0
"""A literal 0, so that both stores use the partial indexes."""
UNKNOWN = -1
"""`trying` of an attempt whose maker has recorded that nobody knows its outcome."""


_CLOCKS = timedelta(seconds=2)
"""So far the clocks of platforms may be ahead of ours."""


def next_rows(
    session: Session, worker: str, lanes: Collection[int], now: datetime
) -> list[Pending]:
    """The first owed delivery of each of these lanes that is due and that the worker holds.

    They stay owed until the end of the transaction: nobody cancels them in between.
    """
    found: list[Pending] = []
    for chunk in chunks(sorted(lanes)):
        statement = _pending().where(
            LANE.c.id.in_(chunk),
            LANE.c.holder == worker,
            DELIVERY.c.id == _first_id(),
            DELIVERY.c.due_at <= now,
        )
        locked = statement.with_for_update(of=DELIVERY)
        found += [_to_pending(row) for row in session.execute(locked)]
    return found


def pending_for(session: Session, messages: Collection[int]) -> list[Pending]:
    """What is still owed because of these messages."""
    found: list[Pending] = []
    for chunk in chunks(sorted(messages)):
        statement = _pending().where(OWED, DELIVERY.c.message.in_(chunk))
        found += [_to_pending(row) for row in session.execute(statement)]
    return found


def bundled(session: Session, leads: Collection[int]) -> list[Pending]:
    """What is owed together with these deliveries, in order, they themselves left out.

    They stay owed until the end of the transaction, as with `next_rows`.
    """
    found: list[Pending] = []
    for chunk in chunks(sorted(leads)):
        statement = _pending().where(DELIVERY.c.bundle.in_(chunk), DELIVERY.c.id.not_in(chunk))
        in_order = statement.order_by(DELIVERY.c.due_at, DELIVERY.c.id)
        locked = in_order.with_for_update(of=DELIVERY)
        found += [_to_pending(row) for row in session.execute(locked)]
    return found


def late_behind(session: Session, lead: Pending, before: datetime, most: int) -> list[Pending]:
    """What is owed in a lane behind this delivery and was due before a moment, in order.

    What was to leave with another delivery is left out, unless this one was to as well.
    """
    statement = (
        _pending()
        .where(
            DELIVERY.c.lane == lead.lane,
            DELIVERY.c.due_at < before,
            DELIVERY.c.id != lead.id,
            DELIVERY.c.trying == 0,
            DELIVERY.c.bundle.in_({0, lead.bundle}),
        )
        .order_by(DELIVERY.c.due_at, DELIVERY.c.id)
        .limit(most)
        .with_for_update(of=DELIVERY)
    )
    return [_to_pending(row) for row in session.execute(statement)]


@cache
def _first_id() -> ColumnElement[int]:
    """A lane's next row: one of unknown outcome before all others, for it was tried before them.

    Others would leave receipts behind which it is no longer looked for.
    """
    first, unsure = DELIVERY.alias("first"), DELIVERY.alias("unsure")
    open_ = unsure.c.trying != literal_column("0")  # a literal, for the partial index
    choices = [
        select(one.c.id)
        .where(one.c.lane == LANE.c.id, one.c.status == literal_column("0"), more)
        .order_by(one.c.due_at, one.c.id)
        .limit(1)
        .correlate(LANE)
        .scalar_subquery()
        for one, more in ((unsure, open_), (first, true()))
    ]
    return func.coalesce(*choices)


@cache
def _pending() -> Select[Any]:
    """What all reads here have in common; made once, because that takes longer than a read."""
    root = func.coalesce(func.nullif(MESSAGE.c.thread, ""), MESSAGE.c.native_id)
    in_thread = MESSAGE.alias("in_thread")
    in_reply = MESSAGE.alias("in_reply")
    answered = or_(
        exists().where(
            *_by_somebody_else(in_thread),
            in_thread.c.thread == root,
            in_thread.c.thread != "",
            in_thread.c.position > MESSAGE.c.position,
        ),
        exists().where(
            *_by_somebody_else(in_reply),
            in_reply.c.reply_to == MESSAGE.c.native_id,
            in_reply.c.reply_to != "",
        ),
    )
    reactions = (
        select(func.aggregate_strings(REACTION.c.emoji, " "))
        .where(
            REACTION.c.account == MESSAGE.c.account,
            REACTION.c.channel == MESSAGE.c.channel,
            REACTION.c.native_id == MESSAGE.c.native_id,
            REACTION.c.active,
        )
        .correlate(MESSAGE)
        .scalar_subquery()
    )
    return (
        select(
            DELIVERY,
            LANE.c.account.label("to_account"),
            LANE.c.channel.label("to_channel"),
            LANE.c.epoch,
            LANE.c.paused_until,
            LANE.c.last_receipt,
            ACCOUNT.c.paused_until.label("account_paused_until"),
            CHANNEL.c.gap_at,
            MESSAGE.c.account.label("from_account"),
            MESSAGE.c.native_id,
            MESSAGE.c.thread,
            MESSAGE.c.sent_at,
            MESSAGE.c.received_at,
            RULE.c.body.label("rule_body"),
            MESSAGE.c.channel.label("from_channel"),
            CHANNEL.c.name.label("from_name"),
            MESSAGE.c.text,
            MESSAGE.c.mentions,
            MESSAGE.c.by_bot,
            MESSAGE.c.deleted_at,
            MESSAGE.c.edited_at,
            MESSAGE.c.author,
            MESSAGE.c.author_name,
            MESSAGE.c.files,
            PERSON.c.name.label("person_name"),
            MESSAGE.c.link,
            answered.label("answered"),
            reactions.label("reactions"),
        )
        .select_from(LANE)
        .join(DELIVERY, DELIVERY.c.lane == LANE.c.id)
        .outerjoin(ACCOUNT, ACCOUNT.c.name == LANE.c.account)
        .outerjoin(MESSAGE, MESSAGE.c.id == DELIVERY.c.message)
        .outerjoin(RULE, RULE.c.id == DELIVERY.c.rule)
        .outerjoin(
            CHANNEL,
            and_(CHANNEL.c.account == MESSAGE.c.account, CHANNEL.c.id == MESSAGE.c.channel),
        )
        .outerjoin(
            PERSON,
            and_(PERSON.c.account == MESSAGE.c.account, PERSON.c.id == MESSAGE.c.author),
        )
        .where(OWED)
    )


def _by_somebody_else(reply: FromClause) -> tuple[ColumnElement[bool], ...]:
    return (
        reply.c.account == MESSAGE.c.account,
        reply.c.channel == MESSAGE.c.channel,
        reply.c.author != MESSAGE.c.author,
        ~reply.c.by_bot,
        ~reply.c.own,
        reply.c.deleted_at.is_(None),
    )


def _to_pending(row: Any) -> Pending:
    return Pending(
        id=row.id,
        lane=row.lane,
        epoch=row.epoch,
        paused_until=_later(row.paused_until, row.account_paused_until),
        last_receipt=row.last_receipt,
        target=ChannelRef(row.to_account, row.to_channel),
        key=row.key,
        due_at=row.due_at,
        attempts=row.attempts,
        trying=row.trying,
        tried_at=row.tried_at,
        sure_at=row.sure_at,
        looked_at=row.looked_at,
        bundle=row.bundle,
        crashes=row.crashes,
        kind=row.kind,
        cancel_wanted=row.cancel_wanted,
        rule=Snapshot.load(row.rule_body) if row.rule_body else None,
        body=row.body,
        facts=Facts(
            text=row.text or "",
            mentions=tuple(filter(None, (row.mentions or "").split("\n"))),
            by_bot=bool(row.by_bot),
            deleted=row.deleted_at is not None,
            edited=row.edited_at is not None,
            answered=bool(row.answered),
            reactions=frozenset((row.reactions or "").split()),
        ),
        source=_source(row),
        author=row.author_name or row.person_name or row.author or "",
        channel_name=row.from_name or row.from_channel or "",
        files=tuple(filter(None, (row.files or "").split("\n"))),
        link=row.link or "",
    )


def _source(row: Any) -> Source | None:
    if row.from_account is None:
        return None
    channel = ChannelRef(row.from_account, row.from_channel)
    known_from = min(row.received_at, row.sent_at - _CLOCKS)
    return Source(channel, row.native_id, row.thread, known_from, row.gap_at)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other
