"""Digest windows: the half-open stretches of time between the edges of a schedule."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from bridge.times.schedules import Schedule

CatchUp: TypeAlias = Literal["coalesce", "all", "latest", "skip"]
"""What becomes of windows that closed while nobody looked."""

MOST_WINDOWS = 100


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, and without, `end`; both in UTC."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        """Whether a moment lies in it; one exactly at the end belongs to the next window."""
        return self.start <= moment < self.end


def due_windows(
    schedule: Schedule,
    zone: ZoneInfo,
    watermark: datetime,
    now: datetime,
    catch_up: CatchUp,
    *,
    cap: int = MOST_WINDOWS,
) -> tuple[list[Window], datetime]:
    """The windows that have closed since `watermark`, oldest first, and the new watermark.

    `coalesce`: one window over all of it. `all`: each, the newest `cap` at the most. `latest`:
    the newest. `skip`: none. The watermark moves to the last edge that is due, not to now; with
    `coalesce`, and with `all` below the cap, windows tile time without gap or overlap.
    """
    wanted = cap if catch_up == "all" else 1
    edges = _last_edges(schedule, zone, watermark, now, wanted + 1)
    if not edges:
        return [], watermark
    if catch_up == "skip":
        return [], edges[-1]
    if catch_up == "coalesce":
        return [Window(watermark.astimezone(UTC), edges[-1])], edges[-1]
    if len(edges) <= wanted:
        edges.insert(0, watermark.astimezone(UTC))
    return [Window(start, end) for start, end in pairwise(edges)], edges[-1]


def _last_edges(
    schedule: Schedule, zone: ZoneInfo, after: datetime, until: datetime, count: int
) -> list[datetime]:
    """Up to `count` edges, the newest in (after, until].

    Looks back from the end, further each time: an outage of a year must not cost a year of edges.
    """
    back = timedelta(hours=1)
    while True:
        start = max(after, until - back)
        edges = _edges(schedule, zone, start, until)
        if len(edges) >= count or start == after:
            return edges[-count:]
        back *= 2


def _edges(schedule: Schedule, zone: ZoneInfo, after: datetime, until: datetime) -> list[datetime]:
    edges = []
    while after < until and (after := schedule.next_after(after, zone)) <= until:
        edges.append(after)
    return edges
