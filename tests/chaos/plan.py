"""What people say and what goes wrong, and when: drawn from a seed before anything starts. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.standin import PEOPLE

WAIT_SECONDS = 8.0
"""How long a `waiting` message waits for a reply, a reaction, an edit or its deletion."""
KEYWORDS = {"urgent": "urgent", "waiting": "waiting", "talk": "idle"}
"""From a kind of message to the word in it that a rule looks for (none for talk)."""
CERTAIN, RACING = (1.0, 4.0), (6.5, 9.5)
"""Seconds after the post in which what cancels it comes: well before it is due, or just then."""
LATEST_ACCEPTED = 25.0
_FATES = {
    "stays": 40,
    "own_reply": 6,
    "reply": 16,
    "reaction": 12,
    "edit": 9,
    "delete": 9,
    "racing_reply": 4,
    "racing_reaction": 4,
}
_PLACES = ("worker", "scheduler", "broker", "database")
LISTENERS = 0.1
"""The share of listeners among those who are killed or stopped, see _apart."""
CUTS = {"slack": 1 / 32, "discord": 3 / 32}
"""Event connections cut, for each process that is killed."""
_KILLS = {"worker": 9, "scheduler": 5, "broker": 6, "database": 5}
_STOPS = {"worker": 5, "scheduler": 3, "broker": 2}
_WORDS = (
    "build",
    "café",
    "*deploy*",
    "a < b & c",
    "`code`",
    "日本",
    "release",
    "<b>",
    "_note_",
    "🎉",
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens: `seconds` of talk, half of the channels on each platform."""

    messages: int = 1200
    channels: int = 60
    seconds: float = 180.0
    kills: int = 32
    window: int = 60


@dataclass(frozen=True, slots=True)
class Said:
    """A message and what becomes of it. `at` counts from the beginning, `then` from the post."""

    number: int
    at: float
    platform: str
    channel: str
    person: str
    kind: str
    fate: str
    then: float
    text: str

    @property
    def token(self) -> str:
        """What finds it again wherever it is quoted."""
        return token(self.number)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong: kill, stop, cut or fault, with what it takes to do it."""

    at: float
    kind: str
    target: str
    seconds: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will happen in a run."""

    seed: int
    size: Size
    platforms: tuple[str, ...]
    channels: tuple[str, ...]
    said: tuple[Said, ...]
    troubles: tuple[Trouble, ...]

    @property
    def kills(self) -> int:
        """How many processes are killed."""
        return sum(one.kind == "kill" for one in self.troubles)

    @property
    def slowed(self) -> set[tuple[str, str]]:
        """The lanes, by platform and channel, in which the platform itself is made to be slow."""
        return {
            (one.target, one.options["channel"])
            for one in self.troubles
            if one.options.get("kind") in {"accept_late", "latency"}
        }


def token(number: int) -> str:
    """A word that stands for a message and occurs nowhere else."""
    return f"n{number:05d}z"


def other(platforms: Sequence[str], platform: str) -> str:
    """Where a platform's notifications go: to the next one."""
    return platforms[(platforms.index(platform) + 1) % len(platforms)]


def draw(seed: int, size: Size, platforms: Sequence[str], breakable: Sequence[str]) -> Plan:
    """A run's plan. `breakable` are the servers that can be killed here: broker, database."""
    chance = random.Random(seed)
    channels = tuple(f"c{number:02d}" for number in range(size.channels // len(platforms)))
    said = tuple(sorted(_talk(chance, size, platforms, channels), key=lambda one: one.at))
    places = {"listener", "worker", "scheduler", *breakable}
    troubles = [
        *_process_troubles(chance, size, "kill", _KILLS, places, size.kills),
        *_process_troubles(chance, size, "stop", _STOPS, places, round(size.kills / 3)),
        *_cuts(chance, size, platforms),
        *_faults(chance, size, platforms, channels),
    ]
    ordered = tuple(sorted(_apart(chance, size, troubles), key=lambda one: one.at))
    return Plan(seed, size, tuple(platforms), channels, said, ordered)


def _apart(chance: random.Random, size: Size, troubles: Sequence[Trouble]) -> Iterator[Trouble]:
    """The same troubles; those that open a gap on the platform that reads slowest at distances.

    All of an account's channels are read up after each, and Slack lets us read 50 in a minute:
    closer together they would measure that limit and nothing else.
    """
    deaf = [one for one in troubles if one.target == "slack" and one.kind == "cut"]
    deaf += [one for one in troubles if one.target.startswith("listener")]
    chance.shuffle(deaf)
    for number, trouble in enumerate(deaf):
        at = size.seconds * (number + chance.uniform(0.25, 0.75)) / len(deaf)
        yield replace(trouble, at=at)
    yield from (one for one in troubles if one not in deaf)


def _talk(
    chance: random.Random, size: Size, platforms: Sequence[str], channels: Sequence[str]
) -> Iterator[Said]:
    """Messages, so that with the replies among what becomes of them there are as many as wanted."""
    number = posts = 0
    places = [(platform, channel) for platform in platforms for channel in channels]
    while posts < size.messages:
        if number % len(places) == 0:
            chance.shuffle(places)
        platform, channel = places[number % len(places)]
        kind = chance.choices(["urgent", "waiting", "talk"], [42, 52, 6])[0]
        fate = chance.choices(list(_FATES), list(_FATES.values()))[0]
        if kind != "waiting" or (fate.endswith("reply") and posts + 2 > size.messages):
            fate = "stays"
        if fate == "delete" and channel == channels[0]:
            fate = "reaction"  # the digest counts what was said there
        then = chance.uniform(*(RACING if fate.startswith("racing") else CERTAIN))
        words = " ".join(chance.choices(_WORDS, k=chance.randint(1, 6)))
        yield Said(
            number=number,
            at=chance.uniform(0, size.seconds),
            platform=platform,
            channel=channel,
            person=chance.choice(PEOPLE),
            kind=kind,
            fate=fate,
            then=then,
            text=f"{token(number)} {words} {KEYWORDS[kind]} {chance.randint(0, 999)}",
        )
        number += 1
        posts += 2 if fate.endswith("reply") else 1


def _process_troubles(
    chance: random.Random,
    size: Size,
    kind: str,
    weights: dict[str, int],
    places: set[str],
    count: int,
) -> Iterator[Trouble]:
    step = (size.seconds - 4) / max(count, 1)
    for number, place in enumerate(_deck(chance, weights, places, count)):
        at = 2 + step * (number + chance.random())
        twins = 1 if place in {"broker", "database"} else 2
        seconds = chance.uniform(0, 2) if kind == "kill" else chance.uniform(1, 9)
        if place == "broker" and kind == "stop":
            seconds = min(seconds, 5.0)
        yield Trouble(at, kind, f"{place}-{chance.randint(1, twins)}", seconds)


def _deck(
    chance: random.Random, weights: dict[str, int], places: set[str], count: int
) -> list[str]:
    """Who is hit, in order."""
    listeners = max(round(count * LISTENERS), 1) if count else 0
    known = [one for one in _PLACES if one in weights and one in places]
    deck = chance.choices(known, [weights[one] for one in known], k=count - listeners)
    deck += ["listener"] * listeners
    chance.shuffle(deck)
    return deck


def _cuts(chance: random.Random, size: Size, platforms: Sequence[str]) -> Iterator[Trouble]:
    """Event connections dropped: every way once, as many as a platform's share allows."""
    for platform in platforms:
        ways = ["close", "abort", "fresh"]
        chance.shuffle(ways)
        cuts = ways[: max(round(size.kills * CUTS[platform]), 1)] if size.kills else []
        for number, how in enumerate(cuts):
            at = size.seconds * (number + chance.random()) / len(cuts)
            yield Trouble(at, "cut", platform, options={"how": how})


_POST = {"slack": "chat.postMessage", "discord": "POST /channels/*/messages"}
_READ = {
    "slack": ("conversations.history", "conversations.replies"),
    "discord": ("GET /channels/*/messages", "GET /guilds/*/threads/active"),
}
_OPEN = {"slack": "apps.connections.open", "discord": "GET /gateway/bot"}
_POST_FAULTS = {
    "ratelimit": 5,
    "status": 5,
    "status_after": 4,
    "drop_after": 4,
}
_DROPS = {"slack": 1 / 600, "discord": 4 / 600}
"""Posts cut before they are accepted, for each message: on Slack it takes half a minute to be sure
of that, and all that is due in the lane meanwhile is as late."""
_STATUS = (500, 502, 503)


def _faults(
    chance: random.Random, size: Size, platforms: Sequence[str], channels: Sequence[str]
) -> Iterator[Trouble]:
    """Calls that go wrong: 4 of 100 posts, some reading, and a few posts accepted late."""

    def fault(method: str, kind: str, **options: Any) -> Trouble:
        at = chance.uniform(1, size.seconds)
        return Trouble(at, "fault", platform, 0.0, {"method": method, "kind": kind, **options})

    for platform in platforms:
        for _ in range(max(round(_DROPS[platform] * size.messages), 1)):
            yield fault(_POST[platform], "drop_before")
    for _ in range(round(0.03 * size.messages)):
        platform = chance.choice(platforms)
        kind = chance.choices(list(_POST_FAULTS), list(_POST_FAULTS.values()))[0]
        status, seconds = chance.choice(_STATUS), round(chance.uniform(0.5, 3), 1)
        yield fault(_POST[platform], kind, status=status, seconds=seconds)
    for number in range(round(0.01 * size.messages)):
        platform = chance.choice(platforms)
        kind = ("status", "ratelimit", "drop_before")[number % 3]
        method = chance.choice(_READ[platform])
        yield fault(method, kind, status=chance.choice(_STATUS), seconds=1.0)
    for platform in platforms:
        yield fault(_OPEN[platform], "status", status=503)
    # some 0.6 of the messages are told elsewhere; of those calls at most 0.5 % are accepted late
    for number in range(int(0.003 * size.messages)):
        platform, channel = platforms[number % len(platforms)], chance.choice(channels)
        kind, latest = ("latency", 8.0) if number % 3 == 2 else ("accept_late", LATEST_ACCEPTED)
        seconds = round(chance.uniform(2, latest), 1)
        yield fault(_POST[platform], kind, channel=channel, seconds=seconds)
