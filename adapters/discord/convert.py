"""Gateway dispatches as events of the bridge. Pure: what it must know is handed in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.discord.known import Known, display_name, place_of, speakers
from adapters.discord.payload import (
    JsonDict,
    dicts,
    flag,
    items,
    native_id,
    need,
)
from adapters.discord.posts import edited_at, posted
from adapters.discord.readable import emoji_name
from adapters.discord.snowflakes import position_at
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Event,
    Gap,
    PersonNamed,
    Reacted,
)

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


def _began(setting: _Setting, _: JsonDict) -> list[Event]:
    # A resumed session goes on where it was; only a new one has missed what came before it.
    return [Gap(setting.account, position_at(setting.at), setting.at)]


def _created(setting: _Setting, data: JsonDict) -> list[Event]:
    message = posted(setting.account, data, setting.known)
    people = speakers(data, setting.known.people)
    mentioned = {native_id(user): user for user in dicts(data, "mentions")}
    named: list[Event] = [
        PersonNamed(setting.account, person, name, bot=_is_bot(mentioned.get(person), data))
        for person, name in people
    ]
    return [*named, message] if message else named


def _updated(setting: _Setting, data: JsonDict) -> list[Event]:
    # Discord also sends an update when it has unfurled a link: then nobody edited anything.
    edited = edited_at(data)
    message = posted(setting.account, data, setting.known) if edited else None
    return [Edited(message, edited)] if message and edited else []


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


def _is_bot(mentioned: JsonDict | None, data: JsonDict) -> bool:
    return flag(mentioned or need(data, "author", dict), "bot")


_HANDLERS: dict[str, Callable[[_Setting, JsonDict], list[Event]]] = {
    "READY": _began,
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
