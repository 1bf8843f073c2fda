"""Conversations and the messages in them, and how both look on the wire."""

from bisect import bisect_left
from dataclasses import dataclass, field
from operator import attrgetter

from adapters.slack.standin.ids import to_ts
from adapters.slack.standin.people import Person
from adapters.standin import JsonDict

KINDS = {"public": "channel", "private": "group", "im": "im", "mpim": "mpim"}
"""What each kind of conversation is called as `channel_type` of an event."""
MOST_REACTING = 50
"""So many people are named beside a reaction. Slack cuts its lists too and does not say where."""
_TOMBSTONE = {"subtype": "tombstone", "user": "USLACKBOT", "hidden": True}


@dataclass(slots=True, eq=False)
class Channel:
    """A conversation. `members` are user ids; `timeline` holds what its history shows."""

    id: str
    name: str
    kind: str
    created: int
    creator: str
    members: dict[str, None] = field(default_factory=dict)
    archived: bool = False
    log: list["Message"] = field(default_factory=list)
    timeline: list["Message"] = field(default_factory=list)

    def drop(self, message: "Message") -> None:
        """Take a message out of the history."""
        at = bisect_left(self.timeline, message.at, key=attrgetter("at"))
        if at < len(self.timeline) and self.timeline[at] is message:
            del self.timeline[at]


@dataclass(slots=True, eq=False)
class Message:
    """A message: `body` is its wire form but for what grows around it. `at` is microseconds."""

    channel: Channel
    at: int
    author: Person
    body: JsonDict
    text: str
    root: "Message | None" = None
    broadcast: bool = False
    metadata: JsonDict | None = None
    replies: list["Message"] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    deleted: bool = False

    @property
    def ts(self) -> str:
        """Its native id."""
        return to_ts(self.at)

    @property
    def thread(self) -> str:
        """The native id of the root it answers, "" for a root."""
        return self.root.ts if self.root else ""


def message_body(message: Message, *, metadata: bool = False, full: bool = False) -> JsonDict:
    """A message as history and replies answer it; `full` names everybody who reacted."""
    body = dict(message.body)
    if message.deleted:
        body = {key: body[key] for key in ("type", "ts")} | _TOMBSTONE
        body["text"] = "This message was deleted."
    if message.replies:
        body |= _thread(message)
    if message.reactions and not message.deleted:
        body["reactions"] = reactions_body(message, None if full else MOST_REACTING)
    if metadata and message.metadata:
        body["metadata"] = message.metadata
    return body


def reactions_body(message: Message, most: int | None) -> list[JsonDict]:
    """The `reactions` of a message, naming so many people beside each (None: everybody)."""
    return [
        {"name": name, "users": users[:most], "count": len(users)}
        for name, users in message.reactions.items()
    ]


def _thread(root: Message) -> JsonDict:
    users = list(dict.fromkeys(reply.author.id for reply in root.replies))
    return {
        "thread_ts": root.ts,
        "reply_count": len(root.replies),
        "reply_users_count": len(users),
        "latest_reply": root.replies[-1].ts,
        "reply_users": users[:5],
        "is_locked": False,
        "subscribed": False,
    }


def channel_body(channel: Channel, viewer: str, team_id: str) -> JsonDict:
    """A conversation object as a member or onlooker (`viewer`, a user id) gets it."""
    if channel.kind == "im":
        return _im_body(channel, viewer, team_id)
    public, private = channel.kind == "public", channel.kind != "public"
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": public,
        "is_group": private,
        "is_im": False,
        "is_mpim": channel.kind == "mpim",
        "is_private": private,
        "created": channel.created,
        "is_archived": channel.archived,
        "is_general": channel.name == "general",
        "unlinked": 0,
        "name_normalized": channel.name,
        "is_shared": False,
        "is_org_shared": False,
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "context_team_id": team_id,
        "updated": channel.created * 1000,
        "parent_conversation": None,
        "creator": channel.creator,
        "is_ext_shared": False,
        "shared_team_ids": [team_id],
        "pending_connected_team_ids": [],
        "is_member": viewer in channel.members,
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "previous_names": [],
    }


def _im_body(channel: Channel, viewer: str, team_id: str) -> JsonDict:
    other = next((member for member in channel.members if member != viewer), viewer)
    return {
        "id": channel.id,
        "created": channel.created,
        "is_archived": False,
        "is_im": True,
        "is_org_shared": False,
        "context_team_id": team_id,
        "updated": channel.created * 1000,
        "user": other,
        "is_user_deleted": False,
        "priority": 0,
    }
