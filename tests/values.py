"""Short ways to make the values that tests speak of."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bridge.intake import Intake
from bridge.messages import ChannelRef, Posted
from bridge.rules import NotificationRule, RuleBook, Snapshot, When
from bridge.store import Store
from bridge.times import parse_duration

NOW = datetime(2026, 6, 11, 9, 0, tzinfo=UTC)
HELP = ChannelRef("acme", "C-help")
ONCALL = ChannelRef("acme", "C-oncall")
STAFF = ChannelRef("community", "D-staff")


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def posted(number: int = 1, text: str = "How does it work?", **fields: Any) -> Posted:
    """The numbered message of #help, a second apart from its neighbours."""
    known = {
        "channel": HELP,
        "native_id": str(number),
        "position": number,
        "author": "U-ada",
        "author_name": "ada",
        "text": text,
        "sent_at": NOW + seconds(number),
        "link": f"https://acme.example/{number}",
    }
    return Posted(**{**known, **fields})


def reply(number: int, root: int, **fields: Any) -> Posted:
    """A reply by grace in the thread of a root."""
    return replace(
        posted(number, "Like this.", author="U-grace", author_name="grace"),
        **{"thread": str(root), **fields},
    )


def rule(
    *,
    name: str = "unanswered",
    when: When | None = None,
    after: str = "30m",
    unless: tuple[str, ...] = ("reply", "reaction:white_check_mark"),
    to: tuple[ChannelRef, ...] = (ONCALL,),
    channels: Sequence[ChannelRef] = (HELP,),
    **fields: Any,
) -> NotificationRule:
    """A rule on #help."""
    text = "{author} in {channel}: {excerpt} {link}"
    snapshot = Snapshot(name, When(question=True) if when is None else when, unless, text)
    return NotificationRule(
        snapshot=snapshot,
        snapshot_id=snapshot.id,
        channels=frozenset(channels),
        after=parse_duration(after, zero=True),
        zone=ZoneInfo("UTC"),
        to=to,
        **fields,
    )


def intake(store: Store, *rules: NotificationRule, own: frozenset[str] = frozenset()) -> Intake:
    """A prepared intake."""
    made = Intake(store, RuleBook(rules), own.__contains__)
    made.prepare()
    return made
