"""Looks into the store all the time, to know what it knew when. Reads only."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, tuple_

from bridge.errors import StoreError
from bridge.pending import CHANNEL, DELIVERY, LANE, MESSAGE, REACTION
from bridge.store import Store, chunks
from tests.chaos.load import Deed, Record

_LOOK_SECONDS = 0.4


@dataclass(slots=True)
class Known:
    """When something was first seen in the store, in seconds since 1970.

    A look ends at that moment, so what it saw was committed before. `acts` by number of the
    message that they cancel, `owed` by id of the delivery; `gaps` holds (account, channel's name,
    end of the gap, when that was seen).
    """

    acts: dict[int, float] = field(default_factory=dict)
    owed: dict[int, float] = field(default_factory=dict)
    gaps: list[tuple[str, str, float, float]] = field(default_factory=list)
    looks: int = 0
    in_vain: int = 0


async def watch(store: Store, record: Record, known: Known) -> None:
    """Look until cancelled."""
    while True:
        deeds = [
            one
            for number, one in list(record.deeds.items())
            if one.acted_at and number not in known.acts
        ]
        try:
            await asyncio.to_thread(look, store, deeds, known)
        except StoreError:
            known.in_vain += 1
        await asyncio.sleep(_LOOK_SECONDS)


def look(store: Store, deeds: Iterable[Deed], known: Known) -> None:
    """One look. Raises StoreError."""
    with store.reading() as session:
        acts = _acts(session, list(deeds))
        owed = set(session.scalars(select(DELIVERY.c.id)))
        latest = select(CHANNEL.c.account, CHANNEL.c.name, CHANNEL.c.gap_at)
        gaps = [(*of, at.timestamp()) for *of, at in session.execute(latest) if at]
    at = time.time()
    known.looks += 1
    for number in acts:
        known.acts.setdefault(number, at)
    for delivery in owed - known.owed.keys():
        known.owed[delivery] = at
    seen = {one[:3] for one in known.gaps}
    known.gaps += [(*gap, at) for gap in gaps if gap not in seen]


def _acts(session: Any, deeds: list[Deed]) -> set[int]:
    """The messages whose cancelling act is in the store."""
    found: set[int] = set()
    by_id = {(one.said.platform, one.native_id): one for one in deeds}
    replies = {(one.said.platform, one.act_id): one for one in deeds if one.act_id}
    for chunk in chunks(sorted({*by_id, *replies})):
        rows = session.execute(
            select(
                MESSAGE.c.account,
                MESSAGE.c.native_id,
                MESSAGE.c.posted,
                MESSAGE.c.edited_at,
                MESSAGE.c.deleted_at,
            ).where(tuple_(MESSAGE.c.account, MESSAGE.c.native_id).in_(chunk))
        )
        for account, native_id, posted, edited_at, deleted_at in rows:
            key = account, native_id
            if key in replies and posted:
                found.add(replies[key].said.number)
            one = by_id.get(key)
            fate = one.said.fate if one else ""
            if one and ((fate == "edit" and edited_at) or (fate == "delete" and deleted_at)):
                found.add(one.said.number)
        reacted = session.execute(
            select(REACTION.c.account, REACTION.c.native_id).where(
                tuple_(REACTION.c.account, REACTION.c.native_id).in_(chunk), REACTION.c.active
            )
        )
        found |= {by_id[key].said.number for row in reacted if (key := tuple(row)) in by_id}
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as it stands in the end. Moments are seconds since 1970, 0 for none."""

    id: int
    key: str
    kind: str
    platform: str
    native_id: str
    lane: tuple[str, str]
    due_at: float
    owed_at: float
    tried_at: float
    settled_at: float
    status: int
    attempts: int
    receipt: str
    reason: str
    position: int


def rows(store: Store) -> list[Row]:
    """Every delivery there is. Raises StoreError."""
    delivery, statement = (
        DELIVERY.c,
        select(
            DELIVERY,
            MESSAGE.c.account,
            MESSAGE.c.native_id,
            MESSAGE.c.position,
            LANE.c.channel,
            LANE.c.account.label("to_account"),
        ),
    )
    joined = DELIVERY.outerjoin(MESSAGE, MESSAGE.c.id == delivery.message).join(
        LANE, LANE.c.id == delivery.lane
    )
    with store.reading() as session:
        return [
            Row(
                id=row.id,
                key=row.key,
                kind=row.kind,
                platform=row.account or "",
                native_id=row.native_id or "",
                lane=(row.to_account, row.channel),
                due_at=_seconds(row.due_at),
                owed_at=_seconds(row.owed_at),
                tried_at=_seconds(row.tried_at),
                settled_at=_seconds(row.settled_at),
                status=row.status,
                attempts=row.attempts,
                receipt=row.receipt or "",
                reason=row.reason,
                position=row.position or 0,
            )
            for row in session.execute(statement.select_from(joined))
        ]


def _seconds(at: Any) -> float:
    return at.timestamp() if at else 0.0
