"""Hours of the day on days of the week: when to be quiet, and when people work."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bridge.times.durations import Duration
from bridge.times.local import (
    EVERY_DAY,
    MONDAY_TO_FRIDAY,
    moment_of,
    parse_clock,
    parse_days,
    wall_of,
)

_DAY = timedelta(days=1)
_FURTHEST_DAYS = 366 * 20


def _clock(value: Any) -> time:
    if isinstance(value, time):
        return value
    return parse_clock(str(value))


def _days(value: Any) -> frozenset[int]:
    if isinstance(value, frozenset | set):
        return frozenset(value)
    return parse_days(str(value))


Clock = Annotated[time, BeforeValidator(_clock)]
"""A local time of the day, written "09:00"."""

Days = Annotated[frozenset[int], BeforeValidator(_days)]
"""Weekdays, written "mon-fri" or "mon,wed"; 0 is Monday."""


class Hours(BaseModel):
    """From a time of the day to another, on some days; past midnight where `to` comes first.

    A weekday means the day on which the window starts. In config the keys are from, to, days.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    start: Clock = Field(validation_alias="from", examples=['from = "22:00"'])
    end: Clock = Field(validation_alias="to", examples=['to = "08:00"'])
    days: Days = Field(default=EVERY_DAY, examples=['days = "mon-fri"'])

    def windows(self, day: date, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
        """The windows that start on this day or later, in order; in UTC, half-open."""
        while True:
            if day.weekday() in self.days:
                yield self._window(day, zone)
            day += _DAY

    def _window(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        last = day if self.start < self.end else day + _DAY
        start = moment_of(datetime.combine(day, self.start), zone)
        return start, moment_of(datetime.combine(last, self.end), zone)


class QuietHours(Hours):
    """When nothing is sent; `from` equal to `to` switches them off.

    `bypass` holds keywords that go through all the same.
    """

    bypass: tuple[str, ...] = Field(default=(), examples=['bypass = ["urgent"]'])

    def quiet_until(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """When the quiet that holds at this moment ends, in UTC; None where it is not quiet."""
        if self.start == self.end or not self.days:
            return None
        until = moment.astimezone(UTC)
        # a window of yesterday may still be open; one shifted by a gap may touch the next
        for start, end in self.windows(wall_of(until, zone).date() - _DAY, zone):
            if start > until:
                break
            until = max(until, end)
        return until if until > moment else None


class WorkingTime(Hours):
    """When people work; only this counts where a rule says count = "working_time"."""

    days: Days = Field(default=MONDAY_TO_FRIDAY, examples=['days = "mon-fri"'])

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.start == self.end or not self.days:
            raise ValueError("working time is empty; from and to must differ")
        return self

    def add_working(self, moment: datetime, duration: Duration, zone: ZoneInfo) -> datetime:
        """The moment, in UTC, when so much working time has passed since another.

        Raises ValueError for a duration with days or longer (how long is a working day?), and for
        one that would take more than 20 years.
        """
        if not duration.elapsed:
            raise ValueError(f'working time is counted in hours, not in days: "{duration}"')
        at = moment.astimezone(UTC)
        left = timedelta(seconds=duration.seconds)
        last = at + timedelta(days=_FURTHEST_DAYS)
        windows = self.windows(wall_of(at, zone).date() - _DAY, zone)
        while left > timedelta(0):
            start, end = next(windows)
            if start > last:
                raise ValueError(f'"{duration}" of working time takes more than 20 years')
            start = max(start, at)
            if start < end:
                at = min(end, start + left)
                left -= at - start
        return at
