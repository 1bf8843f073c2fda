"""Durations as people write them: an elapsed part (s, m, h) and a calendar part (d, w, mo, y)."""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from bridge.times.local import moment_of, wall_of

ALLOWED = "30s, 5m, 2h, 1d, 1w, 1mo, 1y, or a mix such as 1h30m"
LONGEST_DAYS = 1827
"""Five years, leap days included."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_MONTHS = 12
_SECONDS = {"s": 1, "m": _MINUTE, "h": _HOUR}
_WORDS = {
    "s": "s sec secs second seconds",
    "m": "m min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "w": "w wk wks week weeks",
    "mo": "mo month months",
    "y": "y yr yrs year years",
}
_UNITS = {word: unit for unit, words in _WORDS.items() for word in words.split()}
_PART = re.compile(r"\s*(?:(?:,|and)\s*)?([0-9]{1,9}(?:\.[0-9]{1,6})?|an?(?=\s))\s*([a-z]*)")


@dataclass(frozen=True, slots=True)
class Duration:
    """So many months, then days, on the wall clock; then so many seconds of elapsed time."""

    months: int = 0
    days: int = 0
    seconds: float = 0

    def __bool__(self) -> bool:
        """Whether it lasts at all."""
        return bool(self.months or self.days or self.seconds)

    def __str__(self) -> str:
        """As config writes it: 1h30m."""
        weeks, days = divmod(self.days, 7) if self.days % 7 == 0 else (0, self.days)
        hours, rest = divmod(self.seconds, _HOUR)
        minutes, seconds = divmod(rest, _MINUTE)
        years, months = divmod(self.months, _MONTHS)
        parts = [(years, "y"), (months, "mo"), (weeks, "w"), (days, "d"), (hours, "h")]
        parts += [(minutes, "m"), (seconds, "s")]
        return "".join(_plain(count) + unit for count, unit in parts if count) or "0s"

    @property
    def elapsed(self) -> bool:
        """Whether no calendar is needed to say how long it lasts."""
        return not (self.months or self.days)

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The moment, in UTC, that is this much after another for a reader in `zone`.

        Days and longer keep the wall clock; the end of a month clamps (31 January + 1mo is 28
        February); gaps and doubled hours as in moment_of.
        """
        if not self.elapsed:
            wall = _add_months(wall_of(moment, zone), self.months) + timedelta(days=self.days)
            moment = moment_of(wall, zone)
        return moment.astimezone(UTC) + timedelta(seconds=self.seconds)


def parse_duration(text: str, *, zero: bool = False) -> Duration:
    """A duration such as "30s", "1h30m", "2 weeks", "1mo".

    Raises ValueError: no unit, an unknown or repeated unit, zero (unless `zero` allows it), more
    than five years. A bare number right after hours is minutes: "2h30".
    """
    found = Duration()
    seen: list[str] = []
    for number, word in _split(text):
        unit = _unit(word, text, seen)
        if unit in seen:
            raise ValueError(f'"{text}" names a unit twice; allowed: {ALLOWED}')
        seen.append(unit)
        found = _add(found, Decimal("1" if number[0] == "a" else number), unit, text)
    if not found and not zero:
        raise ValueError(f'"{text}" is zero; allowed: {ALLOWED}')
    if _days(found) > LONGEST_DAYS:
        raise ValueError(f'"{text}" is too long; allowed: 5y at the most')
    return found


def _split(text: str) -> list[tuple[str, str]]:
    """Pairs of number and unit."""
    rest = text.strip().lower()
    pairs = []
    while rest:
        part = _PART.match(rest)
        if part is None:
            raise ValueError(f'"{text}" is not a duration; allowed: {ALLOWED}')
        pairs.append((part[1], part[2]))
        rest = rest[part.end() :].strip()
    if not pairs:
        raise ValueError(f'"{text}" is not a duration; allowed: {ALLOWED}')
    return pairs


def _unit(word: str, text: str, seen: list[str]) -> str:
    if not word and seen and seen[-1] == "h":
        return "m"
    if not word:
        raise ValueError(f'"{text}" is not a duration, a number needs a unit; allowed: {ALLOWED}')
    if word not in _UNITS:
        raise ValueError(f'"{text}" is not a duration; allowed: {ALLOWED}')
    return _UNITS[word]


def _add(to: Duration, number: Decimal, unit: str, text: str) -> Duration:
    if unit in _SECONDS:
        seconds = number * _SECONDS[unit]
        whole = int(seconds) if seconds == int(seconds) else float(seconds)
        return Duration(to.months, to.days, to.seconds + whole)
    if number != int(number):
        raise ValueError(f'"{text}" cuts a day, week, month or year; allowed: {ALLOWED}')
    months = {"mo": 1, "y": _MONTHS}.get(unit, 0)
    days = {"d": 1, "w": 7}.get(unit, 0)
    return Duration(to.months + months * int(number), to.days + days * int(number), to.seconds)


def _days(duration: Duration) -> float:
    """About how many days it lasts."""
    return duration.months * 365.25 / _MONTHS + duration.days + duration.seconds / _DAY


def _add_months(wall: datetime, months: int) -> datetime:
    year, month = divmod(wall.year * _MONTHS + wall.month - 1 + months, _MONTHS)
    last = calendar.monthrange(year, month + 1)[1]
    return wall.replace(year=year, month=month + 1, day=min(wall.day, last))


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
