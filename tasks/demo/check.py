"""The headless run: what must come of the script against what the far sides really show."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from sqlmodel import col, func, select

from adapters.standin import Seen
from bridge.models import Delivery, Message, Status
from tasks.demo import script
from tasks.demo.stage import Stage, stage
from tasks.wiring import House

LONGEST_SECONDS = 45.0
QUIET_SECONDS = 3.0
"""After all has been seen, this long something wrong or doubled may still come."""
TRANSCRIPT = Path("../shared/data/slack-racket-general-2018.xml")


@dataclass(frozen=True, slots=True)
class Counts:
    """Expected and seen, of one moment. Keys of mappings are platforms."""

    stored: int
    cancelled: int
    notifications_expected: int
    notifications: Mapping[str, int]
    digests_expected: int
    digests: Mapping[str, int]
    lost: int
    doubled: int
    wrong: int


async def run(replay: str, most: int) -> int:
    """Run the script (and a transcript) through everything; 0 only if all is as expected."""
    began = time.monotonic()
    transcript = Path(replay) if replay else TRANSCRIPT
    async with stage(script.rules) as built:
        began_at = time.time()
        expected = script.Expected()
        await script.scenes(built.remotes, expected)
        if replay or transcript.exists():
            last = built.remotes[built.platforms[-1]]
            await script.replay(last, transcript, most, expected)
        counts = await _settled(built, expected, began_at)
        took = round(time.monotonic() - began, 1)
        summary = _summary(built, expected, counts, took)
        right = _all_right(expected, counts, len(built.platforms))
        if not right:
            typer.echo(built.log.read_text(errors="replace")[-6000:], err=True)
    _print(summary)
    return 0 if right else 1


async def _settled(built: Stage, expected: script.Expected, began_at: float) -> Counts:
    """The counts once all has come (or the time is over), and a quiet moment later."""
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        counts = await _count(built, expected, began_at)
        if _all_right(expected, counts, len(built.platforms)):
            break
        await asyncio.sleep(0.3)
    await asyncio.sleep(QUIET_SECONDS)
    return await _count(built, expected, began_at)


async def _count(built: Stage, expected: script.Expected, began_at: float) -> Counts:
    seen = {
        name: {channel: await remote.messages(channel) for channel in _CHANNELS}
        for name, remote in built.remotes.items()
    }
    by_us = {
        name: [one.text for one in [*channels["oncall"], *channels["bridge-admin"]] if one.by_app]
        for name, channels in seen.items()
    }
    wanted = _wanted(seen, expected)
    found = {name: [_times(by_us[name], text) for text in wanted[name]] for name in seen}
    digests = {name: sum(one.by_app for one in seen[name]["digest"]) for name in seen}
    edges = _windows(seen, began_at)
    wrong = sum(_times(by_us[name], text) for name in seen for text in expected.settled)
    stored, cancelled = await asyncio.to_thread(_store_counts, built.house)
    return Counts(
        stored=stored,
        cancelled=cancelled,
        notifications_expected=sum(map(len, wanted.values())),
        notifications={name: len(by_us[name]) for name in seen},
        digests_expected=len(edges),
        digests=digests,
        lost=sum(times == 0 for times_ in found.values() for times in times_)
        + max(expected.sent - stored, 0)
        + sum(max(len(edges) - count, 0) for count in digests.values()),
        doubled=sum(max(times - 1, 0) for times_ in found.values() for times in times_)
        + sum(max(count - len(edges), 0) for count in digests.values()),
        wrong=wrong,
    )


_CHANNELS = ("general", "oncall", "bridge-admin", "digest")


def _wanted(
    seen: Mapping[str, Mapping[str, list[Seen]]], expected: script.Expected
) -> dict[str, list[str]]:
    """For each platform the texts of which its app must say each once."""
    wanted = {name: list(expected.waiting) for name in seen}
    first = next(iter(wanted))
    for channels in seen.values():
        for one in channels["general"]:
            if not one.by_app and script.speaks(one.text):
                wanted[first].append(" ".join(one.text.split())[:40])
    return wanted


def _windows(seen: Mapping[str, Mapping[str, list[Seen]]], began_at: float) -> set[int]:
    """The digest windows in which people talked, among those that began in this run."""
    return {
        int(one.at // script.WINDOW_SECONDS)
        for channels in seen.values()
        for one in channels["general"]
        if not one.by_app and not one.deleted and one.at >= began_at - 1
    }


def _times(texts: list[str], wanted: str) -> int:
    return sum(wanted in " ".join(text.split()) for text in texts)


def _store_counts(house: House) -> tuple[int, int]:
    with house.store.reading() as session:
        stored = session.exec(
            select(func.count()).select_from(Message).where(~col(Message.own), col(Message.posted))
        ).one()
        cancelled = session.exec(
            select(func.count())
            .select_from(Delivery)
            .where(col(Delivery.status) == int(Status.CANCELLED))
        ).one()
    return stored, cancelled


def _all_right(expected: script.Expected, counts: Counts, platforms: int) -> bool:
    return (
        counts.stored == expected.sent
        and sum(counts.notifications.values()) == counts.notifications_expected
        and counts.cancelled == len(expected.settled) * platforms
        and all(count == counts.digests_expected for count in counts.digests.values())
        and counts.lost == counts.doubled == counts.wrong == 0
    )


def _summary(
    built: Stage, expected: script.Expected, counts: Counts, took: float
) -> dict[str, Any]:
    return {
        "messages_sent": expected.sent,
        "messages_stored": counts.stored,
        "notifications_expected": counts.notifications_expected,
        **{f"notifications_seen_{name}": n for name, n in counts.notifications.items()},
        "cancelled_expected": len(expected.settled) * len(built.platforms),
        "cancelled": counts.cancelled,
        "digests_expected": counts.digests_expected * len(built.platforms),
        **{f"digests_seen_{name}": n for name, n in counts.digests.items()},
        "wrongly_sent": counts.wrong,
        "lost": counts.lost,
        "doubled": counts.doubled,
        "seconds": took,
    }


def _print(summary: Mapping[str, Any]) -> None:
    for key, value in summary.items():
        typer.echo(f"{key.replace('_', ' '):<28} {value:>8}")
    typer.echo(json.dumps(summary))
