"""The neutral tree of formatted text: adapters render it, so no platform's markup is known here.

A document is a tuple of blocks, a block holds spans. All text in it is data: an adapter escapes
it, so that nothing quoted can ping anybody or break out of its place.
"""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """A run of characters in one style."""

    text: str
    bold: bool = False
    italic: bool = False
    code: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A link to http(s) with the words that are shown for it."""

    url: str
    label: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment shown in each reader's own zone; `fallback` is for readers that cannot."""

    at: datetime
    fallback: str


Span: TypeAlias = Text | Link | Moment
Spans: TypeAlias = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A title line."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; may contain line breaks."""

    spans: Spans


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list, one row of spans per item."""

    items: tuple[Spans, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """Words of somebody else, set apart."""

    spans: Spans


@dataclass(frozen=True, slots=True)
class Note:
    """Small print."""

    spans: Spans


Block: TypeAlias = Heading | Paragraph | Bullets | Quote | Note
Document: TypeAlias = tuple[Block, ...]

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Text, Link, Moment, Heading, Paragraph, Bullets, Quote, Note)
}


def plain(document: Document) -> str:
    """The document as bare text, for terminals, logs and fallbacks."""
    return "\n".join(line for block in document for line in _lines(block))


def plain_spans(spans: Spans) -> str:
    """A row of spans as bare text; a link shows its label and, where different, its address."""
    return "".join(_span(span) for span in spans)


def dump(document: Document) -> str:
    """The document as JSON in ASCII, which every store can hold; moments in UTC."""
    return json.dumps(_packed(document), separators=(",", ":"))


def load(text: str) -> Document:
    """The document that `dump` wrote. Raises ValueError for anything else."""
    try:
        found = _unpacked(json.loads(text))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a document: {text[:80]!r}") from error
    if not isinstance(found, tuple):
        raise ValueError(f"not a document: {text[:80]!r}")  # noqa: TRY004 - text is the wrong value
    return found


def _packed(value: Any) -> Any:
    match value:
        case tuple():
            return [_packed(one) for one in value]
        case datetime():
            return value.astimezone(UTC).isoformat()
        case str() | bool():
            return value
    told = {one.name: getattr(value, one.name) for one in fields(value)}
    # a style that is off goes without saying: most text has none
    return {"is": type(value).__name__} | {
        name: _packed(one) for name, one in told.items() if one is not False
    }


def _unpacked(value: Any) -> Any:
    match value:
        case list():
            return tuple(_unpacked(one) for one in value)
        case {"is": "Moment", "at": at, "fallback": fallback}:
            return Moment(datetime.fromisoformat(at), fallback)
        case dict():
            told = {name: _unpacked(one) for name, one in value.items()}
            return _KINDS[told.pop("is")](**told)
        case str() | bool():
            return value
    raise TypeError(f"{value!r}")


def _span(span: Span) -> str:
    match span:
        case Text(text=text):
            return text
        case Link(url=url, label=label):
            return url if label == url else f"{label} ({url})"
        case Moment(fallback=fallback):
            return fallback


def _lines(block: Block) -> list[str]:
    match block:
        case Heading(text=text):
            return [text]
        case Bullets(items=items):
            return ["• " + plain_spans(item) for item in items]
        case Quote(spans=spans):
            return ["> " + line for line in plain_spans(spans).split("\n")]
        case Paragraph(spans=spans) | Note(spans=spans):
            return [plain_spans(spans)]
