"""What a reader sees of a message: how our own is known again in history, which has no nonces."""

from typing import TypeAlias

from adapters.discord.payload import JsonDict, dicts, maybe, part

Card: TypeAlias = tuple[str, ...]
Reading: TypeAlias = tuple[str, tuple[Card, ...]]


def reading(message: JsonDict) -> Reading:
    """The words of a message, as sent or as stored: content and embeds, white space levelled.

    Discord takes white space away from the edges of texts, and adds previews of links to the
    embeds. Raises ValueError for a malformed message.
    """
    cards = (one for one in dicts(message, "embeds") if one.get("type", "rich") == "rich")
    return _level(maybe(message, "content", "")), tuple(_card(one) for one in cards)


def _card(embed: JsonDict) -> Card:
    words = [maybe(embed, "title", ""), maybe(embed, "description", "")]
    for field in dicts(embed, "fields"):
        words += [maybe(field, "name", ""), maybe(field, "value", "")]
    words.append(maybe(part(embed, "footer"), "text", ""))
    return tuple(_level(one) for one in words)


def _level(text: str) -> str:
    # Zero-width spaces too: Discord counts them as white space at the edges.
    return " ".join(text.replace("\u200b", " ").split())
