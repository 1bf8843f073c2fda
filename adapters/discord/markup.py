"""A neutral document as Discord shows it: message content, or the embeds of a card."""

import itertools
from collections.abc import Iterable, Iterator
from urllib.parse import quote, urlsplit, urlunsplit

from adapters.discord.escape import (
    BOLD,
    CODE,
    ITALIC,
    Atom,
    assemble,
    clean,
    escaped,
    fit,
    units,
)
from adapters.discord.payload import JsonDict
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
    plain_spans,
)

# Discord's limits (docs: resources/message, "Embed Limits"), counted in UTF-16 units to be safe.
CONTENT, TITLE, DESCRIPTION, FOOTER, EMBEDS, ALL_EMBEDS = 2000, 256, 4096, 2048, 10, 6000
MORE = "\n…"
LABEL = 200
"""A link cannot be cut, so its words are kept short,"""
ADDRESS = 1000
"""and one whose address is longer shows its words only."""

_URL_SAFE = "/:?#@!$&+,;=%-._~[]"


def content(document: Document) -> str:
    """A document as the content of an ordinary message, at most 2,000 long. Never raises."""
    lines = (line for block in document for line in _rows(block, CONTENT))
    atoms = itertools.chain.from_iterable(
        line if first else (Atom("\n"), *line) for first, line in _first(lines)
    )
    return fit(tuple(itertools.islice(atoms, CONTENT + 1)), CONTENT)


def embeds(document: Document) -> list[JsonDict]:
    """A document as embeds that keep every limit together. Never raises.

    A heading at the start becomes the title, small print at the end the footer.
    """
    title, footer, blocks = "", "", list(document)
    match blocks:
        case [Heading(text=text), *rest]:
            title, blocks = fit(tuple(_line(text, TITLE)), TITLE), rest
    match blocks:
        case [*rest, Note(spans=spans)] if _all_text(spans):
            footer, blocks = _footer(spans), rest
    room = ALL_EMBEDS - units(title) - units(footer)
    cards: list[JsonDict] = [{"description": one} for one in _descriptions(blocks, room)]
    cards = cards or [{}]
    if title:
        cards[0] = {"title": title, **cards[0]}
    if footer:
        cards[-1]["footer"] = {"text": footer}
    return [card for card in cards if card]


def safe_url(url: str) -> str:
    """An http(s) address in which nothing can end a link early; "" where it is none."""
    try:
        parts = urlsplit(clean(url).strip())
        host = (parts.hostname or "").encode("idna").decode("ascii")
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not host:
        return ""
    rest = (quote(part, safe=_URL_SAFE) for part in (parts.path, parts.query, parts.fragment))
    bare = f"[{host}]" if ":" in host else quote(host, safe="-._")
    # No user name: it only serves to make an address look like another one.
    return urlunsplit((parts.scheme, bare + port, *rest))


def _descriptions(blocks: Iterable[Block], room: int) -> list[str]:
    """Rows packed into as many descriptions as they need; the first that does not fit is cut."""
    room -= units(MORE)
    full: list[str] = []
    here = ""
    for row in (row for block in blocks for row in _rows(block, DESCRIPTION)):
        atoms = tuple(itertools.islice(row, DESCRIPTION + 1))
        text, lead = assemble(atoms), "\n" if here else ""
        space = min(DESCRIPTION - units(MORE), room) - units(here + lead)
        fresh = min(DESCRIPTION - units(MORE), room - units(here)) if len(full) < EMBEDS - 1 else 0
        if here and units(text) > space and (units(text) <= fresh or fresh > 2 * space):
            full.append(here)
            room -= units(here)
            here, lead, space = "", "", fresh
        if units(text) > space:
            here += lead + fit(atoms, space) if space > units(MORE) else MORE
            break
        here += lead + text
    return [one for one in (*full, here) if one.strip()]


def _rows(block: Block, most: int) -> Iterator[Iterator[Atom]]:
    """The lines of a block that belong together, each as atoms."""
    match block:
        case Heading(text=text):
            if text.strip():
                yield itertools.chain([Atom("### ")], _line(text, most))
        case Paragraph(spans=spans):
            yield _spans(spans, most)
        case Bullets(items=items):
            for item in items:
                yield _prefixed("- ", "\n  ", item, most)
        case Quote(spans=spans):
            yield _prefixed("> ", "\n> ", spans, most)
        case Note(spans=spans):
            yield _prefixed("-# ", "\n-# ", spans, most)


def _prefixed(first: str, later: str, spans: Spans, most: int) -> Iterator[Atom]:
    """A block whose every line carries a mark."""
    yield Atom(first)
    for atom in _spans(spans, most):
        yield Atom(later) if atom.raw == "\n" else atom


def _spans(spans: Spans, most: int) -> Iterator[Atom]:
    return (atom for span in spans for atom in _span(span, most))


def _span(span: Span, most: int) -> Iterator[Atom]:
    match span:
        case Text(text=text, bold=bold, italic=italic, code=code):
            style = BOLD * bold | ITALIC * italic | CODE * code
            yield from escaped(text, style, most=most)
        case Link(url=url, label=label):
            yield from _link(safe_url(url), url, label)
        case Moment(at=at):
            yield Atom(f"<t:{int(at.timestamp())}:F>")


def _link(address: str, given: str, label: str) -> Iterator[Atom]:
    words = " ".join(label.split())
    # Discord does not heed a backslash before a bracket in a label.
    shown = fit(tuple(_line(words.replace("[", "(").replace("]", ")"), LABEL)), LABEL)
    if not address or len(address) > ADDRESS:
        yield from _line(words, LABEL)
    elif not words or words in {address, given}:
        yield Atom(f"<{address}>")
    elif "://" in words:
        # Discord shows no link whose words look like another address.
        yield Atom(f"{shown} (<{address}>)")
    else:
        yield Atom(f"[{shown}](<{address}>)")


def _line(text: str, most: int) -> Iterator[Atom]:
    """Text that has to stay on one line."""
    return escaped(" ".join(clean(text[: most * 2]).split()), most=most)


def _footer(spans: Spans) -> str:
    """Small print without markup: Discord shows a footer as it is."""
    text = clean(plain_spans(spans)).strip()
    # Code atoms leave everything as it is, but for one mark that means nothing here.
    return fit([Atom(atom.raw) for atom in escaped(text, CODE, most=FOOTER)], FOOTER)


def _all_text(spans: Spans) -> bool:
    return all(isinstance(span, Text) for span in spans)


def _first(rows: Iterable[Iterator[Atom]]) -> Iterator[tuple[bool, Iterator[Atom]]]:
    return ((index == 0, row) for index, row in enumerate(rows))
