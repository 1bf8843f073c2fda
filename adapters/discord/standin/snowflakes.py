"""Discord's ids: they grow with time and carry the moment they were made."""

import time
from datetime import UTC, datetime

EPOCH_MS = 1_420_070_400_000
"""The first moment of 2015, in milliseconds since 1970."""
SHIFT = 22


class Snowflakes:
    """Hands out ids from the real clock, each greater than the one before."""

    def __init__(self) -> None:
        self._last = 0

    def make(self) -> str:
        """A new id."""
        self._last = max(self._last + 1, at_moment(time.time()))
        return str(self._last)


def at_moment(seconds: float) -> int:
    """The smallest id of a moment given in seconds since 1970."""
    return (int(seconds * 1000) - EPOCH_MS) << SHIFT


def seconds(native_id: str) -> float:
    """The moment an id was made, in seconds since 1970."""
    return ((int(native_id) >> SHIFT) + EPOCH_MS) / 1000


def stamp(native_id: str) -> str:
    """The moment an id was made, as Discord writes moments."""
    return iso(seconds(native_id))


def iso(moment: float) -> str:
    """A moment in seconds since 1970 as ISO-8601 with microseconds and +00:00."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
