"""All that is known of one delivery: why it is owed, what was tried, where it stands now."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from bridge.errors import BridgeError
from bridge.migrations import require_current
from bridge.models import Account, Delivery, Lane, Message, Rule, Status, Worker
from tasks.status import called_channels, local_time
from tasks.wiring import House

Facts = dict[str, Any]
_LONGEST_TEXT = 200


def story(house: House, delivery: int) -> Facts:
    """Facts in the order in which they are told. Raises BridgeError where there is no such one."""
    require_current(house.store)
    with house.store.reading() as session:
        row = session.get(Delivery, delivery)
        if row is None:
            raise BridgeError(f"there is no delivery {delivery}; see `chatbridge deliveries list`")
        lane = session.get_one(Lane, row.lane)
        called = called_channels(session)
        return {
            "id": row.id,
            "status": Status(row.status).name.lower(),
            "reason": row.reason or None,
            "to": f"{lane.account}:{called.get((lane.account, lane.channel), lane.channel)}",
            **_cause(session, row, called),
            **_course(row),
            **_end(session, row, lane),
            **_lane(session, row, lane),
        }


def _cause(session: Session, row: Delivery, called: dict[tuple[str, str], str]) -> Facts:
    rule = session.get(Rule, row.rule) if row.rule else None
    message = session.get(Message, row.message) if row.message else None
    facts = {"kind": row.kind, "rule": rule.name if rule else None, "key": row.key}
    if message is None:
        return facts
    channel = called.get((message.account, message.channel), message.channel)
    return facts | {
        "about": " ".join(message.text.split())[:_LONGEST_TEXT],
        "said by": message.author_name or message.author,
        "said in": f"{message.account}:{channel}",
        "said at": local_time(message.sent_at),
        "edited at": local_time(message.edited_at),
        "deleted at": local_time(message.deleted_at),
        "message": message.native_id,
        "message link": message.link or None,
    }


def _course(row: Delivery) -> Facts:
    return {
        "owed since": local_time(row.owed_at),
        "due": local_time(row.due_at),
        "attempts": row.attempts,
        "last attempt": local_time(row.tried_at),
        "outcome unknown": bool(row.trying),
        "cancel wanted": row.cancel_wanted,
        "leaves together with": row.bundle if row.bundle not in {0, row.id} else None,
    }


def _end(session: Session, row: Delivery, lane: Lane) -> Facts:
    echo = session.scalars(
        select(Message).where(
            col(Message.account) == lane.account,
            col(Message.channel) == lane.channel,
            col(Message.native_id) == row.receipt,
        )
    ).first()
    return {
        "settled": local_time(row.settled_at),
        "receipt": row.receipt or None,
        "permalink": echo.link or None if echo and row.receipt else None,
    }


def _lane(session: Session, row: Delivery, lane: Lane) -> Facts:
    account = session.get(Account, lane.account)
    holder = session.get(Worker, lane.holder) if lane.holder else None
    return {
        "lane": lane.id,
        "lane held by": f"{holder.host} (process {holder.pid})" if holder else "nobody",
        "lane paused until": _to_come(lane.paused_until, row),
        "account paused until": _to_come(account.paused_until, row) if account else None,
        "before it in its lane": _before(session, row),
        "last receipt of the lane": lane.last_receipt or None,
    }


def _before(session: Session, row: Delivery) -> int:
    """How many are owed to the same lane and go first."""
    if row.status != Status.OWED:
        return 0
    first = (col(Delivery.due_at) < row.due_at) | (
        (col(Delivery.due_at) == row.due_at) & (col(Delivery.id) < row.id)
    )
    owed = col(Delivery.status) == int(Status.OWED)
    query = select(func.count()).where(col(Delivery.lane) == row.lane, owed, first)
    return session.scalar(query) or 0


def _to_come(moment: datetime | None, row: Delivery) -> str | None:
    """A pause, where it may still hold the delivery up."""
    return local_time(moment) if row.status == Status.OWED else None
