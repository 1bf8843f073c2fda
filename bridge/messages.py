"""The values both sides speak: what comes in, what goes out. Frozen, and free of any platform.

Ids are the platforms' own and opaque. A `position` is an integer that grows with the platform's
own order of messages in a channel. Every moment is an aware UTC datetime.
"""

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
    `link` is the permalink.
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


Event: TypeAlias = Posted | Edited | Deleted | Reacted | ChannelNamed | PersonNamed


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
