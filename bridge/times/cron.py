"""Cron schedules as crontab(5) writes them, with daylight saving rules that surprise nobody."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from bridge.times.local import is_real, wall_of

ALLOWED = (
    'five fields (minute hour day month weekday) such as "0 9 * * mon-fri", '
    "or @hourly, @daily, @weekly, @monthly, @yearly"
)
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS, _HOUR, _HOURS = 5, 1, 24
_NEAR = timedelta(hours=25)
"""Zones have moved by a whole day (Samoa, 2011), never by more."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron schedule. Built by parse_cron, which refuses what could never fire."""

    text: str

    def __str__(self) -> str:
        """The expression."""
        return self.text

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """When it fires next in `zone`, strictly after `moment`; in UTC.

        A fixed hour fires once on every matching day: shifted out of a gap, at the first of two
        passes. A wildcard hour fires at every real matching minute. Raises ValueError where it
        does not fire within 50 years.
        """
        moment = moment.astimezone(UTC)
        best: datetime | None = None
        for wall in self._walls(wall_of(moment, zone) - _shift(moment, zone)):
            for at, final in self._occurrences(wall, zone):
                if at > moment:
                    best = at if best is None else min(best, at)
                    if final:
                        return best
        if best is None:
            raise ValueError(f'"{self.text}" never fires again')
        return best

    def _walls(self, start: datetime) -> Iterator[datetime]:
        yield from CronSim(_expanded(self.text), start)

    def _occurrences(self, wall: datetime, zone: ZoneInfo) -> list[tuple[datetime, bool]]:
        """The moments of one wall time, and whether no later wall time can come before each."""
        first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        real = is_real(wall, first, zone)
        if not self._every_hour():
            return [(first, real)]
        if not real:
            return []
        second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
        return [(first, True)] if second == first else [(first, True), (second, False)]

    def _every_hour(self) -> bool:
        hours = _expanded(self.text).split()[_HOUR]
        return hours.startswith("*") or hours == f"0-{_HOURS - 1}"


def parse_cron(text: str) -> Cron:
    """A validated schedule. Raises ValueError for what is no crontab(5) line or never fires."""
    expression = " ".join(text.split())
    fields = _expanded(expression).split()
    if len(fields) != _FIELDS:
        raise ValueError(
            f'"{text}" is not a cron schedule, it has {len(fields)} fields; allowed: {ALLOWED}'
        )
    try:
        next(CronSim(" ".join(fields), datetime(2000, 1, 1)))  # noqa: DTZ001 - a wall clock
    except CronSimError as error:
        reason = str(error).lower().replace("day-of-month", "day, or one that never comes")
        raise ValueError(f'"{text}" is not a cron schedule: {reason}; allowed: {ALLOWED}') from None
    except StopIteration:
        raise ValueError(f'"{text}" never fires: no such day ever comes') from None
    return Cron(expression)


def _expanded(text: str) -> str:
    """As cronsim reads it: named schedules spelled out, and Sunday at a range's end as 7."""
    expression = _NAMED.get(text.lower(), text)
    head, _, weekdays = expression.rpartition(" ")
    return f"{head} {re.sub('-sun', '-7', weekdays, flags=re.IGNORECASE)}"


def _shift(moment: datetime, zone: ZoneInfo) -> timedelta:
    """How much the clocks of a zone are set around a moment; zero on nearly every day."""
    near = (moment - _NEAR, moment, moment + _NEAR)
    offsets = [at.astimezone(zone).utcoffset() or timedelta(0) for at in near]
    return max(offsets) - min(offsets)
