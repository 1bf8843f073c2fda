"""Closes digest windows: content, outbox rows and watermark in one transaction."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Table, select, update
from sqlmodel import Session

from bridge import richtext
from bridge.cursors import which_behind
from bridge.digest.layout import document
from bridge.digest.rule import DigestRule
from bridge.digest.source import read
from bridge.lanes import ensure_lanes
from bridge.messages import ChannelRef
from bridge.models import Digest, DigestWindow
from bridge.outbox import owe_bodies
from bridge.richtext import Document
from bridge.rules import hashed
from bridge.store import insert_into
from bridge.times import Window, due_windows

DIGEST: Table = Digest.__table__  # type: ignore[attr-defined]
WINDOW: Table = DigestWindow.__table__  # type: ignore[attr-defined]

SETTLE = timedelta(seconds=2)
"""A window is left open this long after its end, for what is still on its way."""

PATIENCE = timedelta(minutes=10)
"""A window waits this long at most for channels that are being read up after a gap."""

_COMMIT = timedelta(seconds=1)
"""What came in this shortly before a window is closed may not be committed yet: it is late."""

_ALWAYS = Window(datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Closed:
    """How many windows were closed, and the lanes that something is due in now."""

    windows: int = 0
    lanes: tuple[int, ...] = ()


def close_due(session: Session, rule: DigestRule, now: datetime) -> Closed:
    """Close what windows have ended, and owe their contents to every destination.

    A digest that is seen for the first time starts at `now`. Writes in the caller's transaction;
    safe to repeat, and to run twice at once: the digest's row is locked until the end of it.
    """
    watermark = _watermark(session, rule.name, now)
    # a channel that is being read up may still bring what belongs into the window
    until = now - (PATIENCE if which_behind(session, rule.channels) else SETTLE)
    if until <= watermark:
        return Closed()
    windows, moved = due_windows(rule.schedule, rule.zone, watermark, until, rule.catch_up)
    lanes: set[int] = set()
    for window in windows:
        lanes.update(_close(session, rule, window, now))
    if moved != watermark:
        session.execute(update(DIGEST).where(DIGEST.c.name == rule.name).values(watermark=moved))
    return Closed(len(windows), tuple(sorted(lanes)))


def preview(session: Session, rule: DigestRule, window: Window) -> Document | None:
    """What a digest would say of this window, as far as it is known now. Reads only."""
    return document(rule, read(session, rule, window, _ALWAYS))


def _watermark(session: Session, name: str, now: datetime) -> datetime:
    """Where the digest's next window starts; its row is ours until the end of the transaction."""
    start = insert_into(session, Digest).values(name=name, watermark=now).on_conflict_do_nothing()
    session.execute(start)
    row = select(DIGEST.c.watermark).where(DIGEST.c.name == name).with_for_update()
    watermark: datetime = session.execute(row).scalar_one()
    return watermark


def _close(session: Session, rule: DigestRule, window: Window, now: datetime) -> Collection[int]:
    told_at = _told_at(session, rule.name, window.start)
    closed_at = max(now, told_at or now)  # a clock set back must not tell anything twice
    came = Window((told_at or closed_at) - _COMMIT, closed_at - _COMMIT)
    contents = read(session, rule, window, came)
    row = {
        "digest": rule.name,
        "start_at": window.start,
        "end_at": window.end,
        "closed_at": closed_at,
        "messages": len(contents.said),
    }
    session.execute(insert_into(session, DigestWindow).values(row).on_conflict_do_nothing())
    content = document(rule, contents)
    return _owe(session, rule, window, content, now) if content else ()


def _told_at(session: Session, name: str, end: datetime) -> datetime | None:
    """When the window before this one was closed; None where there is none (first, skipped)."""
    found: datetime | None = session.execute(
        select(WINDOW.c.closed_at).where(WINDOW.c.digest == name, WINDOW.c.end_at == end)
    ).scalar_one_or_none()
    return found


def _owe(
    session: Session, rule: DigestRule, window: Window, content: Document, now: datetime
) -> Collection[int]:
    lanes = ensure_lanes(session, set(rule.to))
    body = richtext.dump(content)
    bodies = [(_key(rule, window, target), lane, body) for target, lane in lanes.items()]
    owe_bodies(session, bodies, kind="digest", due_at=now)
    return lanes.values()


def _key(rule: DigestRule, window: Window, target: ChannelRef) -> str:
    end = window.end.astimezone(UTC).isoformat()
    return hashed("digest", rule.name, end, target.account, target.id)
