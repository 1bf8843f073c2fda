"""Moments, durations, schedules and windows. Pure: now is always an argument, aware and in UTC."""

from bridge.times.cron import Cron, parse_cron
from bridge.times.durations import Duration, parse_duration
from bridge.times.hours import Clock, QuietHours, WorkingTime
from bridge.times.local import moment_of, parse_clock, parse_days, parse_zone
from bridge.times.schedules import Every, Schedule, every
from bridge.times.windows import CatchUp, Window, due_windows

__all__ = [
    "CatchUp",
    "Clock",
    "Cron",
    "Duration",
    "Every",
    "QuietHours",
    "Schedule",
    "Window",
    "WorkingTime",
    "due_windows",
    "every",
    "moment_of",
    "parse_clock",
    "parse_cron",
    "parse_days",
    "parse_duration",
    "parse_zone",
]
