"""What fires again and again: a cron expression, or every so often."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from bridge.times.durations import Duration, parse_duration
from bridge.times.local import moment_of, wall_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1)
_FIRST_MONDAY = date(1970, 1, 5)
_ALLOWED = 'one kind of unit, such as "15m", "4h", "1d", "2w"'


class Schedule(Protocol):
    """Anything with a next time. The answer depends on the arguments alone."""

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """When it fires next in `zone`, strictly after `moment`; in UTC."""


@dataclass(frozen=True, slots=True)
class Every:
    """Every so often, counted from midnight of 1970-01-01. Built by `every`.

    Seconds, minutes and hours count in UTC; days fire at local midnight; whole weeks on Monday.
    """

    interval: Duration

    def __str__(self) -> str:
        """The interval."""
        return f"every {self.interval}"

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """When it fires next in `zone`, strictly after `moment`; in UTC."""
        if self.interval.days:
            return self._next_day(moment, zone)
        step = timedelta(seconds=self.interval.seconds)
        return _EPOCH + ((moment - _EPOCH) // step + 1) * step

    def _next_day(self, moment: datetime, zone: ZoneInfo) -> datetime:
        step = self.interval.days
        first = _FIRST_DAY if step % 7 else _FIRST_MONDAY
        passed = (wall_of(moment, zone).date() - first).days
        day = first + timedelta(days=passed // step * step)
        # a gap can shift today's midnight to after now; a doubled one can lie before it
        while (at := moment_of(datetime.combine(day, time()), zone)) <= moment:
            day += timedelta(days=step)
        return at


def every(text: str) -> Every:
    """A schedule from an interval such as "4h". Raises ValueError."""
    interval = parse_duration(text)
    if interval.months:
        raise ValueError(f'"{text}" has no even length; use schedule = "0 9 1 * *" for months')
    if interval.days and interval.seconds:
        raise ValueError(f'"{text}" mixes days with a time of the day; allowed: {_ALLOWED}')
    if interval.seconds != int(interval.seconds):
        raise ValueError(f'"{text}" is no whole number of seconds; allowed: {_ALLOWED}')
    return Every(interval)
