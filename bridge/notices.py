"""What admins are told: that something was given up, once an hour and lane, and what to do."""

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session

from bridge import outbox, richtext
from bridge.messages import ChannelRef
from bridge.pending import Pending
from bridge.richtext import Document, Paragraph, Quote, Text
from bridge.rules import hashed

NOTICE = "notice"
_LONGEST_REASON = 300


def tell_dead(
    session: Session, admin_lane: int, dead: Iterable[tuple[Pending, str]], now: datetime
) -> None:
    """Owe a notice to the admins' lane for deliveries that were given up for these reasons.

    The first of each lane and hour stands for all: an outage is one message, not a thousand. A
    notice that cannot be delivered is not told.
    """
    notices = {
        hashed(NOTICE, str(job.lane), now.strftime("%Y-%m-%d %H")): (job, reason)
        for job, reason in dead
        if job.lane != admin_lane
    }
    bodies = [
        (key, admin_lane, richtext.dump(_notice(job.target, reason)))
        for key, (job, reason) in notices.items()
    ]
    outbox.owe_bodies(session, bodies, NOTICE, now)


def _notice(target: ChannelRef, reason: str) -> Document:
    return (
        Paragraph((Text(f"A delivery to {target.account}:{target.id} was given up:", bold=True),)),
        Quote((Text(reason[:_LONGEST_REASON]),)),
        Paragraph(
            (
                Text("chatbridge deliveries list --status dead", code=True),
                Text(" shows all, "),
                Text("chatbridge deliveries retry --dead", code=True),
                Text(" sends them after all."),
            )
        ),
    )
