"""A Slack message as plain readable text, with the mentions and links found on the way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapters.slack.names import Names
from adapters.slack.payload import JsonDict

EVERYBODY = {"here": "here", "channel": "channel", "everyone": "channel"}
"""Slack's ranges, and the word for each in Posted.mentions."""

_TOKEN = re.compile(r"<([^<>\n]+)>")
_WEB = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message says. `links` are http(s) only; both tuples have no doubles."""

    text: str
    mentions: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


def reading(message: JsonDict, names: Names) -> Reading:
    """Read a message: its rich_text blocks, which are exact; else `text`; else what is there."""
    blocks: Sequence[JsonDict] = message.get("blocks") or ()
    text: str = message.get("text") or ""
    reader = _Reader(names)
    if any(block.get("type") == "rich_text" for block in blocks) or not text:
        read = _joined([reader.block(block) for block in blocks])
    else:
        read = ""
    read = read or reader.mrkdwn(text)
    read = read or _joined([reader.attachment(one) for one in message.get("attachments") or ()])
    return Reading(read, tuple(reader.mentions), tuple(reader.links))


def unescape(text: str) -> str:
    """Slack's three entities as the characters they stand for."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _joined(parts: Sequence[str]) -> str:
    return "\n".join(part.strip("\n") for part in parts if part.strip())


@dataclass(slots=True)
class _Reader:
    """Turns pieces into text and collects what they point at (dicts keep the first order)."""

    names: Names
    mentions: dict[str, None] = field(default_factory=dict)
    links: dict[str, None] = field(default_factory=dict)

    def block(self, block: JsonDict) -> str:
        match block.get("type"):
            case "rich_text":
                return "\n".join(self._part(part).removesuffix("\n") for part in _inside(block))
            case "section":
                words = [block.get("text") or {}, *(block.get("fields") or ())]
                return _joined([self._words(one) for one in words])
            case "header":
                return self._words(block.get("text") or {})
            case "context":
                return " ".join(filter(None, (self._words(one) for one in _inside(block))))
            case "markdown":
                return str(block.get("text") or "")
        return ""

    def attachment(self, attachment: JsonDict) -> str:
        """An attachment of the old kind, as many integrations still post them."""
        keys = ("pretext", "title", "text")
        parts = [self.mrkdwn(str(attachment.get(key) or "")) for key in keys]
        return _joined(parts) or self.mrkdwn(str(attachment.get("fallback") or ""))

    def mrkdwn(self, text: str) -> str:
        """Slack's own markup: tokens in <> become readable, entities become characters."""
        pieces = _TOKEN.split(text)
        return "".join(
            self._token(piece) if number % 2 else unescape(piece)
            for number, piece in enumerate(pieces)
        )

    def _words(self, composed: JsonDict) -> str:
        text = str(composed.get("text") or "")
        return self.mrkdwn(text) if composed.get("type") == "mrkdwn" else text

    def _token(self, body: str) -> str:
        target, _, label = body.partition("|")
        label = unescape(label)
        match target[0]:
            case "@":
                return self._person(target[1:], label)
            case "#":
                return "#" + (self.names.channel(target[1:]) or label or target[1:])
            case "!":
                return self._special(target[1:], label)
        return self._link(unescape(target), label)

    def _special(self, command: str, label: str) -> str:
        kind, _, rest = command.partition("^")
        if kind in EVERYBODY:
            self.mentions[EVERYBODY[kind]] = None
            return f"@{kind}"
        if kind == "subteam":
            self.mentions[rest] = None
            return label or f"@{rest}"
        return label or f"@{kind}"

    def _person(self, native_id: str, label: str = "") -> str:
        self.mentions[native_id] = None
        return "@" + (self.names.person(native_id) or label or native_id)

    def _link(self, url: str, label: str) -> str:
        if url.startswith(_WEB):
            self.links[url] = None
        return label or url.removeprefix("mailto:").removeprefix("tel:")

    def _part(self, part: JsonDict) -> str:
        match part.get("type"):
            case "rich_text_list":
                return self._list(part)
            case "rich_text_quote":
                lines = self._run(part).removesuffix("\n").split("\n")
                return "\n".join(f"> {line}" for line in lines)
        return self._run(part)

    def _list(self, part: JsonDict) -> str:
        indent = "  " * int(part.get("indent") or 0)
        first = int(part.get("offset") or 0) + 1
        ordered = part.get("style") == "ordered"
        return "\n".join(
            f"{indent}{f'{number}.' if ordered else '•'} {self._part(item)}"
            for number, item in enumerate(_inside(part), first)
        )

    def _run(self, part: JsonDict) -> str:
        return "".join(self._element(element) for element in _inside(part))

    def _element(self, element: JsonDict) -> str:
        match element.get("type"):
            case "link":
                return self._link(str(element.get("url") or ""), str(element.get("text") or ""))
            case "emoji":
                return f":{element.get('name')}:"
            case "color":
                return str(element.get("value") or "")
            case "date":
                return _date(element)
        return self._mention(element)

    def _mention(self, element: JsonDict) -> str:
        match element.get("type"):
            case "user":
                return self._person(str(element.get("user_id")))
            case "usergroup":
                return self._special(f"subteam^{element.get('usergroup_id')}", "")
            case "broadcast":
                return self._special(str(element.get("range")), "")
            case "channel":
                native_id = str(element.get("channel_id"))
                return "#" + (self.names.channel(native_id) or native_id)
        return str(element.get("text") or "")


def _inside(part: JsonDict) -> Sequence[JsonDict]:
    return part.get("elements") or ()


def _date(element: JsonDict) -> str:
    if element.get("fallback"):
        return str(element["fallback"])
    at = datetime.fromtimestamp(int(element.get("timestamp") or 0), UTC)
    return at.strftime("%Y-%m-%d %H:%M UTC")
