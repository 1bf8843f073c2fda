"""Gateway dispatches as events of the bridge. Pure: what it must know is handed in."""

from collections import ChainMap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.discord.known import Known, display_name, place_of, speakers
from adapters.discord.payload import (
    JsonDict,
    dicts,
    flag,
    items,
    maybe,
    maybe_id,
    native_id,
    need,
    part,
)
from adapters.discord.readable import emoji_name, links, readable
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

DISCORD_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
DEFAULT, REPLY = 0, 19
COMMANDS = frozenset({20, 23})
SPOKEN = frozenset({DEFAULT, REPLY}) | COMMANDS
"""Message types in which somebody says something; the others are Discord's own notices."""
NAMED_CHANNELS = frozenset({0, 2, 5, 13, 15, 16})
"""Channel types that hold messages: text, voice, announcement, stage, forum, media."""


@dataclass(frozen=True, slots=True)
class _Setting:
    account: str
    known: Known
    at: datetime

    def ref(self, channel_id: str) -> ChannelRef:
        return ChannelRef(self.account, self.known.home(channel_id)[0])


def convert(account: str, name: str, data: Any, known: Known, at: datetime) -> list[Event]:
    """The events that one dispatch tells; none for what does not concern us.

    `at` stands in where Discord names no moment (deletions, reactions). Names that are `known`
    already are not told again. Raises ValueError naming what a malformed dispatch lacks.
    """
    setting = _Setting(account, known, at)
    found: list[Event] = []
    for kind, fields in unfold(name, data):
        handler = _HANDLERS.get(kind)
        if handler:
            found.extend(handler(setting, fields))
    return found


def unfold(name: str, data: Any) -> Iterator[tuple[str, JsonDict]]:
    """A dispatch that carries many things, as the dispatches that carry one each.

    So one malformed member does not cost us the whole guild. Raises ValueError for data that is
    no object.
    """
    if not isinstance(data, dict):
        raise ValueError(f"data is {type(data).__name__}, not an object")  # noqa: TRY004
    if name in {"GUILD_CREATE", "THREAD_LIST_SYNC"}:
        guild = {"guild_id": native_id(data, "id" if name == "GUILD_CREATE" else "guild_id")}
        for role in items(data, "roles"):
            yield "GUILD_ROLE_CREATE", {**guild, "role": role}
        for key, kind in (
            ("channels", "CHANNEL_CREATE"),
            ("threads", "THREAD_CREATE"),
            ("members", "GUILD_MEMBER_ADD"),
        ):
            for item in items(data, key):
                yield kind, {**item, **guild} if isinstance(item, dict) else guild
    elif name == "MESSAGE_DELETE_BULK":
        for message in need(data, "ids", list):
            yield "MESSAGE_DELETE", {**data, "id": message}
    else:
        yield name, data


def moment_of(snowflake: str) -> datetime:
    """When an id was made, to the millisecond: the platform's clock, not ours."""
    return DISCORD_EPOCH + timedelta(milliseconds=int(snowflake) >> 22)


def _created(setting: _Setting, data: JsonDict) -> list[Event]:
    message = _message(setting, data)
    people = speakers(data, setting.known.people)
    mentioned = {native_id(user): user for user in dicts(data, "mentions")}
    named: list[Event] = [
        PersonNamed(setting.account, person, name, bot=_is_bot(mentioned.get(person), data))
        for person, name in people
    ]
    return [*named, message] if message else named


def _updated(setting: _Setting, data: JsonDict) -> list[Event]:
    # Discord also sends an update when it has unfurled a link: then nobody edited anything.
    edited = maybe(data, "edited_timestamp", "")
    message = _message(setting, data) if edited else None
    return [Edited(message, _utc(edited))] if message else []


def _deleted(setting: _Setting, data: JsonDict) -> list[Event]:
    message = native_id(data)
    channel = setting.ref(native_id(data, "channel_id"))
    return [Deleted(channel, message, int(message), setting.at)]


def _reacted(setting: _Setting, data: JsonDict, *, added: bool) -> list[Event]:
    channel = setting.ref(native_id(data, "channel_id"))
    emoji = emoji_name(need(data, "emoji", dict))
    message, person = native_id(data, "message_id"), native_id(data, "user_id")
    return [Reacted(channel, message, person, emoji, added, setting.at)]


def _channel(setting: _Setting, data: JsonDict) -> list[Event]:
    place, channel_id = place_of(data), native_id(data)
    if place.kind not in NAMED_CHANNELS or not place.name:
        return []
    private = setting.known.hidden(place)
    before = setting.known.places.get(channel_id)
    if before and before.name == place.name and setting.known.hidden(before) == private:
        return []
    return [ChannelNamed(ChannelRef(setting.account, channel_id), place.name, private)]


def _member(setting: _Setting, data: JsonDict) -> list[Event]:
    user = need(data, "user", dict)
    person, name = native_id(user), display_name(user, data)
    if not name:
        raise ValueError("username is missing")
    if setting.known.people.get(person) == name:
        return []
    return [PersonNamed(setting.account, person, name, bot=flag(user, "bot"))]


def _message(setting: _Setting, data: JsonDict) -> Posted | None:
    message, channel_id = native_id(data), native_id(data, "channel_id")
    kind, author = maybe(data, "type", DEFAULT), need(data, "author", dict)
    if kind not in SPOKEN:
        return None
    home, thread = setting.known.home(channel_id)
    guild, content = maybe_id(data, "guild_id"), maybe(data, "content", "")
    return Posted(
        channel=ChannelRef(setting.account, home),
        native_id=message,
        position=int(message),
        author=native_id(author),
        text=_text(setting.known, data, content),
        sent_at=moment_of(message),
        author_name=display_name(author, part(data, "member")),
        # A forum post's first message has the thread's own id: it is the root, not a reply.
        thread="" if thread == message else thread,
        reply_to=_reply_to(data) if kind == REPLY else "",
        by_bot=flag(author, "bot") or bool(data.get("webhook_id")) or kind in COMMANDS,
        private=not guild or setting.known.private(channel_id),
        mentions=_mentions(data, content),
        links=links(content),
        files=tuple(need(file, "filename", str) for file in dicts(data, "attachments")),
        link=f"https://discord.com/channels/{guild or '@me'}/{channel_id}/{message}",
    )


def _text(known: Known, data: JsonDict, content: str) -> str:
    told = {}
    for user in dicts(data, "mentions"):
        person, member = native_id(user), part(user, "member")
        # Without the member's part (nick), what the guild said before is the better name.
        if member or person not in known.people:
            told[person] = display_name(user, member)
    channels = {key: place.name for key, place in known.places.items()} if "<#" in content else {}
    for channel in dicts(data, "mention_channels"):
        channels.setdefault(native_id(channel), maybe(channel, "name", ""))
    people = ChainMap(told, known.people)
    return readable(content or _inner_text(data), people, channels, known.roles)


def _inner_text(data: JsonDict) -> str:
    """What a message without content shows instead: a forwarded message, or its embeds."""
    lines = [
        maybe(part(snapshot, "message"), "content", "")
        for snapshot in dicts(data, "message_snapshots")
    ]
    for embed in dicts(data, "embeds"):
        if embed.get("type", "rich") == "rich":
            lines += [maybe(embed, "title", ""), maybe(embed, "description", "")]
    return "\n".join(line for line in lines if line)


def _mentions(data: JsonDict, content: str) -> tuple[str, ...]:
    people = tuple(native_id(user) for user in dicts(data, "mentions"))
    if not flag(data, "mention_everyone"):
        return people
    everybody = [("channel", "@everyone"), ("here", "@here")]
    words = tuple(word for word, written in everybody if written in content)
    return people + (words or ("channel",))


def _reply_to(data: JsonDict) -> str:
    return maybe_id(part(data, "message_reference"), "message_id")


def _is_bot(mentioned: JsonDict | None, data: JsonDict) -> bool:
    return flag(mentioned or need(data, "author", dict), "bot")


def _utc(stamp: str) -> datetime:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        raise ValueError(f"edited_timestamp is not a moment: {stamp[:40]!r}") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


_HANDLERS: dict[str, Callable[[_Setting, JsonDict], list[Event]]] = {
    "MESSAGE_CREATE": _created,
    "MESSAGE_UPDATE": _updated,
    "MESSAGE_DELETE": _deleted,
    "MESSAGE_REACTION_ADD": lambda setting, data: _reacted(setting, data, added=True),
    "MESSAGE_REACTION_REMOVE": lambda setting, data: _reacted(setting, data, added=False),
    # REMOVE_ALL and REMOVE_EMOJI name no person, and a Reacted is one person's: nothing to tell.
    "CHANNEL_CREATE": _channel,
    "CHANNEL_UPDATE": _channel,
    "GUILD_MEMBER_ADD": _member,
    "GUILD_MEMBER_UPDATE": _member,
}
