"""The headless run: what must come of the script against what the far sides really show."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from sqlmodel import col, func, select

from adapters.standin import Seen
from bridge.models import Delivery, Message, Status
from tasks.demo import script, transcript
from tasks.demo.stage import Stage, stage
from tasks.tables import columns

LONGEST_SECONDS = 45.0
QUIET_SECONDS = 3.0
"""After all has been seen, this long something wrong or doubled may still come."""
TRANSCRIPTS = Path("../shared/data")
"""Where real talk may lie beside the project; without it the script has to do."""
_TOLD_IN = ("oncall", "bridge-admin")
_CHANNELS = ("general", "digest", *_TOLD_IN)

Shown = Mapping[str, Mapping[str, Sequence[Seen]]]
"""All messages, by platform and channel."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Expected and seen, of one moment. Keys of mappings are platforms; texts say where."""

    stored: int
    cancelled: int
    notifications_expected: int
    notifications: Mapping[str, int]
    digests_expected: int
    digests: Mapping[str, int]
    missing: tuple[str, ...]
    doubled: tuple[str, ...]
    unwanted: tuple[str, ...]


async def run(replay: str, most: int) -> int:
    """Run the script (and a transcript) through everything; 0 only if all is as expected."""
    began = time.monotonic()
    lines = _lines(replay, most)
    async with stage(script.rules) as built:
        began_at = time.time()
        expected = script.Expected()
        await script.scenes(built.remotes, expected)
        await script.recite(built.remotes[built.platforms[-1]], lines, expected)
        counts = await _settled(built, expected, began_at)
        summary = _summary(built, expected, counts, round(time.monotonic() - began, 1))
        wrong = list(problems(summary, counts))
        if wrong:
            typer.echo(built.tail(), err=True)
            typer.echo("\n".join(["Not as expected:", *wrong]), err=True)
    for line in columns([(key.replace("_", " "), value) for key, value in summary.items()]):
        typer.echo(line)
    typer.echo(json.dumps(summary))
    return 1 if wrong else 0


def _lines(replay: str, most: int) -> list[transcript.Line]:
    paths = [Path(replay)] if replay else sorted(TRANSCRIPTS.glob("*.xml"))
    return list(transcript.read(paths[0], most)) if paths else []


async def _settled(built: Stage, expected: script.Expected, began_at: float) -> Counts:
    """The counts once all has come (or the time is over), and a quiet moment later."""
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        counts = await _count(built, expected, began_at)
        if not any(problems(_summary(built, expected, counts, 0), counts)):
            break
        await asyncio.sleep(0.3)
    await asyncio.sleep(QUIET_SECONDS)
    return await _count(built, expected, began_at)


async def _count(built: Stage, expected: script.Expected, began_at: float) -> Counts:
    shown = {
        name: {channel: await remote.messages(channel) for channel in _CHANNELS}
        for name, remote in built.remotes.items()
    }
    said = {
        name: [_run(one) for channel in _TOLD_IN for one in channels[channel] if one.by_app]
        for name, channels in shown.items()
    }
    wanted = _wanted(shown, expected)
    times = {
        f"{name}: {text}": _times(said[name], text) - owed
        for name, texts in wanted.items()
        for text, owed in Counter(texts).items()
    }
    stored, cancelled = await asyncio.to_thread(_store_counts, built)
    return Counts(
        stored=stored,
        cancelled=cancelled,
        notifications_expected=sum(map(len, wanted.values())),
        notifications={name: len(texts) for name, texts in said.items()},
        digests_expected=len(_windows(shown, began_at)),
        digests={name: sum(one.by_app for one in shown[name]["digest"]) for name in shown},
        missing=tuple(text for text, more in times.items() for _ in range(-more)),
        doubled=tuple(text for text, more in times.items() for _ in range(more)),
        unwanted=tuple(
            f"{name}: {text}"
            for name in shown
            for text in expected.settled
            for _ in range(_times(said[name], text))
        ),
    )


def _wanted(shown: Shown, expected: script.Expected) -> dict[str, list[str]]:
    """For each platform the texts of which its app must say each once."""
    wanted = {name: list(expected.waiting) for name in shown}
    first = next(iter(wanted))
    for channels in shown.values():
        for one in channels["general"]:
            if not one.by_app and script.speaks(one.text):
                wanted[first].append(_run(one)[:40])
    return wanted


def _windows(shown: Shown, began_at: float) -> set[int]:
    """The digest windows in which people talked, among those that began in this run."""
    return {
        int(one.at // script.WINDOW_SECONDS)
        for channels in shown.values()
        for one in channels["general"]
        if not one.by_app and not one.deleted and one.at >= began_at - 1
    }


def _run(one: Seen) -> str:
    return " ".join(one.text.split())


def _times(texts: Sequence[str], wanted: str) -> int:
    return sum(wanted in text for text in texts)


def _store_counts(built: Stage) -> tuple[int, int]:
    with built.house.store.reading() as session:
        stored = session.exec(
            select(func.count())
            .select_from(Message)
            .where(~col(Message.own), col(Message.posted))
            .where(col(Message.channel).not_in(built.rehearsal))
        ).one()
        cancelled = session.exec(
            select(func.count())
            .select_from(Delivery)
            .where(col(Delivery.status) == int(Status.CANCELLED))
        ).one()
    return stored, cancelled


def _summary(
    built: Stage, expected: script.Expected, counts: Counts, took: float
) -> dict[str, Any]:
    late = [max(counts.digests_expected - seen, 0) for seen in counts.digests.values()]
    more = [max(seen - counts.digests_expected, 0) for seen in counts.digests.values()]
    return {
        "messages_sent": expected.sent,
        "messages_stored": counts.stored,
        "notifications_expected": counts.notifications_expected,
        **{f"notifications_seen_{name}": n for name, n in counts.notifications.items()},
        "cancelled_expected": len(expected.settled) * len(built.platforms),
        "cancelled": counts.cancelled,
        "digests_expected": counts.digests_expected * len(built.platforms),
        **{f"digests_seen_{name}": n for name, n in counts.digests.items()},
        "wrongly_sent": len(counts.unwanted),
        "lost": len(counts.missing) + max(expected.sent - counts.stored, 0) + sum(late),
        "doubled": len(counts.doubled) + max(counts.stored - expected.sent, 0) + sum(more),
        "seconds": took,
    }


def problems(summary: Mapping[str, Any], counts: Counts) -> Iterator[str]:
    """A line for everything that is not as it must be; the texts as well as the figures."""
    seen = sum(counts.notifications.values())
    for what, expected, found in (
        ("messages stored", summary["messages_sent"], counts.stored),
        ("notifications", counts.notifications_expected, seen),
        ("cancelled", summary["cancelled_expected"], counts.cancelled),
        *(
            (f"digests on {name}", counts.digests_expected, digests)
            for name, digests in counts.digests.items()
        ),
        ("lost", 0, summary["lost"]),
        ("doubled", 0, summary["doubled"]),
    ):
        if expected != found:
            yield f"{what}: {found} instead of {expected}"
    yield from (f"missing on {text}" for text in counts.missing)
    yield from (f"once too often on {text}" for text in counts.doubled)
    yield from (f"must not be on {text}" for text in counts.unwanted)
