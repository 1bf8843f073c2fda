"""The values both sides speak: what comes in, what goes out. Frozen, and free of any platform.

Ids are the platforms' own and opaque. A `position` is an integer that grows with the platform's
own order of messages in a channel. Every moment is an aware UTC datetime.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from bridge.richtext import Document

DIRECT = "dm:"
"""A channel id with this prefix means the direct messages with the person whose id follows."""


@dataclass(frozen=True, slots=True)
class ChannelRef:
    """One channel of one account. `id` is native, or `dm:` and a person's native id."""

    account: str
    id: str

    @property
    def person(self) -> str:
        """The person's id where this addresses direct messages, else the empty string."""
        return self.id[len(DIRECT) :] if self.id.startswith(DIRECT) else ""


@dataclass(frozen=True, slots=True)
class Posted:
    """Somebody posted a message.

    `channel` is the channel people see; a reply in a thread keeps its parent channel and names
    the root message in `thread`. `reply_to` is a message it answers outside of threads. `text`
    is plain and readable: mentions as @name, channels as #name, no markup. `mentions` holds
    native person ids, and "here" / "channel" for mentions of everybody. `files` holds names.
    `link` is the permalink. `key` is that of the delivery this is the echo of, where the platform
    tells it to its author.
    """

    channel: ChannelRef
    native_id: str
    position: int
    author: str
    text: str
    sent_at: datetime
    author_name: str = ""
    thread: str = ""
    reply_to: str = ""
    by_bot: bool = False
    private: bool = False
    mentions: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    link: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Edited:
    """A message was changed; `message` is how it reads now."""

    message: Posted
    edited_at: datetime


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message was taken away by its author or a moderator."""

    channel: ChannelRef
    native_id: str
    position: int
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class Reacted:
    """A reaction was added (or taken back). `emoji` is a short name such as white_check_mark."""

    channel: ChannelRef
    native_id: str
    person: str
    emoji: str
    added: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class ChannelNamed:
    """What a channel is called now. `name` has no leading #."""

    channel: ChannelRef
    name: str
    private: bool = False


@dataclass(frozen=True, slots=True)
class PersonNamed:
    """What a person is called now, and the zone of their profile ("" where unknown)."""

    account: str
    person: str
    name: str
    bot: bool = False
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a message stands in the platform's history, read at `at`.

    `edited_at` is None for one that was never changed. `reactions` holds every (emoji, person) on
    it; None where they were not read.
    """

    message: Posted
    at: datetime
    edited_at: datetime | None = None
    reactions: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of an account may have been missed before this moment.

    A listener reports it whenever it begins to hear anew: at its start, and after every loss of
    the connection that the platform does not make up for. `position` is the position that a
    message posted at `at` would have in any channel; 0 where nobody knows it. With a `channel`
    (native id) only that is concerned, and if nothing was heard in it yet, it is complete up to
    the `position`.
    """

    account: str
    position: int
    at: datetime
    channel: str = ""


Event: TypeAlias = Posted | Edited | Deleted | Reacted | Shown | Gap | ChannelNamed | PersonNamed


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are on a platform: `person` is the author id our own messages carry."""

    person: str
    name: str
    workspace: str


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message to send. `key` is unique per delivery, 25 characters at most.

    `card` asks for the platform's richer frame (a digest); without it the document is an
    ordinary message. Nothing in a document pings anybody.
    """

    channel: ChannelRef
    key: str
    document: Document
    thread: str = ""
    card: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The platform's word that a message is there: its native id and position."""

    native_id: str
    position: int


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a channel's history, oldest first.

    `events` are Shown, or Deleted where history says so. `start` and `end` are positions: every
    message between them (both included) that is not a reply in a thread is in `events`, so one
    that we know of and that is not there has been deleted. `end` < `start` for pages of replies.
    """

    events: tuple[Shown | Deleted, ...]
    start: int
    end: int


Threads: TypeAlias = Mapping[str, tuple[int, int]]
"""What is known of threads: by the root's native id the position of the latest reply that is still
there, and how many there are."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast an account may send, as far as it is known beforehand.

    One message per `lane_seconds` and channel after a burst of `lane_burst`; `account_rate`
    messages a second over all channels, shared by all workers (0: no such limit). For
    `remembers_seconds` the platform answers a repeated key with the message that is there.
    """

    lane_seconds: float = 0.0
    lane_burst: int = 1
    account_rate: float = 0.0
    remembers_seconds: float = 0.0
