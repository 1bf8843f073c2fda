"""Owed notifications become documents. Pure; whatever people wrote goes in as inert text."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import regex

from bridge.pending import Pending
from bridge.richtext import (
    Bullets,
    Document,
    Link,
    Moment,
    Paragraph,
    Span,
    Spans,
    Text,
    plain_spans,
)

MOST_UNITS = 5000
"""So much of a bundle arrives whole on every platform, in UTF-16 units with its markup."""
EXCERPT_GRAPHEMES = 280
LATE_GRAPHEMES = 80
_ITEM_UNITS = 60
NAME_GRAPHEMES = 60
PLACES = ("author", "channel", "excerpt", "link")
"""What a rule's text may name in braces; any other brace is shown as it stands."""

NO_TEXT = "(no text)"
DEFAULT_TEXT = "{author} in {channel}: {excerpt} {link}"

_LONGEST_GRAPHEME = 16
_GRAPHEME = regex.compile(r"\X")
_PLACE = regex.compile(r"\{(" + "|".join(PLACES) + r")\}")
# control characters, and those that turn the direction of all that follows them
_UNRULY = regex.compile(r"[\p{Cc}\u202a-\u202e\u2066-\u2069]")
_VISIBLE = regex.compile(r"[^\p{Cc}\p{Cf}\p{Z}\p{Mn}\u115f\u1160\u2800\u3164\uffa0]")


def notification(pending: Pending) -> Document:
    """The message that a notification sends: its rule's text with the places filled in.

    Places are filled once: braces in what people wrote stay as they are. Never empty.
    """
    text = pending.rule.text if pending.rule else DEFAULT_TEXT
    spans = _filled(text, pending) or _filled(DEFAULT_TEXT, pending)
    return (Paragraph(spans),)


def bundle(late: Sequence[Pending]) -> Document:
    """Several notifications that could not go out in time as one message, with their true times."""
    head = Paragraph(
        (Text(f"{len(late)} notifications that could not go out in time:", bold=True),)
    )
    return (head, Bullets(tuple(_late_item(one) for one in late)))


def fitting(late: Sequence[Pending]) -> int:
    """How many of these have room in one bundle, at least one."""
    room, number = MOST_UNITS, 0
    for one in late:
        room -= sum(_most_units(span) for span in _late_item(one)) + _ITEM_UNITS
        if room < 0:
            break
        number += 1
    return max(number, 1)


def _most_units(span: Span) -> int:
    """The most that a span takes; a sign that could be markup may need a backslash before it."""
    text = f"{span.label}{span.url}" if isinstance(span, Link) else plain_spans((span,))
    escapes = sum(not (char.isalnum() or char.isspace()) for char in text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 + escapes


def _late_item(pending: Pending) -> Spans:
    at = Moment(pending.due_at, f"{pending.due_at:%Y-%m-%d %H:%M} UTC")
    text = excerpt(pending.facts.text, pending.files, LATE_GRAPHEMES)
    head = (
        at,
        Text(" "),
        Text(name_of(pending.author), bold=True),
        Text(f" #{name_of(pending.channel_name, 'a channel')}: {text} "),
    )
    return (*head, Link(pending.link, "open")) if is_web(pending.link) else head


def excerpt(text: str, files: Sequence[str] = (), graphemes: int = EXCERPT_GRAPHEMES) -> str:
    """A message's text in one run, cut; without text the names of its files. Never empty."""
    for words in (text, ", ".join(files)):
        if is_visible(run := one_run(words)):
            return cut(run, graphemes)
    return NO_TEXT


def name_of(name: str, otherwise: str = "somebody") -> str:
    """A person's or a channel's name in one short run. Never empty."""
    return cut(one_run(name), NAME_GRAPHEMES) if is_visible(name) else otherwise


def moment(at: datetime, zone: ZoneInfo) -> Moment:
    """A moment for every reader in their own zone; in this one where a client knows none."""
    return Moment(at, f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}")


def cut(text: str, graphemes: int) -> str:
    """At most so many graphemes of the text; where that leaves something out, the last is "…".

    A grapheme of more than 16 code points is a pile of accents and loses what is beyond. In time
    linear to the length of the text.
    """
    kept: list[str] = []
    for found in _GRAPHEME.finditer(text):
        if len(kept) == graphemes:
            return "".join(kept[:-1]).rstrip() + "…"
        start, end = found.span()
        kept.append(text[start : min(end, start + _LONGEST_GRAPHEME)])
    return "".join(kept)


def one_run(text: str) -> str:
    """The text on one line, every run of white space a single space."""
    return " ".join(_UNRULY.sub(" ", text).split())


def is_visible(text: str) -> bool:
    """Whether a reader sees anything of the text."""
    return bool(_VISIBLE.search(text))


def is_web(url: str) -> bool:
    """Whether this can be the address of a Link: http or https, and no white space in it."""
    return url.lower().startswith(("https://", "http://")) and not regex.search(r"[\s\p{Cc}]", url)


def _filled(text: str, pending: Pending) -> tuple[Span, ...]:
    """The spans of a text; () where nothing of them can be seen."""
    spans: list[Span] = []
    for index, part in enumerate(_PLACE.split(text)):
        if index % 2:
            spans += _place(part, pending)
        elif spans and spans[-1] == _NOTHING:
            spans.append(Text(part.lstrip(" ")))  # the space before a missing link suffices
        elif part:
            spans.append(Text(part))
    return _tidy(spans)


_NOTHING = Text("")


def _place(name: str, pending: Pending) -> list[Span]:
    match name:
        case "author":
            return [Text(name_of(pending.author), bold=True)]
        case "channel":
            return [Text("#" + name_of(pending.channel_name, "unknown"))]
        case "link" if is_web(pending.link):
            return [Link(pending.link, "open")]
        case "link":
            return [_NOTHING]
        case _:
            return [Text(excerpt(pending.facts.text, pending.files))]


def _tidy(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Without empty runs and without white space at the very end."""
    kept = [span for span in spans if span != _NOTHING]
    while kept and isinstance(last := kept[-1], Text) and not last.bold:
        if words := last.text.rstrip():
            kept[-1] = Text(words)
            break
        kept.pop()
    seen = any(not isinstance(span, Text) or is_visible(span.text) for span in kept)
    return tuple(kept) if seen else ()
