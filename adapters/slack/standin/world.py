"""What the control API sees of the workspace: what people do in it, and what is there."""

import re
import uuid
from zoneinfo import ZoneInfo

from adapters.slack.standin import events
from adapters.slack.standin.channels import Channel, Message
from adapters.slack.standin.people import Person, person
from adapters.slack.standin.typed import typed
from adapters.slack.standin.workspace import Workspace
from adapters.standin import JsonDict, Seen

_NAME = re.compile(r"[^\W_][\w-]{0,79}")


class SlackWorld(Workspace):
    """A workspace that people can act in; satisfies adapters.standin.World."""

    async def act(self, act: JsonDict) -> JsonDict:
        """Do what a person does, see adapters.standin.

        Beyond what every stand-in knows: "raw" sends its `event` to the app as it is, "archive"
        archives a channel, a post may `broadcast`, a new channel may have `member` false (our app
        is not in it), a new person may have a `zone`. Slack has no answers outside of threads:
        `reply_to` answers in the thread of that message.
        """
        deeds = {
            "post": self._post,
            "edit": self._edit,
            "delete": self._delete,
            "react": self._react,
            "unreact": self._react,
            "channel": self._channel,
            "archive": self._archive,
            "person": self._person,
            "raw": self._raw,
        }
        deed = deeds.get(act["do"])
        if deed is None:
            raise ValueError(f"nobody can {act['do']!r} in Slack")
        return {"id": deed(act)}

    def seen(self, channel: str) -> list[Seen]:
        """Every message of a channel, deleted ones included, oldest first."""
        return [self._seen(message) for message in self.find_channel(channel).log]

    async def disconnect(self, how: str) -> None:
        """Cut the event connections of all clients."""
        await self.sockets.disconnect(how)

    def find_channel(self, name: str) -> Channel:
        """A channel by name, "dm:name" or native id. Raises KeyError."""
        bare = name.removeprefix("#")
        if bare.startswith("dm:"):
            return self.direct(self.find_person(bare.removeprefix("dm:")))
        return self.channels[self.channel_ids.get(bare, bare)]

    def find_person(self, name: str) -> Person:
        """A person by name or native id. Raises KeyError."""
        return self.people[self.user_ids.get(name, name)]

    def _found(self, act: JsonDict) -> Message:
        message = self.message(act["message"])
        if message is None:
            raise KeyError(act["message"])
        return message

    def _typed(self, text: str) -> JsonDict:
        written, blocks = typed(text, self.user_ids, self.channel_ids)
        return {"text": written, "blocks": blocks}

    def _post(self, act: JsonDict) -> str:
        channel, author = self.find_channel(act["channel"]), self.find_person(act["person"])
        if author.id not in channel.members:
            raise ValueError(f"{author.name} is not in {channel.name}")
        ts = act.get("thread") or act.get("reply_to")
        answered = self.message(ts, channel) if ts else None
        if ts and answered is None:
            raise KeyError(ts)
        body = {"user": author.id, "client_msg_id": str(uuid.uuid4()), **self._typed(act["text"])}
        root = (answered.root or answered) if answered else None
        broadcast = bool(root and act.get("broadcast"))
        return self.post(channel, author, body, root=root, broadcast=broadcast).ts

    def _edit(self, act: JsonDict) -> str:
        message = self._found(act)
        editor = self.find_person(act["person"]) if act.get("person") else message.author
        self.edit(message, editor, self._typed(act["text"]))
        return message.ts

    def _delete(self, act: JsonDict) -> str:
        message = self._found(act)
        by = self.find_person(act["person"]) if act.get("person") else message.author
        self.delete(message, by)
        return message.ts

    def _react(self, act: JsonDict) -> str:
        message, someone = self._found(act), self.find_person(act["person"])
        emoji, added = act["emoji"].strip(":"), act["do"] == "react"
        if added == (someone.id in message.reactions.get(emoji, ())):
            raise ValueError("already_reacted" if added else "no_reaction")
        self.react(message, someone, emoji, added=added)
        return message.ts

    def _channel(self, act: JsonDict) -> str:
        name, private = act["channel"].removeprefix("#"), bool(act.get("private"))
        if name in self.channel_ids or not _NAME.fullmatch(name):
            raise ValueError(f"no new channel can be called {name!r}")
        members = [one for one in self.people if one != self.app.user.id]
        if act.get("person"):
            members.insert(0, self.find_person(act["person"]).id)
        channel = self.add_channel(name, "private" if private else "public", members)
        if not private:
            at = self.clock.tick()
            self.emit(None, events.channel_created(channel, self.app.team_id, at))
        if act.get("member", True):
            self.join(channel)
        return channel.id

    def _archive(self, act: JsonDict) -> str:
        channel = self.find_channel(act["channel"])
        channel.archived = True
        by = self.find_person(act["person"]) if act.get("person") else self.people[channel.creator]
        self.emit(channel, events.channel_archived(channel, by, self.clock.tick()))
        return channel.id

    def _person(self, act: JsonDict) -> str:
        if act["person"] in self.user_ids or not _NAME.fullmatch(act["person"]):
            raise ValueError(f"nobody new can be called {act['person']!r}")
        someone = person(act["person"], act.get("zone", ""))
        ZoneInfo(someone.zone)  # raises for a zone that does not exist
        self.add_person(someone)
        self.emit(None, events.team_joined(someone, self.app, self.clock.tick()))
        return someone.id

    def _raw(self, act: JsonDict) -> str:
        self.emit(None, act["event"])
        return str(act["event"].get("ts", ""))

    def _seen(self, message: Message) -> Seen:
        reactions = {
            emoji: [self.people[one].name for one in people]
            for emoji, people in message.reactions.items()
        }
        return Seen(
            id=message.ts,
            channel=message.channel.name,
            author=message.author.name,
            by_app=message.author is self.app.user,
            text=message.text,
            at=message.at / 1_000_000,
            thread=message.thread,
            deleted=message.deleted,
            edited="edited" in message.body,
            reactions=reactions,
            raw=message.body | ({"metadata": message.metadata} if message.metadata else {}),
        )
