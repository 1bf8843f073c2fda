"""The neutral tree of formatted text as Block Kit, within every limit of Slack: pure.

Running text becomes rich_text, in which nothing is parsed, so that no escaping can be forgotten.
"""

from dataclasses import dataclass

from adapters.slack.mrkdwn import DATE_FORMAT, escape, escaped_units, label, stamp, target, written
from adapters.slack.payload import JsonDict
from adapters.slack.room import ELLIPSIS, Room, clean, cut, pieces, units
from bridge.richtext import (
    Block,
    Bullets,
    Document,
    Heading,
    Link,
    Moment,
    Note,
    Paragraph,
    Quote,
    Span,
    Spans,
    Text,
)

MOST_BLOCKS = 50
MOST_CHARACTERS = 12_000
"""Over all blocks; from about 13,200 on Slack answers msg_blocks_too_long."""
MOST_HEADER = 150
MOST_CONTEXT = 3000
MOST_RUN = 3000
"""Of one text element; Slack names no limit for it, so it gets that of a section."""
MOST_FALLBACK = 4000
"""Slack's advice for `text`; it cuts at 40,000."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What chat.postMessage takes: `text` for notifications and screen readers, and `blocks`."""

    text: str
    blocks: list[JsonDict]


def render(document: Document) -> Rendered:
    """A document as Slack shows it. Never raises; what is too long ends in "…"."""
    room = Room(MOST_CHARACTERS)
    blocks: list[JsonDict] = []
    for block in document:
        if room.full:
            break
        made = _block(block, room)
        if made and made["type"] == "rich_text" and blocks and blocks[-1]["type"] == "rich_text":
            blocks[-1]["elements"] += made["elements"]
        elif made:
            blocks.append(made)
    if len(blocks) > MOST_BLOCKS:
        blocks = [*blocks[: MOST_BLOCKS - 1], _rich(_part("section", [_text(ELLIPSIS)]))]
    return Rendered(_fallback(document), blocks)


def _block(block: Block, room: Room) -> JsonDict | None:
    match block:
        case Heading(text=text):
            return _header(text, room)
        case Note(spans=spans):
            return _context(spans, room)
        case Paragraph(spans=spans):
            elements = _elements(spans, room)
            return _rich(_part("section", elements)) if elements else None
        case Quote(spans=spans):
            elements = _elements(spans, room)
            return _rich(_part("quote", elements)) if elements else None
        case Bullets(items=items):
            rows = [row for row in (_elements(item, room) for item in items) if row]
            sections = [_part("section", row) for row in rows]
            return _rich({**_part("list", sections), "style": "bullet"}) if sections else None


def _header(text: str, room: Room) -> JsonDict | None:
    line = room.take(cut(" ".join(clean(text).split()), MOST_HEADER))
    return {"type": "header", "text": {"type": "plain_text", "text": line}} if line else None


def _context(spans: Spans, room: Room) -> JsonDict | None:
    words = written(spans, Room(MOST_CONTEXT, escaped_units), styles=True)
    if not words.strip():
        return None
    if not room.fits(units(words)):
        return _rich(_part("section", [_text(ELLIPSIS)]))
    # verbatim: otherwise Slack itself looks for names and addresses in the words.
    composed = {"type": "mrkdwn", "text": words, "verbatim": True}
    return {"type": "context", "elements": [composed]}


def _elements(spans: Spans, room: Room) -> list[JsonDict]:
    made = [element for span in spans for element in _span(span, room)]
    return made if any(_shown(element).strip() for element in made) else []


def _shown(element: JsonDict) -> str:
    return str(element.get("text") or element.get("url") or element.get("fallback") or "")


def _span(span: Span, room: Room) -> list[JsonDict]:
    if room.full:
        return []
    match span:
        case Text(text=text):
            style = {name: True for name in ("bold", "italic", "code") if getattr(span, name)}
            styled = {"style": style} if style else {}
            return [_text(part) | styled for part in pieces(room.take(clean(text)), MOST_RUN)]
        case Link():
            url, words = target(span), label(span)
            element = {"type": "link", "url": url, "text": words} if url else _text(words)
            return _whole(element, units(url) + units(words), room)
        case Moment():
            seconds, words = stamp(span)
            date = {"type": "date", "timestamp": seconds, "format": DATE_FORMAT, "fallback": words}
            element = date if seconds >= 0 else _text(words)
            return _whole(element, units(DATE_FORMAT) + units(words), room)


def _whole(element: JsonDict, cost: int, room: Room) -> list[JsonDict]:
    made = element if room.fits(cost) else _text(ELLIPSIS)
    return [made] if _shown(made) else []


def _text(text: str) -> JsonDict:
    return {"type": "text", "text": text}


def _part(kind: str, elements: list[JsonDict]) -> JsonDict:
    return {"type": f"rich_text_{kind}", "elements": elements}


def _rich(part: JsonDict) -> JsonDict:
    return {"type": "rich_text", "elements": [part]}


def _fallback(document: Document) -> str:
    room = Room(MOST_FALLBACK, escaped_units)
    lines: list[str] = []
    for block in document:
        lines += _lines(block, room)
        # the line break that joins what follows
        if not room.fits(1):
            break
    text = "\n".join(line for line in lines if line.strip())
    return text + ELLIPSIS if not text or (room.full and not text.endswith(ELLIPSIS)) else text


def _lines(block: Block, room: Room) -> list[str]:
    match block:
        case Heading(text=text):
            return [written((Text(" ".join(text.split())),), room)]
        case Bullets(items=items):
            return [row for item in items if (row := _start("• ", item, room))]
        case Quote(spans=spans):
            return [_start("> ", spans, room, line="\n> ")]
        case Paragraph(spans=spans) | Note(spans=spans):
            return [written(spans, room)]


def _start(start: str, spans: Spans, room: Room, line: str = "\n") -> str:
    """A line with what starts it, or nothing where nothing follows (1 pays for its end)."""
    if room.full or not room.fits(escaped_units(start) + 1):
        return ""
    words = written(spans, room, line=line)
    return escape(start) + words if words.strip() else ""
