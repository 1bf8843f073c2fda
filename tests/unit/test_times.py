"""Durations, schedules and windows, beyond the shared cases."""

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge.times import (
    CatchUp,
    Duration,
    Schedule,
    due_windows,
    every,
    moment_of,
    parse_cron,
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
CRONS = st.sampled_from(
    [
        "0 9 * * *",
        "30 2 * * *",
        "0 0 * * *",
        "15,45 1-3 * * *",
        "*/7 * * * *",
        "0 */2 * * *",
        "30 * * * *",
        "0 9 * * mon-fri",
        "59 23 l * *",
        "*/20 0 1,15 * sun",
    ]
)
SCHEDULES = st.one_of(
    CRONS.map(parse_cron), st.sampled_from(["45m", "4h", "7h", "1d", "3d", "2w"]).map(every)
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_day_keeps_the_wall_clock_and_an_hour_does_not() -> None:
    before = utc("2026-03-28T08:00")
    assert parse_duration("1d").after(before, BERLIN) == utc("2026-03-29T07:00")
    assert parse_duration("24h").after(before, BERLIN) == utc("2026-03-29T08:00")


def test_a_month_ends_where_the_next_one_does() -> None:
    assert parse_duration("1mo").after(utc("2026-01-31T09:00"), BERLIN) == utc("2026-02-28T09:00")
    assert parse_duration("13mo").after(utc("2027-01-31T09:00"), BERLIN) == utc("2028-02-29T09:00")


def test_days_come_before_hours_in_a_mix() -> None:
    assert parse_duration("1d2h").after(utc("2026-03-28T00:30"), BERLIN) == utc("2026-03-29T02:30")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("90", "a number needs a unit"),
        ("5 parsecs", "is not a duration"),
        ("", "is not a duration"),
        ("0s", "is zero"),
        ("1h1h", "names a unit twice"),
        ("1.5d", "cuts a day"),
        ("61mo", "too long"),
        ("-5m", "is not a duration"),
    ],
)
def test_what_is_no_duration_is_refused_with_a_reason(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse_duration(text)


def test_a_bare_number_after_hours_is_minutes() -> None:
    assert (
        parse_duration("2h30") == parse_duration("2 hours and 30 minutes") == Duration(seconds=9000)
    )


def test_zero_is_a_duration_where_the_caller_says_so() -> None:
    zero = parse_duration("0s", zero=True)
    assert not zero
    assert str(zero) == "0s"
    assert zero.after(utc("2026-01-01T00:00"), BERLIN) == utc("2026-01-01T00:00")


@given(st.integers(0, 59), st.integers(0, 700), st.integers(0, 10**6))
def test_a_duration_reads_back_as_it_is_written(months: int, days: int, seconds: int) -> None:
    assume(months * 30.5 + days < 1800)
    duration = Duration(months, days, seconds)
    assert parse_duration(str(duration), zero=True) == duration


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text)


@given(st.text("0123456789*/,-lLw#@adfimnorstuy ", max_size=25))
def test_any_text_is_a_cron_schedule_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        cron = parse_cron(text)
        assert cron.next_after(utc("2026-01-01T00:00"), BERLIN) > utc("2026-01-01T00:00")


@pytest.mark.parametrize(
    "text", ["* * * *", "0 0 0 9 * *", "60 * * * *", "0 0 30 2 *", "0 0 31 4,6 *", "", "@never"]
)
def test_what_can_never_fire_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a cron schedule|never"):
        parse_cron(text)


def test_sunday_is_0_and_7_and_may_end_a_range() -> None:
    saturday = utc("2026-06-06T12:00")
    sunday = utc("2026-06-07T09:00")
    for days in ("0", "7", "sun", "sat-sun", "6-7"):
        assert parse_cron(f"0 9 * * {days}").next_after(saturday, parse_zone("UTC")) == sunday


def test_restricted_day_fields_are_ored() -> None:
    cron = parse_cron("0 0 13 * fri")
    assert cron.next_after(utc("2026-06-06T00:00"), parse_zone("UTC")) == utc("2026-06-12T00:00")
    assert cron.next_after(utc("2026-06-12T00:00"), parse_zone("UTC")) == utc("2026-06-13T00:00")


def test_named_schedules_are_accepted() -> None:
    now, zone = utc("2026-06-10T12:30"), parse_zone("UTC")
    assert parse_cron("@hourly").next_after(now, zone) == utc("2026-06-10T13:00")
    assert parse_cron("@daily").next_after(now, zone) == utc("2026-06-11T00:00")
    assert parse_cron("@weekly").next_after(now, zone) == utc("2026-06-14T00:00")
    assert parse_cron("@monthly").next_after(now, zone) == utc("2026-07-01T00:00")


def test_a_fixed_time_in_a_fold_does_not_fire_again_in_the_second_pass() -> None:
    cron = parse_cron("30 1 * * *")
    assert cron.next_after(utc("2026-11-01T05:45"), NEW_YORK) == utc("2026-11-02T06:30")


def test_a_wildcard_hour_fires_in_both_passes_of_a_half_hour_fold() -> None:
    cron, lord_howe = parse_cron("45 * * * *"), parse_zone("Australia/Lord_Howe")
    first = cron.next_after(utc("2026-04-04T14:30"), lord_howe)
    second = cron.next_after(first, lord_howe)
    assert (first, second) == (utc("2026-04-04T14:45"), utc("2026-04-04T15:15"))


def brute_force(minutes: set[int], hours: set[int] | None, now: datetime) -> datetime:
    """The next real minute whose wall clock matches, by looking at every one."""
    at = now.replace(second=0, microsecond=0)
    while True:
        at += timedelta(minutes=1)
        wall = at.astimezone(NEW_YORK)
        if wall.minute in minutes and (hours is None or wall.hour in hours):
            return at


@given(st.integers(-400, 400), st.sampled_from(["2026-03-08T07:00", "2026-11-01T06:00"]))
def test_wildcards_agree_with_looking_at_every_minute(offset: int, change: str) -> None:
    now = utc(change) + timedelta(minutes=offset)
    found = parse_cron("*/25 * * * *").next_after(now, NEW_YORK)
    assert found == brute_force({0, 25, 50}, None, now)
    found = parse_cron("5 */2 * * *").next_after(now, NEW_YORK)
    assert found == brute_force({5}, set(range(0, 24, 2)), now)


@given(ZONES, st.integers(2005, 2030), st.integers(0, 23), st.integers(0, 59))
@settings(deadline=None, max_examples=20)
def test_a_fixed_time_fires_once_on_every_date(tz: ZoneInfo, year: int, h: int, m: int) -> None:
    cron = parse_cron(f"{m} {h} * * *")
    new_year = utc(f"{year}-01-01T{h:02}:{m:02}").replace(tzinfo=None)
    days = [new_year + timedelta(days=n) for n in range(1, 366)]
    expected = sorted({moment_of(wall, tz) for wall in days})
    at, found = moment_of(new_year, tz), []
    while at < expected[-1]:
        at = cron.next_after(at, tz)
        found.append(at)
    assert found == expected


@given(SCHEDULES, ZONES, MOMENTS, st.integers(0, 10**6))
@settings(deadline=None)
def test_the_next_time_is_after_now_and_nothing_lies_between(
    schedule: Schedule, tz: ZoneInfo, now: datetime, earlier: int
) -> None:
    following = schedule.next_after(now, tz)
    assert following > now
    between = now + (following - now) * (earlier / 10**6)
    assume(between < following)
    assert schedule.next_after(between, tz) == following


def test_intervals_are_counted_from_midnight() -> None:
    now = utc("2026-06-10T12:30")
    assert every("4h").next_after(now, BERLIN) == utc("2026-06-10T16:00")
    assert every("45m").next_after(now, BERLIN) == utc("2026-06-10T12:45")
    assert every("1d").next_after(now, BERLIN) == utc("2026-06-10T22:00")
    assert every("1w").next_after(now, BERLIN) == utc("2026-06-14T22:00")


@pytest.mark.parametrize("text", ["1mo", "1d12h", "0.5s", "0s", "often"])
def test_an_interval_without_an_even_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"allowed|schedule ="):
        every(text)


@given(SCHEDULES, ZONES, MOMENTS, st.lists(st.integers(0, 40 * 3600), max_size=12))
@settings(deadline=None, max_examples=60)
def test_windows_tile_time_for_any_sequence_of_looks(
    schedule: Schedule, tz: ZoneInfo, start: datetime, looks: list[int]
) -> None:
    for catch_up in ("all", "coalesce"):
        watermark, now = start, start
        for look in looks:
            now += timedelta(seconds=look)
            policy: CatchUp = "all" if catch_up == "all" else "coalesce"
            windows, moved = due_windows(schedule, tz, watermark, now, policy, cap=10**6)
            for window in windows:
                assert window.start == watermark < window.end <= now
                watermark = window.end
            assert moved == watermark
            assert schedule.next_after(watermark, tz) > now or not windows
        assert schedule.next_after(watermark, tz) > now


@given(SCHEDULES, ZONES, MOMENTS, st.integers(0, 20 * 86400))
@settings(deadline=None, max_examples=40)
def test_policies_agree_on_the_watermark(
    schedule: Schedule, tz: ZoneInfo, start: datetime, seconds: int
) -> None:
    now = start + timedelta(seconds=seconds)
    everything, mark = due_windows(schedule, tz, start, now, "all", cap=10**6)
    latest = due_windows(schedule, tz, start, now, "latest")
    assert latest == (everything[-1:], mark)
    assert due_windows(schedule, tz, start, now, "skip") == ([], mark)
    assert due_windows(schedule, tz, start, now, "all", cap=3) == (everything[-3:], mark)


def test_an_outage_of_years_costs_no_years_of_edges() -> None:
    schedule, now = every("1s"), utc("2026-06-10T12:00")
    windows, mark = due_windows(schedule, BERLIN, utc("1990-01-01T00:00"), now, "coalesce")
    assert [(w.start, w.end) for w in windows] == [(utc("1990-01-01T00:00"), now)]
    assert mark == now
