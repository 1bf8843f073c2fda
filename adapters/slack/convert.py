"""Slack's events as the bridge's, and nothing else: pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.slack.names import Names
from adapters.slack.payload import JsonDict, delivery_key, inner, moment, need, position
from adapters.slack.plaintext import reading
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Event,
    PersonNamed,
    Posted,
    Reacted,
)

POSTS = frozenset({"", "bot_message", "me_message", "file_share", "thread_broadcast"})
"""Subtypes of what somebody said; the others are announcements (joined, topic set ...)."""
_PRIVATE = {"channel": False, "group": True, "im": True, "mpim": True}
_SLACKBOT = "USLACKBOT"


@dataclass(frozen=True, slots=True)
class Context:
    """Whose events these are. `home` is the workspace's address, https://acme.slack.com."""

    account: str
    names: Names
    home: str = ""

    def channel(self, native_id: str) -> ChannelRef:
        """A channel of this account."""
        return ChannelRef(self.account, native_id)


def is_known(event: JsonDict) -> bool:
    """Whether this kind of event means anything to us."""
    return str(event.get("type")) in _KINDS


def events(event: JsonDict, context: Context) -> list[Event]:
    """What the `event` of an Events API payload means; most kinds mean nothing to us.

    Raises ValueError naming what is missing where the event is not what Slack documents.
    """
    convert = _KINDS.get(str(event.get("type")))
    try:
        return convert(event, context) if convert else []
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(f"{event.get('type')} of an unknown shape: {error}") from error


def posted(message: JsonDict, context: Context, *, channel: str, channel_type: str = "") -> Posted:
    """A message as an event or a history answers it. Raises ValueError where a field is missing.

    Without `channel_type` the names tell whether the channel is private.
    """
    ts = need(message, "ts", "message")
    read = reading(message, context.names)
    thread = str(message.get("thread_ts") or "")
    thread = "" if thread == ts else thread
    by_bot = bool(message.get("bot_id")) or message.get("subtype") == "bot_message"
    author = str(message.get("user") or message.get("bot_id") or "")
    if not author:
        raise ValueError(f"message {ts} without user and bot_id")
    return Posted(
        channel=context.channel(channel),
        native_id=ts,
        position=position(ts),
        author=author,
        text=read.text,
        sent_at=moment(ts),
        author_name=_author_name(message, author, context.names),
        thread=thread,
        by_bot=by_bot,
        private=_PRIVATE.get(channel_type, context.names.private(channel)),
        mentions=read.mentions,
        links=read.links,
        files=tuple(filter(None, map(_file_name, message.get("files") or ()))),
        link=permalink(context.home, channel, ts, thread),
        key=delivery_key(message),
    )


def permalink(home: str, channel: str, ts: str, thread: str = "") -> str:
    """Where a browser finds a message, as chat.getPermalink answers it; "" without a home."""
    if not home:
        return ""
    link = f"{home.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}"
    return f"{link}?thread_ts={thread}&cid={channel}" if thread else link


def person(user: JsonDict, account: str) -> PersonNamed:
    """A user object, named as Slack shows them. Raises ValueError without id or any name."""
    profile = user.get("profile") or {}
    name = profile.get("display_name") or user.get("real_name") or profile.get("real_name")
    return PersonNamed(
        account=account,
        person=need(user, "id", "user"),
        name=name or need(user, "name", "user"),
        bot=bool(user.get("is_bot")) or user.get("id") == _SLACKBOT,
        zone=str(user.get("tz") or ""),
    )


def channel_named(channel: JsonDict, account: str, *, private: bool = False) -> ChannelNamed:
    """A channel object. `private` is for objects that do not tell."""
    told = channel.get("is_private", channel.get("is_group"))
    native_id, name = need(channel, "id", "channel"), need(channel, "name", "channel")
    hidden = private if told is None else bool(told or channel.get("is_mpim"))
    return ChannelNamed(ChannelRef(account, native_id), name, hidden)


def emoji_name(reaction: str) -> str:
    """A reaction's short name, whatever its skin tone."""
    return reaction.partition("::")[0]


def _message(event: JsonDict, context: Context) -> list[Event]:
    channel = need(event, "channel", "message")
    kind = str(event.get("channel_type") or "")
    subtype = str(event.get("subtype") or "")
    if subtype == "message_changed":
        return _changed(event, context, channel, kind)
    if subtype == "message_deleted":
        gone = need(event, "deleted_ts", subtype)
        return [_deleted(event, context.channel(channel), gone)]
    if subtype in POSTS:
        return [posted(event, context, channel=channel, channel_type=kind)]
    return []


def _changed(event: JsonDict, context: Context, channel: str, kind: str) -> list[Event]:
    now = inner(event, "message", "message_changed")
    before = event.get("previous_message") or {}
    if now.get("subtype") == "tombstone":
        # The root of a thread that lives on: Slack says changed, its author said delete.
        return [_deleted(event, context.channel(channel), need(now, "ts", "tombstone"))]
    # Unfurled links and growing threads change a message as well, but nobody edited it.
    edited = now.get("edited") or {}
    same = now.get("text") == before.get("text") and edited == (before.get("edited") or {})
    if same or str(now.get("subtype") or "") not in POSTS:
        return []
    at = str(edited.get("ts") or event.get("event_ts") or need(event, "ts", "message_changed"))
    message = posted(now, context, channel=channel, channel_type=kind)
    return [Edited(message, moment(at))]


def _deleted(event: JsonDict, channel: ChannelRef, gone: str) -> Deleted:
    at = str(event.get("event_ts") or need(event, "ts", "message_deleted"))
    return Deleted(channel, gone, position(gone), moment(at))


def _reaction(event: JsonDict, context: Context) -> list[Event]:
    kind = str(event["type"])
    if need(event, "item.type", kind) != "message":
        return []
    return [
        Reacted(
            channel=context.channel(need(event, "item.channel", kind)),
            native_id=need(event, "item.ts", kind),
            person=need(event, "user", kind),
            emoji=emoji_name(need(event, "reaction", kind)),
            added=kind == "reaction_added",
            at=moment(need(event, "event_ts", kind)),
        )
    ]


def _channel(event: JsonDict, context: Context) -> list[Event]:
    channel = inner(event, "channel", str(event["type"]))
    known = context.names.channels.get(str(channel.get("id")))
    private = known.private if known else str(event["type"]).startswith("group_")
    return [channel_named(channel, context.account, private=private)]


def _user(event: JsonDict, context: Context) -> list[Event]:
    return [person(inner(event, "user", str(event["type"])), context.account)]


def _author_name(message: JsonDict, author: str, names: Names) -> str:
    profile = message.get("bot_profile") or {}
    return str(message.get("username") or names.person(author) or profile.get("name") or "")


def _file_name(file: JsonDict) -> str:
    return str(file.get("name") or file.get("title") or "")


_KINDS: Mapping[str, Callable[[JsonDict, Context], list[Event]]] = {
    "message": _message,
    "reaction_added": _reaction,
    "reaction_removed": _reaction,
    "channel_created": _channel,
    "channel_rename": _channel,
    "group_rename": _channel,
    "team_join": _user,
    "user_change": _user,
}
