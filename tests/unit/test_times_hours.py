"""Zones, clock times, quiet hours and working time, beyond the shared cases."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.times import (
    Duration,
    QuietHours,
    WorkingTime,
    parse_clock,
    parse_days,
    parse_duration,
    parse_zone,
)

BERLIN = parse_zone("Europe/Berlin")
NEW_YORK = parse_zone("America/New_York")
ZONES = st.sampled_from(
    [
        parse_zone(name)
        for name in (
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Africa/Cairo",
            "Asia/Beirut",
            "America/Havana",
            "America/St_Johns",
            "Pacific/Apia",
            "Asia/Kathmandu",
        )
    ]
)
MOMENTS = st.integers(0, 25 * 365 * 86400).map(
    lambda seconds: datetime(2005, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_clock_times_and_days_are_read_strictly() -> None:
    assert parse_clock("09:00") == time(9)
    assert parse_clock("9:05") == time(9, 5)
    assert parse_days("mon-fri") == frozenset(range(5))
    assert parse_days("Mon, wednesday,sat-sun") == frozenset({0, 2, 5, 6})
    assert parse_days("fri-mon") == frozenset({4, 5, 6, 0})
    for text in ("24:00", "9", "09:60", "nine"):
        with pytest.raises(ValueError, match="is not a time of the day"):
            parse_clock(text)
    for text in ("", "mon-", "funday", "mon,,tue"):
        with pytest.raises(ValueError, match="names no weekdays"):
            parse_days(text)


def test_an_unknown_zone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"did you mean Europe/Berlin\?"):
        parse_zone("Europe/Berln")
    for name in ("", "../etc/passwd", "Europe", "/etc/localtime", "a\0b"):
        with pytest.raises(ValueError, match="is not a time zone"):
            parse_zone(name)


CLOCKS = st.times().map(lambda at: at.replace(second=0, microsecond=0))
DAYS = st.frozensets(st.integers(0, 6), min_size=1)


@given(ZONES, MOMENTS, CLOCKS, CLOCKS, DAYS)
@settings(deadline=None)
def test_when_quiet_ends_it_is_not_quiet(
    tz: ZoneInfo, now: datetime, start: time, end: time, days: frozenset[int]
) -> None:
    hours = QuietHours(start=start, end=end, days=days)
    until = hours.quiet_until(now, tz)
    if until is not None:
        assert until > now
        assert hours.quiet_until(until, tz) is None
        assert hours.quiet_until(until - timedelta(microseconds=1), tz) == until


def test_working_time_skips_the_night_and_the_weekend() -> None:
    hours = WorkingTime(start=time(9), end=time(18), days=parse_days("mon-fri"))
    friday = utc("2026-06-12T15:45")
    assert hours.add_working(friday, parse_duration("15m"), BERLIN) == utc("2026-06-12T16:00")
    assert hours.add_working(friday, parse_duration("16m"), BERLIN) == utc("2026-06-15T07:01")
    assert hours.add_working(friday, parse_duration("18h15m"), BERLIN) == utc("2026-06-16T16:00")
    assert hours.add_working(friday, Duration(), BERLIN) == friday


def test_a_night_shift_belongs_to_the_day_it_starts() -> None:
    hours = WorkingTime(start=time(22), end=time(6), days=parse_days("fri"))
    saturday = utc("2026-06-13T02:00")  # 04:00 in Berlin, two hours left
    assert hours.add_working(saturday, parse_duration("3h"), BERLIN) == utc("2026-06-19T21:00")


def test_working_time_is_not_counted_in_days_and_not_for_ever() -> None:
    hours = WorkingTime(start=time(9), end=time(9, 1), days=parse_days("mon"))
    with pytest.raises(ValueError, match="counted in hours"):
        hours.add_working(utc("2026-06-12T15:45"), parse_duration("1d"), BERLIN)
    with pytest.raises(ValueError, match="more than 20 years"):
        hours.add_working(utc("2026-06-12T15:45"), parse_duration("20000h"), BERLIN)


@given(ZONES, MOMENTS, CLOCKS, CLOCKS, DAYS, st.integers(1, 40 * 3600))
@settings(deadline=None, max_examples=50)
def test_working_time_adds_up(
    tz: ZoneInfo, now: datetime, start: time, end: time, days: frozenset[int], seconds: int
) -> None:
    assume(abs((start.hour - end.hour) * 60 + start.minute - end.minute) > 30)
    hours = WorkingTime(start=start, end=end, days=days)
    half = Duration(seconds=seconds // 2)
    rest = Duration(seconds=seconds - seconds // 2)
    at_once = hours.add_working(now, Duration(seconds=seconds), tz)
    assert hours.add_working(hours.add_working(now, half, tz), rest, tz) == at_once
    assert at_once - now >= timedelta(seconds=seconds)


def test_empty_working_time_is_refused() -> None:
    with pytest.raises(ValidationError, match="working time is empty"):
        WorkingTime(start=time(9), end=time(9))
