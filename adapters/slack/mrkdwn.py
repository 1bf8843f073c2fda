"""Spans as Slack's mrkdwn, for the places that know nothing better: context and fallback text."""

import re
from urllib.parse import quote

from adapters.slack.room import ELLIPSIS, Room, clean, cut, units
from bridge.richtext import Link, Moment, Span, Spans, Text

MOST_URL = 3000
MOST_LABEL = 500
DATE_FORMAT = "{date_short_pretty} at {time}"

_GAP = "\u200b"
_OPENER = re.compile(r"(?<![^\W_])([*_~`])(?=[^\s*_~`])")
_QUOTED = re.compile(r"^>", re.MULTILINE)
_UNSAFE = re.compile(r'[\s<>|"\x00-\x1f\x7f]')
_WEB = re.compile(r"https?://[^\s/]", re.IGNORECASE)


def escape(text: str) -> str:
    """The three characters that Slack wants escaped; nothing pings without them."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped_units(text: str) -> int:
    """What text costs once it is escaped."""
    return units(escape(text))


def inert(text: str) -> str:
    """Clean text whose *, _, ~, ` and > at line starts are only characters, by a zero-width gap."""
    return _QUOTED.sub(f"{_GAP}>", _OPENER.sub(rf"\1{_GAP}", text))


def written(spans: Spans, room: Room, *, styles: bool = False, line: str = "\n") -> str:
    """Spans as mrkdwn. `room` counts by escaped_units; `line` is what starts a new line."""
    return "".join(_span(span, room, line, styles=styles) for span in spans if not room.full)


def target(link: Link) -> str:
    """Where a link leads, without what could end it early; "" for what is no web address."""
    url = _UNSAFE.sub(lambda match: quote(match[0]), clean(link.url))
    return url if _WEB.match(url) and units(url) <= MOST_URL else ""


def label(link: Link) -> str:
    """What is shown for a link, on one line; never empty unless it has no words and no address."""
    words = " ".join(clean(link.label).split()) or " ".join(clean(link.url).split())
    return cut(words, MOST_LABEL)


def stamp(moment: Moment) -> tuple[int, str]:
    """Seconds since 1970, and the words for those who cannot compute with them."""
    words = " ".join(clean(moment.fallback).split()) or moment.at.strftime("%Y-%m-%d %H:%M %Z")
    return int(moment.at.timestamp()), cut(words, MOST_LABEL)


def _span(span: Span, room: Room, line: str, *, styles: bool) -> str:
    match span:
        case Text():
            return _text(span, room, line, styles=styles)
        case Link():
            url, words = escape(target(span)), escape(label(span))
            piece = f"<{url}|{words}>" if url != words else f"<{url}>"
            return _whole(piece if url else words, room)
        case Moment():
            seconds, words = stamp(span)
            piece = f"<!date^{seconds}^{DATE_FORMAT}|{escape(words)}>"
            return _whole(piece if seconds >= 0 else escape(words), room)


def _whole(piece: str, room: Room) -> str:
    return piece if room.fits(units(piece)) else ELLIPSIS


def _text(span: Text, room: Room, line: str, *, styles: bool) -> str:
    text = clean(span.text)
    marks = ("`" * span.code + "*" * span.bold + "_" * span.italic) if styles else ""
    # Slack styles only what starts and ends with a character and holds no mark of its own.
    if marks and text == text.strip() and not re.search(r"[*_~`\n]", text):
        piece = f"{_GAP}{marks}{escape(text)}{marks[::-1]}{_GAP}"
        if text and units(piece) <= MOST_LABEL:
            return _whole(piece, room)
    return escape(room.take(inert(text).replace("\n", line)))
