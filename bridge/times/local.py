"""Local time: zones, clock times, weekdays, and the moment that a wall clock shows."""

import difflib
import re
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo, available_timezones

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))
MONDAY_TO_FRIDAY = frozenset(range(5))

_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def moment_of(wall: datetime, zone: ZoneInfo, *, after: datetime | None = None) -> datetime:
    """The moment at which the clocks of a zone show `wall` (a naive datetime), in UTC.

    A time that a gap leaves out uses the offset before the gap: 02:30 becomes 03:30. A time that
    comes twice is the first one; the second where the first is not after `after`.
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if after is None or first > after or not is_real(wall, first, zone):
        return first
    return wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def is_real(wall: datetime, moment: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks of a zone show exactly `wall` at this moment (they do not in a gap)."""
    return wall_of(moment, zone) == wall


def wall_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks of a zone show at a moment, as a naive datetime."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def parse_zone(name: str) -> ZoneInfo:
    """The zone of this IANA name. Raises ValueError, with the nearest known name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise ValueError(
            f'"{name}" is not a time zone; {guess}allowed: IANA names such as UTC, Europe/Berlin'
        ) from None


def parse_clock(text: str) -> time:
    """A local time of the day written as "09:00". Raises ValueError."""
    found = _CLOCK.fullmatch(text.strip())
    if found:
        hour, minute = int(found[1]), int(found[2])
        if hour < 24 and minute < 60:  # noqa: PLR2004 - the clock's own numbers
            return time(hour, minute)
    raise ValueError(f'"{text}" is not a time of the day; allowed: "00:00" to "23:59"')


def parse_days(text: str) -> frozenset[int]:
    """Weekdays written as "mon-fri" or "mon,wed,sat-sun"; 0 is Monday. Raises ValueError."""
    days: set[int] = set()
    for term in text.lower().split(","):
        ends = [_weekday(name.strip(), text) for name in term.split("-", 1)]
        days.update((ends[0] + n) % 7 for n in range((ends[-1] - ends[0]) % 7 + 1))
    return frozenset(days)


def _weekday(name: str, text: str) -> int:
    for names in (WEEKDAYS, _FULL):
        if name in names:
            return names.index(name)
    raise ValueError(f'"{text}" names no weekdays; allowed: "mon-fri", "mon,wed", "sat-sun"')
