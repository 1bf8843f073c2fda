"""Message objects as the bridge's posts: one reading for what is live and for what is history."""

from collections import ChainMap
from datetime import UTC, datetime

from adapters.discord.known import Known, display_name
from adapters.discord.payload import (
    JsonDict,
    dicts,
    flag,
    maybe,
    maybe_id,
    native_id,
    need,
    part,
)
from adapters.discord.readable import links, readable
from adapters.discord.snowflakes import moment_of
from bridge.messages import ChannelRef, Posted, Shown

DEFAULT, REPLY = 0, 19
COMMANDS = frozenset({20, 23})
SPOKEN = frozenset({DEFAULT, REPLY}) | COMMANDS
"""Message types in which somebody says something; the others are Discord's own notices."""


def posted(account: str, data: JsonDict, known: Known) -> Posted | None:
    """The post that a message object from the gateway is; None for Discord's own notices.

    Raises ValueError naming what a malformed one lacks.
    """
    message, channel_id = native_id(data), native_id(data, "channel_id")
    kind, author = maybe(data, "type", DEFAULT), need(data, "author", dict)
    if kind not in SPOKEN:
        return None
    home, thread = known.home(channel_id)
    guild, content = maybe_id(data, "guild_id"), maybe(data, "content", "")
    return Posted(
        channel=ChannelRef(account, home),
        native_id=message,
        position=int(message),
        author=native_id(author),
        text=_text(known, data, content),
        sent_at=moment_of(message),
        author_name=display_name(author, part(data, "member")),
        # A forum post's first message has the thread's own id: it is the root, not a reply.
        thread="" if thread == message else thread,
        reply_to=answered(data) if kind == REPLY else "",
        by_bot=flag(author, "bot") or bool(data.get("webhook_id")) or kind in COMMANDS,
        private=not guild or known.private(channel_id),
        mentions=_mentions(data, content),
        links=links(content),
        files=tuple(need(file, "filename", str) for file in dicts(data, "attachments")),
        link=f"https://discord.com/channels/{guild or '@me'}/{channel_id}/{message}",
        key=_key(data, known),
    )


def shown(
    account: str,
    data: JsonDict,
    known: Known,
    at: datetime,
    reactions: tuple[tuple[str, str], ...] | None = None,
) -> Shown | None:
    """How a message object from REST stands at a moment; None for Discord's own notices.

    REST says neither which guild a message is in nor what its author is called there: both are
    what is `known`. Raises ValueError naming what a malformed one lacks.
    """
    told = dict(data)
    place = known.places.get(native_id(data, "channel_id"))
    if place and place.guild:
        told["guild_id"] = place.guild
    name = known.people.get(native_id(need(data, "author", dict)))
    if name:
        told["member"] = {"nick": name}
    message = posted(account, told, known)
    if not data.get("reactions"):
        reactions = ()  # history names no people, but it does say when there are none
    return Shown(message, at, edited_at(data), reactions) if message else None


def edited_at(data: JsonDict) -> datetime | None:
    """When a message was last changed; None for never. Raises ValueError for what is no moment."""
    stamp = maybe(data, "edited_timestamp", "")
    if not stamp:
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        raise ValueError(f"edited_timestamp is not a moment: {stamp[:40]!r}") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def answered(data: JsonDict) -> str:
    """The id of the message that this one refers to, "" for none."""
    return maybe_id(part(data, "message_reference"), "message_id")


def _key(data: JsonDict, known: Known) -> str:
    """The nonce of our own message, which is its delivery's key; Discord tells it only live."""
    nonce = data.get("nonce")
    own = bool(known.me) and part(data, "author").get("id") == known.me
    return nonce if own and isinstance(nonce, str) else ""


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
