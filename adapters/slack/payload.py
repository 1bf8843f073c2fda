"""Reading Slack's payloads: fields that must be there, and the time stamps that name messages."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

JsonDict: TypeAlias = dict[str, Any]

METADATA = "chatbridge_delivery"
"""The type of our messages' metadata; its payload holds the delivery's key."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TS = re.compile(r"(\d{1,11})(?:\.(\d{1,6}))?", re.ASCII)
MICROSECONDS = 6


def need(payload: JsonDict, path: str, what: str) -> str:
    """The text at a dotted path. Raises ValueError naming what is missing."""
    value: Any = payload
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} without {path}")
    return value


def inner(payload: JsonDict, key: str, what: str) -> JsonDict:
    """The object at a key. Raises ValueError naming what is missing."""
    value = payload.get(key)
    if not value or not isinstance(value, dict):
        raise ValueError(f"{what} without {key}")
    return value


def position(ts: str) -> int:
    """A message's `ts` as microseconds since 1970. Raises ValueError for what is no time stamp."""
    match = _TS.fullmatch(ts)
    if not match:
        raise ValueError(f"{ts!r} is no time stamp of Slack")
    seconds, fraction = match.groups(default="")
    return int(seconds + fraction.ljust(MICROSECONDS, "0"))


def moment(ts: str) -> datetime:
    """The exact moment of a `ts`."""
    try:
        return _EPOCH + timedelta(microseconds=position(ts))
    except OverflowError:
        raise ValueError(f"{ts!r} is later than any calendar") from None


def position_at(at: datetime) -> int:
    """The position that a message posted at a moment has."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def ts_of(place: int) -> str:
    """A position as Slack writes it: "1700000000.000100"."""
    seconds, micros = divmod(place, 10**MICROSECONDS)
    return f"{seconds:010d}.{micros:06d}"


def delivery_key(message: JsonDict) -> str:
    """The key of the delivery that a message of ours carries, "" where Slack does not show it."""
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != METADATA:
        return ""
    payload = metadata.get("event_payload")
    key = payload.get("key") if isinstance(payload, dict) else ""
    return key if isinstance(key, str) else ""
