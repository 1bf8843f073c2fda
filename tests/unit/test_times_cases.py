"""The acceptance cases of time that durations, schedules, windows and hours answer."""

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.times import (
    QuietHours,
    Schedule,
    Window,
    WorkingTime,
    due_windows,
    every,
    moment_of,
    parse_cron,
    parse_duration,
    parse_zone,
)

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
PHRASE = re.compile(r"(tomorrow )?at (\d+)(?::(\d+))?(am|pm)?")
DAY = timedelta(days=1)
ELSEWHERE = {"reminder_due", "scheduled_post_due", "ingested_at", "empty_policy"}
"""Marks of cases about sending and digest contents, not about time itself."""

Case = dict[str, Any]


def cases() -> list[Any]:
    path = Path(os.environ.get("TIME_CASES") or SHARED / "cases" / "time.json")
    if not path.exists():
        return []
    found = [case for case in json.loads(path.read_text("utf-8")) if answerable(case)]
    return [pytest.param(case, id=f"{case['id']}-{case['kind']}") for case in found]


def answerable(case: Case) -> bool:
    given = case["input"]
    if case["kind"] == "unanswered":
        return "working" in given
    if isinstance(given, dict) and given.keys() & ELSEWHERE:
        return False
    if case["kind"] in {"dst_gap", "dst_fold"} and isinstance(given, str):
        return PHRASE.fullmatch(given) is not None
    return case["kind"] in RUNNERS


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def fires(schedule: Schedule, zone: str, at: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    for _ in range(count):
        found.append(schedule.next_after(found[-1] if found else at, parse_zone(zone)))
    return found


def as_text(value: Any) -> Any:
    """Moments as the cases write them, at any depth."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Window):
        return [as_text(value.start), as_text(value.end)]
    if isinstance(value, list):
        return [as_text(each) for each in value]
    return value


def run_duration(case: Case) -> Any:
    # "in" belongs to the grammar of phrases
    duration = parse_duration(case["input"].removeprefix("in "))
    return as_text(duration.after(moment(case["now"]), parse_zone(case["tz"])))


def run_cron(case: Case) -> Any:
    given = case["input"]
    if isinstance(given, str):
        return run_clock(case)
    return as_text(
        fires(parse_cron(given["expr"]), case["tz"], moment(case["now"]), given.get("n", 1))
    )


def run_clock(case: Case) -> Any:
    """A phrase such as "tomorrow at 2:30am", read here only as far as its clock time goes."""
    found = PHRASE.fullmatch(case["input"])
    assert found
    hour = int(found[2]) % 12 + 12 * (found[4] == "pm") if found[4] else int(found[2])
    zone, now = parse_zone(case["tz"]), moment(case["now"])
    today = now.astimezone(zone).date()
    if found[1]:
        wall = datetime.combine(today + DAY, time(hour, int(found[3] or 0)))
        return as_text(moment_of(wall, zone))
    at = moment_of(datetime.combine(today, time(hour, int(found[3] or 0))), zone, after=now)
    assert at > now
    return as_text(at)


def run_quiet(case: Case) -> Any:
    given, zone = case["input"], parse_zone(case["tz"])
    if given.get("priority") in given.get("bypass", ()):
        return given["due"]
    days = set(given.get("days", range(7)))
    hours = QuietHours.model_validate({"from": given["start"], "to": given["end"], "days": days})
    due = given["due"] if isinstance(given["due"], list) else [given["due"]]
    ends = [hours.quiet_until(moment(at), zone) or moment(at) for at in due]
    if not isinstance(given["due"], list):
        return as_text(ends[0])
    assert len(set(ends)) == case["expected"]["messages"]
    return case["expected"] | {"deliver_at": as_text(ends[0]), "items": len(ends)}


def run_windows(case: Case) -> Any:
    given = case["input"]
    if "message_ts" in given:
        inside = moment(given["message_ts"]) in Window(*map(moment, given["window"]))
        return "this window" if inside else "next window"
    zone = parse_zone(given.get("tz_new", case["tz"]))
    schedule = parse_cron(given.get("expr_new", given.get("expr")))
    start = moment(given.get("watermark", given.get("first_start")))
    last = fires(schedule, zone.key, start, given.get("n", 1))[-1]
    return as_text(due_windows(schedule, zone, start, last, "all")[0])


def run_catch_up(case: Case) -> Any:
    given, zone, now = case["input"], parse_zone(case["tz"]), moment(case["now"])
    if "recurring_every_s" in given:
        hourly = every(f"{given['recurring_every_s']}s")
        missed, _ = due_windows(hourly, zone, moment(given["last_fire"]), now, given["policy"])
        return {"fires": len(missed), "next": as_text(hourly.next_after(now, zone))}
    schedule, start = parse_cron(given["expr"]), moment(given["watermark"])
    windows, watermark = due_windows(
        schedule, zone, start, now, given["policy"], cap=given.get("max_windows", 100)
    )
    due = len(due_windows(schedule, zone, start, now, "all", cap=10_000)[0])
    return {"windows": as_text(windows), "watermark_after": as_text(watermark), "due": due}


def run_working(case: Case) -> Any:
    given, zone = case["input"], parse_zone(case["tz"])
    start, end = given["working"]["hours"]
    hours = WorkingTime.model_validate({"days": given["working"]["days"], "from": start, "to": end})
    duration = parse_duration(given["after"])
    return {"remind_at": as_text(hours.add_working(moment(given["posted"]), duration, zone))}


RUNNERS: dict[str, Callable[[Case], Any]] = {
    "duration": run_duration,
    "cron_next": run_cron,
    "dst_gap": run_cron,
    "dst_fold": run_cron,
    "quiet_hours": run_quiet,
    "digest_windows": run_windows,
    "catch_up": run_catch_up,
    "unanswered": run_working,
}


@pytest.mark.skipif(not cases(), reason="the shared cases are not here")
@pytest.mark.parametrize("case", cases())
def test_the_case_comes_out_as_expected(case: Case) -> None:
    runner = RUNNERS[case["kind"]]
    if case["expected"] == "error":
        with pytest.raises(ValueError, match=r"allowed|too long|never fires"):
            runner(case)
    else:
        assert runner(case) == case["expected"], case["why"]
