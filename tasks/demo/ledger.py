"""What the demo reads in the store: deliveries as they come and go, and what came of them."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlmodel import col, func, select

from bridge.models import Delivery, Lane, Message, Status
from tasks.wiring import House

_WORDS = {
    Status.SENT: "sent",
    Status.CANCELLED: "cancelled",
    Status.DEAD: "given up",
    Status.OWED: "still owed",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery: owed `wait` seconds ahead to the account `to`, about a message (or a digest)."""

    id: int
    status: Status
    to: str
    wait: float
    reason: str
    message: int | None
    account: str
    text: str


def entries_after(house: House, last: int) -> list[Entry]:
    """Deliveries with a higher id, oldest first."""
    with house.store.reading() as session:
        found = session.exec(
            select(Delivery, Lane, Message)
            .join(Lane, col(Lane.id) == col(Delivery.lane))
            .outerjoin(Message, col(Message.id) == col(Delivery.message))
            .where(col(Delivery.id) > last)
            .order_by(col(Delivery.id))
        )
        return [_entry(*row) for row in found]


def summary(house: House, rehearsal: Collection[str]) -> str:
    """How many messages were heard and what came of all deliveries, in words."""
    with house.store.reading() as session:
        counts = dict(
            session.exec(
                select(col(Delivery.status), func.count()).group_by(col(Delivery.status))
            ).all()
        )
        heard = session.exec(
            select(func.count())
            .select_from(Message)
            .where(~col(Message.own), col(Message.channel).not_in(rehearsal))
        ).one()
    came = [f"{counts.get(int(status), 0)} {word}" for status, word in _WORDS.items()]
    return ", ".join([f"{heard} messages heard", *came])


def _entry(delivery: Delivery, lane: Lane, message: Message | None) -> Entry:
    return Entry(
        id=delivery.id or 0,
        status=Status(delivery.status),
        to=lane.account,
        wait=max((delivery.due_at - delivery.owed_at).total_seconds(), 0.0),
        reason=delivery.reason,
        message=delivery.message,
        account=message.account if message else "",
        text=message.text if message else "the digest",
    )
