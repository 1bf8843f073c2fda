"""What becomes of text on its way into Slack: a person's typing, and an app's `text`."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.standin import JsonDict

_URL = r"https?://[^\s<>|`]*[^\s<>|`.,;:!?)\]}'\"]"
_PRE = re.compile(r"```\n?(.+?)\n?```", re.DOTALL)
_QUOTE = re.compile(r"((?:^>.*(?:\n|\Z))+)", re.MULTILINE)
_QUOTE_MARK = re.compile(r"^> ?", re.MULTILINE)
_LINE = re.compile(r"^(?=.)", re.MULTILINE)
_INLINE = re.compile(
    rf"(?P<code>`[^`\n]+`)|(?P<url>{_URL})"
    r"|(?<![\w@/.])@(?P<person>\w+(?:[.-]\w+)*)"
    r"|(?<![\w#/&])\#(?P<channel>\w+(?:-\w+)*)"
    r"|(?<![\w:]):(?P<emoji>[a-z][a-z0-9_+-]*|[+-]1):(?![\w:])"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^\s~](?:[^~\n]*[^\s~])?)~(?![\w~])"
)
_STYLES = {"bold": "*", "italic": "_", "strike": "~"}
_RANGES = {"here", "channel", "everyone"}
_LOOSE = re.compile(
    rf"(?P<code>```.+?```|`[^`\n]+`)|(?P<token><(?:[@#!]|https?://|mailto:|tel:)[^<>]*>)"
    rf"|(?P<url>{_URL})|(?P<entity>&(?:amp|lt|gt);)|(?P<bare>[&<>])",
    re.DOTALL,
)
_NEEDS_CARE = re.compile(r"[&<>]|https?://")


@dataclass(slots=True)
class Typed:
    """Text with its `rich_text` elements beside it, growing together."""

    text: str = ""
    elements: list[JsonDict] = field(default_factory=list)

    def say(self, text: str, style: JsonDict) -> None:
        """Add plain characters."""
        if not text:
            return
        self.text += escape(text)
        last = self.elements[-1] if self.elements else {}
        if last.get("type") == "text" and last.get("style", {}) == style:
            last["text"] += text
        else:
            self.put("", {"type": "text", "text": text}, style)

    def put(self, text: str, element: JsonDict, style: JsonDict) -> None:
        """Add one element and how it stands in the text."""
        self.text += text
        self.elements.append({**element, "style": dict(style)} if style else element)


def escape(text: str) -> str:
    """The three characters that Slack escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def typed(
    text: str, people: Mapping[str, str], channels: Mapping[str, str]
) -> tuple[str, list[JsonDict]]:
    """What a person typed as Slack sends it on: `text` and `blocks`.

    Knows @name, @here, #channel, links, :emoji:, *bold*, _italic_, ~strike~, `code`, fences and
    quotes; the mappings are name -> id. Everything else is text, and `&<>` are escaped.
    """
    whole, parts = "", list[JsonDict]()
    for number, piece in enumerate(_PRE.split(text)):
        if number % 2:
            whole += f"```{escape(piece)}```"
            parts.append(_part("rich_text_preformatted", [{"type": "text", "text": piece}]))
            continue
        for turn, lines in enumerate(_QUOTE.split(piece)):
            written, part = _lines(lines, people, channels, quoted=turn % 2 == 1)
            whole += written
            parts += [part] if lines else []
    block = {"type": "rich_text", "block_id": secrets.token_urlsafe(4)[:5], "elements": parts}
    return whole, [block] if parts else []


def _lines(
    text: str, people: Mapping[str, str], channels: Mapping[str, str], *, quoted: bool
) -> tuple[str, JsonDict]:
    said = Typed()
    if not quoted:
        _inline(said, text, {}, people, channels)
        return said.text, _part("rich_text_section", said.elements)
    _inline(said, _QUOTE_MARK.sub("", text), {}, people, channels)
    return _LINE.sub("&gt; ", said.text), _part("rich_text_quote", said.elements)


def _part(kind: str, elements: list[JsonDict]) -> JsonDict:
    return {"type": kind, "elements": elements}


def _inline(
    said: Typed,
    text: str,
    style: JsonDict,
    people: Mapping[str, str],
    channels: Mapping[str, str],
) -> None:
    at = 0
    for match in _INLINE.finditer(text):
        said.say(text[at : match.start()], style)
        at = match.end()
        kind = match.lastgroup or ""
        if kind in _STYLES:
            said.text += _STYLES[kind]
            _inline(said, match[kind], style | {kind: True}, people, channels)
            said.text += _STYLES[kind]
        elif kind == "code":
            element = {"type": "text", "text": match["code"][1:-1]}
            said.put(escape(match["code"]), element, style | {"code": True})
        elif found := _special(kind, match[kind], people, channels):
            said.put(*found, style)
        else:
            said.say(match[0], style)
    said.say(text[at:], style)


def _special(
    kind: str, value: str, people: Mapping[str, str], channels: Mapping[str, str]
) -> tuple[str, JsonDict] | None:
    """A link, mention or emoji as text and as element; None for a name nobody has."""
    if kind == "url":
        return f"<{escape(value)}>", {"type": "link", "url": value}
    if kind == "emoji":
        return f":{value}:", {"type": "emoji", "name": value}
    if kind == "channel" and value in channels:
        element = {"type": "channel", "channel_id": channels[value]}
        return f"<#{channels[value]}|>", element
    if kind == "person" and value in people:
        return f"<@{people[value]}>", {"type": "user", "user_id": people[value]}
    if kind == "person" and value in _RANGES:
        return f"<!{value}>", {"type": "broadcast", "range": value}
    return None


def normalised(text: str) -> str:
    """An app's `text` as Slack stores it: bare links in <>, stray `&<>` escaped."""
    if not _NEEDS_CARE.search(text):
        return text
    return _LOOSE.sub(_tidied, text)


def _tidied(match: re.Match[str]) -> str:
    if match["url"]:
        return f"<{_unlinked(match['url'])}>"
    if match["bare"]:
        return escape(match["bare"])
    return _unlinked(match["code"]) if match["code"] else match[0]


def _unlinked(text: str) -> str:
    return re.sub(r"&(?!(?:amp|lt|gt);)", "&amp;", text)
