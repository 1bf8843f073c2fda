"""How a channel is read up: which calls, and which pieces their answers make. Pure.

A walk yields the calls it needs and is sent their answers, so that whoever makes the calls may
fail at one of them, wait, and go on from there.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from adapters.slack.history.asking import PAGE, Answer, Ask, place
from adapters.slack.payload import MICROSECONDS, JsonDict, ts_of
from bridge.messages import Threads

OVERLAP = 60 * 10**MICROSECONDS
"""What was posted in the minute before may have been on its way."""
LATEST = 10**16 - 1
"""The latest moment a ts can name. It is always given: with `oldest` alone Slack has been seen to
begin with the oldest messages."""
REPLIES = (0, -1)
"""`start` and `end` of a page of replies."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Piece:
    """What becomes a Page: messages, oldest first, as they were at `at`."""

    messages: tuple[JsonDict, ...]
    start: int
    end: int
    at: datetime


Plan: TypeAlias = Generator[Ask | Piece, Answer, T]
_Roots: TypeAlias = dict[str, tuple[int, int]]
"""Roots of threads, each with the position of its latest reply and how many there are."""
NOTHING: Threads = MappingProxyType({})


def walk(channel: str, after: int, roots_after: int, known: Threads = NOTHING) -> Plan[None]:
    """Read up a channel, see bridge.ports.History.missed: itself, then its threads."""
    first = max(after - OVERLAP, 0)
    threads: _Roots = {}
    yield from _channel(channel, first, min(max(roots_after, 0), first), threads)
    for root, (latest, count) in sorted(threads.items()):
        new = latest >= first and known.get(root) != (latest, count)
        if new and place({"ts": root}) >= roots_after:
            yield from _replies(channel, root, first)


def asked(channel: str, first: int, last: int) -> Ask:
    """The call for what a channel shows between two positions, both included, newest first."""
    window = {"oldest": ts_of(first), "latest": ts_of(last), "inclusive": 1}
    return Ask("conversations.history", {"channel": channel, **window, **_PAGED})


def asked_thread(channel: str, root: str, first: int = 0, last: int = LATEST) -> Ask:
    """The call for a root and the replies to it between two positions, oldest first."""
    window = {"oldest": ts_of(first), "latest": ts_of(last), "inclusive": 1}
    return Ask("conversations.replies", {"channel": channel, "ts": root, **window, **_PAGED})


_PAGED: JsonDict = {"limit": PAGE, "include_all_metadata": 1}


def _channel(channel: str, first: int, oldest: int, threads: _Roots) -> Plan[None]:
    """Pieces of the channel from the first position on, oldest first; threads from the oldest on.

    The newest page often shows all of it, so that a quiet channel takes a single call.
    """
    messages, answer = yield from _newest(channel, oldest, LATEST)
    threads |= _threads(messages)
    bottom = place(messages[0]) if messages else LATEST + 1
    more = _has_more(answer)
    if more and messages and bottom > first:
        yield from _halves(channel, first, bottom - 1, threads)
    missed = tuple(one for one in messages if place(one) >= first)
    start = max(bottom, first) if more or answer.body.get("is_limited") else first
    yield Piece(missed, start, answer.settled, answer.at)
    end = min(bottom, first) - 1
    if more and messages and oldest <= end:
        yield from _older(channel, oldest, end, threads)


def _halves(channel: str, first: int, last: int, threads: _Roots) -> Plan[None]:
    middle = (first + last) // 2
    yield from _between(channel, first, middle, threads)
    yield from _between(channel, middle + 1, last, threads)


def _between(channel: str, first: int, last: int, threads: _Roots) -> Plan[None]:
    """Pieces of the channel from the first position to the last, oldest first.

    Slack answers the newest page. That is kept while what is older is read in halves, each the
    same way; so no call is made twice, and no more than a few dozen pages are kept at a time.
    """
    if first > last:
        return
    messages, answer = yield from _newest(channel, first, last)
    threads |= _threads(messages)
    bottom = place(messages[0]) if messages else last + 1
    more = _has_more(answer)
    if more and messages:
        yield from _halves(channel, first, bottom - 1, threads)
    # a workspace whose plan hides old messages hides them from us as well
    start = bottom if more or answer.body.get("is_limited") else first
    yield Piece(tuple(messages), start, min(last, answer.settled), answer.at)


def _has_more(answer: Answer) -> bool:
    return bool(answer.cursor or answer.body.get("has_more"))


def _newest(channel: str, first: int, last: int) -> Plan[tuple[list[JsonDict], Answer]]:
    """The newest messages there, oldest first; only where there are none may a page be empty."""
    ask = asked(channel, first, last)
    answer = yield ask
    while answer.cursor and not answer.messages:
        answer = yield ask.onward(answer.cursor)
    return sorted(answer.messages, key=place), answer


def _older(channel: str, first: int, last: int, threads: _Roots) -> Plan[None]:
    """Look through older messages for threads."""
    ask = asked(channel, first, last)
    answer = yield ask
    threads |= _threads(answer.messages)
    while answer.cursor:
        answer = yield ask.onward(answer.cursor)
        threads |= _threads(answer.messages)


def _replies(channel: str, root: str, first: int) -> Plan[None]:
    ask: Ask | None = asked_thread(channel, root, first)
    while ask:
        answer = yield ask
        replies = [one for one in answer.messages if one["ts"] != root]
        if replies:
            yield Piece(tuple(sorted(replies, key=place)), *REPLIES, answer.at)
        ask = ask.onward(answer.cursor) if answer.cursor else None


def _threads(messages: Iterable[JsonDict]) -> _Roots:
    """The threads that these are roots of. One that hides its latest reply may have a new one."""
    roots = (one for one in messages if one.get("thread_ts") == one["ts"])
    return {one["ts"]: (_latest(one), int(one.get("reply_count") or 0)) for one in roots}


def _latest(root: JsonDict) -> int:
    return place({"ts": root["latest_reply"]}) if root.get("latest_reply") else LATEST
