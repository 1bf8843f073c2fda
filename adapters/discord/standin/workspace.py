"""The one guild of a stand-in: who and what is there. No wire shapes, no rules."""

import base64
import secrets
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.discord.standin import permissions
from adapters.discord.standin.snowflakes import Snowflakes
from adapters.standin import CHANNELS, PEOPLE, PRIVATE_CHANNELS, JsonDict

APP_NAME = "chatbridge"
TEXT, DIRECT, THREAD = 0, 1, 11
"""The channel types there are here, with Discord's numbers."""


@dataclass(slots=True, eq=False)
class Person:
    """A user of the platform. `closed`: takes no direct messages from our app."""

    id: str
    name: str
    bot: bool = False
    closed: bool = False
    user: JsonDict = field(default_factory=dict)
    member: JsonDict = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Message:
    """A message and its wire form. `reactions` maps an emoji to those who gave it.

    `wire` lacks what changes around it (reactions, thread, the message it answers).
    """

    id: str
    channel: "Channel"
    author: Person
    wire: JsonDict
    answers: "Message | None" = None
    thread: "Channel | None" = None
    deleted: bool = False
    pinged: list[str] = field(default_factory=list)
    reactions: dict[str, dict[str, Person]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Channel:
    """A text channel, a thread or direct messages. `denied` are permissions our app lacks here.

    `turned_at` is when a thread was last archived or opened again, in seconds since 1970.
    """

    id: str
    name: str
    kind: int = TEXT
    private: bool = False
    denied: int = 0
    topic: str = ""
    position: int = 0
    parent: "Channel | None" = None
    owner: Person | None = None
    recipient: Person | None = None
    archive_minutes: int = 1440
    archived: bool = False
    turned_at: float = 0.0
    ids: list[int] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    threads: list["Channel"] = field(default_factory=list)
    counted: int = 0

    @property
    def seen_as(self) -> str:
        """The name people know the place by; a thread's is its parent's."""
        return self.parent.name if self.parent else self.name

    def allows(self, bit: int) -> bool:
        """Whether our app has a permission here."""
        denied = self.parent.denied if self.parent else self.denied
        return not denied & bit

    def add(self, message: Message) -> None:
        """Put a message at the end; its id is greater than all before."""
        self.ids.append(int(message.id))
        self.messages.append(message)

    def place(self, native_id: int) -> int:
        """How many messages have smaller ids."""
        return bisect_left(self.ids, native_id)


class Workspace:
    """Everybody and everything, found by id and by name in one step."""

    def __init__(self) -> None:
        self.snowflakes = Snowflakes()
        self.guild_id = self.snowflakes.make()
        self.role_id = self.snowflakes.make()
        self.name = "Workshop"
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[str, Message] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self._people_by_name: dict[str, Person] = {}
        self._channels_by_name: dict[str, Channel] = {}
        self.app = self.add_person(APP_NAME, bot=True)
        owner = self.app.id.encode()
        self.token = f"{base64.b64encode(owner).decode().rstrip('=')}.{secrets.token_urlsafe(20)}"
        for name in PEOPLE:
            self.add_person(name)
        for name in CHANNELS + PRIVATE_CHANNELS:
            self.add_channel(name, private=name in PRIVATE_CHANNELS)

    @property
    def owner(self) -> Person:
        """The person who made the guild and our app."""
        return self._people_by_name[PEOPLE[0]]

    def add_person(self, name: str, *, bot: bool = False, closed: bool = False) -> Person:
        """A new member of the guild. Raises ValueError for a name that is taken."""
        if not name or name in self._people_by_name:
            raise ValueError(f"a person cannot be called {name!r}")
        person = Person(self.snowflakes.make(), name, bot=bot, closed=closed)
        self.people[person.id] = self._people_by_name[name] = person
        return person

    def add_channel(self, name: str, *, private: bool = False, denied: int = 0) -> Channel:
        """A new text channel. Raises ValueError for a name that is taken."""
        if not name or name in self._channels_by_name:
            raise ValueError(f"a channel cannot be called {name!r}")
        position = len(self._channels_by_name)
        channel = Channel(
            self.snowflakes.make(), name, private=private, denied=denied, position=position
        )
        self.channels[channel.id] = self._channels_by_name[name] = channel
        return channel

    def add_thread(self, parent: Channel, native_id: str, name: str, owner: Person) -> Channel:
        """A new thread of a channel; its id is that of the message it starts from, if any."""
        thread = Channel(native_id, name, THREAD, parent.private, parent=parent, owner=owner)
        self.channels[thread.id] = thread
        parent.threads.append(thread)
        return thread

    def direct(self, person: Person) -> Channel:
        """Our app's direct messages with a person, made where there are none yet."""
        name = f"dm:{person.name}"
        if name not in self._channels_by_name:
            channel = Channel(self.snowflakes.make(), name, DIRECT, private=True, recipient=person)
            self.channels[channel.id] = self._channels_by_name[name] = channel
        return self._channels_by_name[name]

    def add(self, message: Message) -> None:
        """Keep a new message."""
        message.channel.add(message)
        self.messages[message.id] = message

    def person(self, name: str) -> Person:
        """The person of that name. Raises KeyError."""
        if name not in self._people_by_name:
            raise KeyError(f"nobody is called {name!r}")
        return self._people_by_name[name]

    def channel(self, name: str) -> Channel:
        """The channel of that name; `dm:ada` names direct messages. Raises KeyError."""
        if name.startswith("dm:"):
            return self.direct(self.person(name.removeprefix("dm:")))
        if name not in self._channels_by_name:
            raise KeyError(f"no channel is called {name!r}")
        return self._channels_by_name[name]

    def find_person(self, name: str) -> Person | None:
        """The person of that name, if there is one."""
        return self._people_by_name.get(name)

    def find_channel(self, name: str) -> Channel | None:
        """The text channel of that name, if there is one."""
        found = self._channels_by_name.get(name)
        return found if found and found.kind == TEXT else None

    def text_channels(self) -> Iterator[Channel]:
        """Every text channel, in order."""
        return (one for one in self._channels_by_name.values() if one.kind == TEXT)

    def threads(self) -> Iterator[Channel]:
        """Every open thread of the channels our app can see."""
        for parent in self.text_channels():
            if parent.allows(permissions.VIEW_CHANNEL):
                yield from (thread for thread in parent.threads if not thread.archived)
