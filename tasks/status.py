"""What the store tells of the whole house: counts, schedules, deliveries. Reads only."""

from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col

from bridge.directory import read_names
from bridge.errors import ConfigError
from bridge.migrations import require_current
from bridge.models import (
    Account,
    Delivery,
    Digest,
    DigestWindow,
    Lane,
    Lease,
    Message,
    Quarantine,
    Rule,
    Status,
    Worker,
)
from bridge.times import Schedule
from tasks.budget import booked
from tasks.depths import channels_behind
from tasks.scheduler import ROLE
from tasks.wiring import House

Row = dict[str, Any]
T = TypeVar("T")


def facts(house: House) -> Row:
    """Counts and ages. Times are seconds."""
    require_current(house.store)
    now = datetime.now(UTC)
    with house.store.reading() as session:
        by_status = _counts(session, col(Delivery.status))
        oldest = session.scalar(
            select(func.min(Delivery.due_at)).where(col(Delivery.status) == int(Status.OWED))
        )
        return {
            "store": str(house.store),
            "messages": _count(session, Message),
            **{status.name.lower(): by_status.get(int(status), 0) for status in Status},
            "oldest due (s late)": max(round((now - oldest).total_seconds(), 1), 0)
            if oldest
            else 0,
            "lanes": _count(session, Lane),
            "lanes held": session.scalar(
                select(func.count()).select_from(Lane).where(col(Lane.holder).is_not(None))
            ),
            "lanes paused": session.scalar(
                select(func.count()).select_from(Lane).where(col(Lane.paused_until) > now)
            ),
            "accounts paused": session.scalar(
                select(func.count()).select_from(Account).where(col(Account.paused_until) > now)
            ),
            "channels behind": sum(channels_behind(session).values()),
            "budgets (s ahead)": booked(house, session),
            "quarantined": _count(session, Quarantine),
            **_alive(session),
        }


def schedule_rows(house: House) -> list[Row]:
    """The sweep and every digest: when, last and next run, what came of the last."""
    require_current(house.store)
    now = datetime.now(UTC)
    with house.store.reading() as session:
        leads = _alive(session)["leading scheduler"] != "none"
        rows = [
            {
                "name": "sweep",
                "schedule": f"every {house.settings.scheduler.sweep:g}s",
                "last": None,
                "next": None,
                "result": "a scheduler leads" if leads else "no scheduler runs",
            }
        ]
        for one in house.settings.digests:
            zone = house.settings.zone_of(one)
            rows.append(_digest_row(session, one.name, one.timing, zone, now))
    return rows


def delivery_rows(
    house: House, status: str, limit: int, *, rule: str = "", account: str = ""
) -> list[Row]:
    """Deliveries, newest first, only those that fit. Raises ConfigError for an unknown status."""
    names = {one.name.lower(): one for one in Status}
    if status and status not in names:
        raise ConfigError(f"--status {status!r}: allowed: {', '.join(names)}")
    require_current(house.store)
    with house.store.reading() as session:
        query = (
            select(Delivery, Lane, Rule, Message)
            .join(Lane, col(Lane.id) == col(Delivery.lane))
            .outerjoin(Rule, col(Rule.id) == col(Delivery.rule))
            .outerjoin(Message, col(Message.id) == col(Delivery.message))
            .order_by(col(Delivery.id).desc())
            .limit(limit)
        )
        if status:
            query = query.where(col(Delivery.status) == int(names[status]))
        if rule:
            query = query.where(col(Rule.name) == rule)
        if account:
            query = query.where(col(Lane.account) == account)
        called = called_channels(session)
        return [_delivery_row(called, *row) for row in session.execute(query)]


def _delivery_row(
    called: dict[tuple[str, str], str], delivery: Delivery, lane: Lane, rule: Any, message: Any
) -> Row:
    return {
        "id": delivery.id,
        "status": Status(delivery.status).name.lower(),
        "kind": delivery.kind,
        "rule": rule.name if rule else None,
        "to": f"{lane.account}:{called.get((lane.account, lane.channel), lane.channel)}",
        "due": local_time(delivery.due_at),
        "settled": local_time(delivery.settled_at),
        "attempts": delivery.attempts,
        "reason": delivery.reason or None,
        "about": " ".join(message.text.split())[:60] if message else None,
    }


def _digest_row(session: Session, name: str, timer: Schedule, zone: Any, now: datetime) -> Row:
    last = session.scalars(
        select(DigestWindow)
        .where(col(DigestWindow.digest) == name)
        .order_by(col(DigestWindow.end_at).desc())
        .limit(1)
    ).first()
    begun = session.get(Digest, name)
    return {
        "name": f"digest {name}",
        "schedule": f"{timer} {zone.key}",
        "last": local_time(last.end_at) if last else None,
        "next": local_time(timer.next_after(now, zone)),
        "result": f"{last.messages} messages"
        if last
        else ("no window yet" if begun else "not begun"),
    }


def _alive(session: Session) -> Row:
    roles = _counts(session, col(Worker.role))
    leader = session.scalars(
        select(Worker)
        .join(Lease, col(Lease.holder) == col(Worker.id))
        .where(col(Lease.name) == ROLE)
    ).first()
    return {
        "workers": roles.get("worker", 0),
        "schedulers": roles.get(ROLE, 0),
        "leading scheduler": f"{leader.host} (process {leader.pid})" if leader else "none",
    }


def called_channels(session: Session) -> dict[tuple[str, str], str]:
    """What people call each (account, channel)."""
    names = read_names(session)
    return {
        (account, one): f"#{name}" for (account, name), ids in names.channels.items() for one in ids
    }


def _counts(session: Session, column: Mapped[T]) -> dict[T, int]:
    return dict(session.execute(select(column, func.count()).group_by(column)).tuples().all())


def _count(session: Session, table: type[Any]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def local_time(moment: datetime | None) -> str | None:
    """A moment as people read it here."""
    return moment.astimezone().isoformat(sep=" ", timespec="seconds") if moment else None
