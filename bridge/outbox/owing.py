"""What is owed becomes rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlmodel import Session

from bridge.messages import ChannelRef
from bridge.models import Delivery, Rule
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

    Rows are numbered in the platform's order of messages, which breaks ties of `due_at` in a lane.
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
        for one in sorted(owed, key=lambda one: (one.due_at, one.position, one.key))
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
