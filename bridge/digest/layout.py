"""A window's contents become a document that fits into one message anywhere. Pure."""

from collections.abc import Sequence
from string import punctuation

from bridge.digest.contents import Contents
from bridge.digest.rule import DigestRule
from bridge.digest.sections import SECTIONS, Section
from bridge.render import cut, moment, one_run
from bridge.richtext import (
    Block,
    Bullets,
    Document,
    Heading,
    Link,
    Moment,
    Note,
    Paragraph,
    Span,
    Spans,
    Text,
)

BUDGET = 4_500
"""What `cost` may come to: 6,000 characters are the limit, markup and footers take the rest."""

MOST_BLOCKS = 40
"""Every title, item and paragraph counts: an adapter may need a block of its own for each."""

TITLE_GRAPHEMES = 100

_MOMENT_MARKUP = 40
_LINK_MARKUP = 4
_ITEM_MARKUP = 4
_MORE = len("+1000000 more") + _ITEM_MARKUP


def document(rule: DigestRule, contents: Contents) -> Document | None:
    """What a digest says; None where it has nothing to say and is not asked to say so."""
    name = cut(one_run(rule.name), TITLE_GRAPHEMES)
    stretch = _stretch(contents)
    made = [SECTIONS[section](contents) for section in dict.fromkeys(rule.sections)]
    sections = [one for one in made if one.items] if contents.said else []
    if sections:
        budget = BUDGET - cost((Text(name), *stretch)) - 2 * _ITEM_MARKUP
        fitting = fit(sections, budget, MOST_BLOCKS - 2)
        return (
            Heading(name),
            Note(stretch),
            *(block for section in fitting for block in _blocks(section)),
        )
    if rule.say_empty:
        return (Paragraph((Text(name, bold=True), Text(": nothing new, "), *stretch)),)
    return None


def fit(sections: Sequence[Section], budget: int, blocks: int) -> list[Section]:
    """The sections with as many whole items as cost no more than the budget.

    They take turns, so that a long one does not crowd out those behind it.
    """
    left = budget - sum(_cost_of(one.title) + _MORE for one in sections)
    items_left = blocks - 2 * len(sections)  # a title and the line that counts the rest
    taken = [0] * len(sections)
    hungry = list(range(len(sections)))
    while hungry and items_left > 0:
        index = hungry.pop(0)
        items = sections[index].items
        if taken[index] == len(items):
            continue
        price = cost(items[taken[index]]) + _ITEM_MARKUP
        if price <= left:
            taken[index] += 1
            left -= price
            items_left -= 1
            hungry.append(index)
    return [
        Section(one.title, one.items[:count], one.more + len(one.items) - count)
        for one, count in zip(sections, taken, strict=True)
    ]


def cost(spans: Spans) -> int:
    """How many characters a row of spans may come to on the wire, once it is marked up."""
    return sum(_span_cost(span) for span in spans)


def _stretch(contents: Contents) -> Spans:
    start, end = contents.window.start, contents.window.end
    return moment(start, contents.zone), Text(" to "), moment(end, contents.zone)


def _blocks(section: Section) -> list[Block]:
    items = section.items
    if section.more:
        items = (*items, (Text(f"+{section.more} more", italic=True),))
    if not section.title:
        return [Paragraph(item) for item in items]
    return [Paragraph((Text(section.title, bold=True),)), Bullets(items)]


def _span_cost(span: Span) -> int:
    match span:
        case Text(text=text):
            return _cost_of(text)
        case Link(url=url, label=label):
            return len(url) + _cost_of(label) + _LINK_MARKUP
        case Moment(fallback=fallback):
            return len(fallback) + _MOMENT_MARKUP


def _cost_of(text: str) -> int:
    """The characters of a text, twice where one may be escaped or is two units to a client."""
    return sum(2 if one in punctuation or one > "\uffff" else 1 for one in text)
