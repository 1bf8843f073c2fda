"""A message as history answers it, as the bridge's: pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

from adapters.slack.convert import POSTS, Context, emoji_name, posted
from adapters.slack.payload import JsonDict, moment, need, position
from bridge.messages import Deleted, Shown

Reactions: TypeAlias = tuple[tuple[str, str], ...]

TOMBSTONE = "tombstone"
"""What is left of a deleted root while its thread lives on."""


def shown(
    message: JsonDict,
    context: Context,
    channel: str,
    at: datetime,
    reactions: Reactions | None,
) -> Shown | Deleted | None:
    """How a message stands at a moment; None for an announcement (joined, topic set ...).

    Raises ValueError where a message is not what Slack documents.
    """
    subtype = str(message.get("subtype") or "")
    if subtype == TOMBSTONE:
        return deleted(context, channel, need(message, "ts", TOMBSTONE), at)
    if subtype not in POSTS:
        return None
    try:
        edited = (message.get("edited") or {}).get("ts")
        post = posted(message, context, channel=channel)
        return Shown(post, at, moment(str(edited)) if edited else None, reactions)
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(f"message {message.get('ts')} of an unknown shape: {error}") from error


def deleted(context: Context, channel: str, native_id: str, at: datetime) -> Deleted:
    """A message that history does not show any more."""
    return Deleted(context.channel(channel), native_id, position(native_id), at)


def reactions(message: JsonDict) -> Reactions:
    """Who reacts with what, as far as the message tells."""
    pairs = (
        (emoji_name(str(one.get("name"))), str(person))
        for one in _reactions(message)
        for person in one.get("users") or ()
    )
    return tuple(dict.fromkeys(pairs))


def cut(message: JsonDict) -> bool:
    """Whether more people reacted than the message names."""
    counted = ((one.get("count"), one.get("users") or ()) for one in _reactions(message))
    return any(isinstance(count, int) and count > len(users) for count, users in counted)


def _reactions(message: JsonDict) -> Iterable[JsonDict]:
    found = message.get("reactions")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else ()
