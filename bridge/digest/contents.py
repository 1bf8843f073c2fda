"""What a digest window holds: the values that sections are made of. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from bridge.messages import ChannelRef
from bridge.times import Window

Key: TypeAlias = tuple[str, str, str]
"""Account, channel, native id."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a window, with what others made of it.

    `answered`: somebody else (no bot) replied, up to now. `late`: it was sent before the window
    and came in only after the window it belongs to was told.
    """

    channel: ChannelRef
    native_id: str
    author: str
    name: str
    text: str
    sent_at: datetime
    thread: str = ""
    reply_to: str = ""
    link: str = ""
    links: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    reactions: int = 0
    answered: bool = False
    late: bool = False

    @property
    def key(self) -> Key:
        """What names it everywhere."""
        return self.channel.account, self.channel.id, self.native_id

    @property
    def parent(self) -> Key | None:
        """The message that it answers; None for one that starts a conversation."""
        above = self.thread or self.reply_to
        if above in {"", self.native_id}:
            return None
        return self.channel.account, self.channel.id, above

    @property
    def person(self) -> tuple[str, str]:
        """Who said it."""
        return self.channel.account, self.author


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was going on."""

    messages: int = 0
    people: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a digest says something about.

    `said` is in order of time. `roots` are messages from outside the window that something in it
    answers. `labels` name the channel of a message, and are empty where there is only one.
    `before` counts the stretch of the same length before the window.
    """

    window: Window
    zone: ZoneInfo
    said: tuple[Said, ...] = ()
    roots: Mapping[Key, Said] = field(default_factory=dict)
    labels: Mapping[ChannelRef, str] = field(default_factory=dict)
    before: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation: what it starts with (None where that is gone), and the window's replies."""

    root: Said | None
    replies: tuple[Said, ...]

    @property
    def first(self) -> Said:
        """The message to quote."""
        return self.root or self.replies[0]

    @property
    def people(self) -> list[Said]:
        """One message of each person in it, whoever started it first."""
        return list({one.person: one for one in (self.first, *self.replies)}.values())

    @property
    def reactions(self) -> int:
        """Reactions to any of its messages."""
        messages = {one.key: one for one in (self.first, *self.replies)}
        return sum(one.reactions for one in messages.values())


def threads_of(said: Iterable[Said], roots: Mapping[Key, Said]) -> list[Thread]:
    """Every conversation with at least one reply among `said`, by its first reply."""
    messages = list(said)
    known = dict(roots) | {one.key: one for one in messages}
    tops: dict[Key, Key] = {}
    replies: dict[Key, list[Said]] = {}
    for one in messages:
        if one.parent:
            replies.setdefault(_top(one.key, known, tops), []).append(one)
    return [Thread(known.get(top), tuple(found)) for top, found in replies.items()]


def counts_of(said: Iterable[Said], roots: Mapping[Key, Said]) -> Counts:
    """How much was going on in these messages."""
    messages = list(said)
    people = {one.person for one in messages}
    return Counts(len(messages), len(people), len(threads_of(messages, roots)))


def _top(key: Key, known: Mapping[Key, Said], tops: dict[Key, Key]) -> Key:
    """The start of the conversation, found by going up; every step is remembered in `tops`."""
    path: dict[Key, None] = {}
    while key not in tops and key not in path:
        path[key] = None
        message = known.get(key)
        key = (message.parent if message else None) or key
    top = tops.get(key, key)
    tops.update(dict.fromkeys(path, top))
    return top
