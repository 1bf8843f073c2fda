"""The workspace itself: who and what is in it, and what can happen to a message."""

import time
import uuid
from collections.abc import Iterable

from adapters.slack.standin import events
from adapters.slack.standin.channels import Channel, Message, message_body
from adapters.slack.standin.ids import Clock, native_id, to_ts
from adapters.slack.standin.limits import Buckets
from adapters.slack.standin.people import App, Person, bot_profile, chatbridge, person
from adapters.slack.standin.sockets import Sockets
from adapters.slack.standin.visible import seen
from adapters.standin import (
    CHANNELS,
    PEOPLE,
    PRIVATE_CHANNELS,
    Faults,
    Journal,
    JsonDict,
    Knobs,
)


class Workspace:
    """One Slack workspace with our app in it. One loop owns it; nothing in it awaits."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.faults = Faults()
        self.journal = Journal()
        self.buckets = Buckets()
        self.clock = Clock()
        self.app: App = chatbridge()
        self.bot_profile = bot_profile(self.app)
        self.sockets = Sockets(self.app.app_id)
        self.url = ""
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[str, Message] = {}
        self.labels: dict[str, str] = {}
        """Ids as readers see them: "@ada", "#help"."""
        self.user_ids: dict[str, str] = {}
        self.channel_ids: dict[str, str] = {}
        self._populate()

    def _populate(self) -> None:
        for someone in (self.app.user, *(person(name) for name in PEOPLE)):
            self.add_person(someone)
        everybody = list(self.people)
        for kind, names in (("public", CHANNELS), ("private", PRIVATE_CHANNELS)):
            for name in names:
                self.add_channel(name, kind, everybody)

    def add_person(self, someone: Person) -> None:
        """Somebody new, a member of every public channel."""
        self.people[someone.id] = someone
        self.user_ids[someone.name] = someone.id
        self.labels[someone.id] = f"@{someone.name}"
        for channel in self.channels.values():
            if channel.kind == "public":
                channel.members[someone.id] = None

    def add_channel(self, name: str, kind: str, members: Iterable[str]) -> Channel:
        """A new conversation. `members` are user ids, the first one made it."""
        joined = dict.fromkeys(members)
        prefix = "D" if kind == "im" else "C"
        creator = next((one for one in joined if one != self.app.user.id), self.app.user.id)
        made = int(time.time())
        channel = Channel(native_id(prefix, name), name, kind, made, creator, joined)
        self.channels[channel.id] = channel
        self.channel_ids[name] = channel.id
        if kind in {"public", "private"}:
            self.labels[channel.id] = f"#{name}"
        return channel

    def join(self, channel: Channel) -> None:
        """Our app becomes a member of a channel."""
        channel.members[self.app.user.id] = None
        at = self.clock.tick()
        self.emit(channel, events.joined(channel, self.app.user, self.app.team_id, at))

    def direct(self, someone: Person) -> Channel:
        """The direct messages between our app and somebody, opened at first use."""
        known = self.channel_ids.get(f"dm:{someone.name}")
        if known:
            return self.channels[known]
        return self.add_channel(f"dm:{someone.name}", "im", (self.app.user.id, someone.id))

    def visible(self, channel_id: str) -> Channel | None:
        """A conversation that our app knows of: public, or one it is a member of."""
        channel = self.channels.get(channel_id)
        if channel and (channel.kind == "public" or self.app.user.id in channel.members):
            return channel
        return None

    def message(self, ts: str, channel: Channel | None = None) -> Message | None:
        """A message that is there, of a channel or of any."""
        found = self.messages.get(ts)
        if found is None or found.deleted or (channel and found.channel is not channel):
            return None
        return found

    def post(
        self,
        channel: Channel,
        author: Person,
        body: JsonDict,
        *,
        root: Message | None = None,
        broadcast: bool = False,
        metadata: JsonDict | None = None,
    ) -> Message:
        """Put a message into a channel. `body` has what is special to it, such as text, blocks."""
        at = self.clock.tick()
        full: JsonDict = {"type": "message", "ts": to_ts(at), "team": self.app.team_id, **body}
        if root:
            full |= {"thread_ts": root.ts, "parent_user_id": root.author.id}
        if broadcast:
            full["subtype"] = "thread_broadcast"
        text = seen(full, self.labels)
        message = Message(channel, at, author, full, text, root, broadcast, metadata)
        self.messages[full["ts"]] = message
        channel.log.append(message)
        if root:
            root.replies.append(message)
        if root is None or broadcast:
            channel.timeline.append(message)
        self._note("posted", message, author)
        self.emit(channel, events.posted(message))
        return message

    def edit(self, message: Message, editor: Person, changes: JsonDict) -> None:
        """Change text, blocks and the like; a None takes a field away."""
        at = self.clock.tick()
        previous = message_body(message)
        body = {**message.body, **changes, "edited": {"user": editor.id, "ts": to_ts(at)}}
        message.body = {name: value for name, value in body.items() if value is not None}
        message.text = seen(message.body, self.labels)
        self._note("edited", message, editor)
        self.emit(message.channel, events.changed(message, previous, at))

    def delete(self, message: Message, person: Person) -> None:
        """Take a message away; the root of a thread leaves a tombstone in its place."""
        at, previous, root = self.clock.tick(), message_body(message), message.root
        message.deleted = True
        self._note("deleted", message, person)
        if message.replies:
            self.emit(message.channel, events.changed(message, previous, at))
            return
        message.channel.drop(message)
        if root:
            root.replies.remove(message)
            if root.deleted and not root.replies:
                root.channel.drop(root)
        self.emit(message.channel, events.deleted(message, previous, at))

    def react(self, message: Message, person: Person, emoji: str, *, added: bool) -> None:
        """Add a reaction that is not there yet, or take back one that is."""
        people = message.reactions.setdefault(emoji, [])
        if added:
            people.append(person.id)
        else:
            people.remove(person.id)
            if not people:
                del message.reactions[emoji]
        self._note("reacted" if added else "unreacted", message, person, emoji=emoji)
        at = self.clock.tick()
        self.emit(message.channel, events.reacted(message, person, emoji, at, added=added))

    def emit(self, channel: Channel | None, event: JsonDict) -> None:
        """Send an event to our app, if it is a member of where it happened (None: anywhere)."""
        if channel is None or self.app.user.id in channel.members:
            event_id = "Ev" + uuid.uuid4().hex[:11].upper()
            wrapped = events.wrapped(event, self.app, event_id, int(time.time()))
            self.sockets.push("events_api", wrapped)

    def _note(self, what: str, message: Message, person: Person, **more: str) -> None:
        self.journal.note(
            what,
            channel=message.channel.name,
            author=person.name,
            by_app=person is self.app.user,
            text=message.text,
            id=message.ts,
            thread=message.thread,
            **more,
        )
