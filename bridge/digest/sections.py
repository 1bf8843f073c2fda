"""The sections of a digest, one function each: what a window holds becomes rows of spans. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from bridge.digest.contents import Contents, Said, Thread, counts_of, threads_of
from bridge.digest.links import Shared, canonical, shared_links, words_of
from bridge.render import excerpt, is_web, moment, name_of, one_run
from bridge.richtext import Link, Span, Spans, Text
from bridge.rules import is_question

T = TypeVar("T")

MOST_ITEMS = 10
WORDS_GRAPHEMES = 100
LABEL_GRAPHEMES = 60
LONGEST_URL = 300
MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Section:
    """A title and its items, best first; `more` counts those that are left out."""

    title: str
    items: tuple[Spans, ...]
    more: int = 0


Maker: TypeAlias = Callable[[Contents], Section]


def numbers(contents: Contents) -> Section:
    """How much was said, and how that differs from the stretch before (where there was any)."""
    now, before = counts_of(contents.said, contents.roots), contents.before
    rows = (
        (now.messages, before.messages, "message", "messages"),
        (now.people, before.people, "person", "people"),
        (now.threads, before.threads, "thread", "threads"),
    )
    spans: list[Span] = []
    for count, earlier, one, many in rows:
        change = f" ({count - earlier:+d})" if before.messages and count != earlier else ""
        spans += [Text(", " if spans else ""), Text(str(count), bold=True)]
        spans.append(Text(f" {one if count == 1 else many}{change}"))
    late = sum(one.late for one in contents.said)
    spans.append(Text(f"; {late} of the messages came in late" if late else ""))
    return Section("", (tuple(span for span in spans if span != Text("")),))


def threads(contents: Contents) -> Section:
    """The conversations with most people, then most replies, then most reactions."""
    found = threads_of(contents.said, contents.roots)
    found.sort(key=lambda one: (-len(one.people), -len(one.replies), -one.reactions))
    return _section("Hot threads", found, lambda one: _thread(one, contents))


def unanswered(contents: Contents) -> Section:
    """Questions that nobody else has answered, oldest first."""
    found = [
        one
        for one in contents.said
        if one.parent is None and not one.answered and is_question(one.text)
    ]
    return _section("Unanswered questions", found, lambda one: _question(one, contents))


def links(contents: Contents) -> Section:
    """What was linked to, most often first; every address once."""
    found = shared_links(contents.said)
    found.sort(key=lambda one: (-len(one.said), -len({who.person for who in one.said})))
    return _section("Links", found, lambda one: _link(one, contents))


def files(contents: Contents) -> Section:
    """The files that were put up, newest first."""
    found = [(name, one) for one in reversed(contents.said) for name in one.files]
    return _section("Files", found, lambda one: _file(*one, contents))


def top(contents: Contents) -> Section:
    """The messages with most reactions."""
    found = sorted((one for one in contents.said if one.reactions), key=lambda one: -one.reactions)
    return _section("Most reactions", found, lambda one: _reacted(one, contents))


SECTIONS: Mapping[str, Maker] = {
    "numbers": numbers,
    "threads": threads,
    "unanswered": unanswered,
    "links": links,
    "files": files,
    "top": top,
}
"""Every section there is, by the name it has in the config."""


def _section(title: str, found: Sequence[T], item: Callable[[T], Spans]) -> Section:
    """The first of what was found; only those are rendered."""
    items = tuple(item(one) for one in found[:MOST_ITEMS])
    return Section(title, items, len(found) - len(items))


def _thread(thread: Thread, contents: Contents) -> Spans:
    people = thread.people
    size = [
        f"{_count(len(people), 'person', 'people')} ({_names([one.name for one in people])})",
        _count(len(thread.replies), "reply", "replies"),
    ]
    if thread.reactions:
        size.append(_count(thread.reactions, "reaction", "reactions"))
    return _quoted(thread.first, contents, Text(", ".join(size)))


def _question(said: Said, contents: Contents) -> Spans:
    return _quoted(said, contents, moment(said.sent_at, contents.zone))


def _reacted(said: Said, contents: Contents) -> Spans:
    return _quoted(said, contents, Text(_count(said.reactions, "reaction", "reactions")))


def _file(name: str, said: Said, contents: Contents) -> Spans:
    shown = Text(excerpt(name, graphemes=LABEL_GRAPHEMES), bold=True)
    by = Text(f" by {name_of(said.name)}{_where([said], contents)}")
    return (shown, by, *_opening(said))


def _link(shared: Shared, contents: Contents) -> Spans:
    label = excerpt(words_of(canonical(shared.url)), graphemes=LABEL_GRAPHEMES)
    names = list(dict.fromkeys(one.name for one in shared.said))
    often = f", {len(shared.said)} times" if len(shared.said) > 1 else ""
    by = Text(f" by {_names(names)}{often}{_where(shared.said, contents)}")
    if len(shared.url) > LONGEST_URL:
        return (Text(label), by, *_opening(shared.said[0]))
    return (Link(shared.url, label), by)


def _quoted(said: Said, contents: Contents, fact: Span) -> Spans:
    """Who said what and where, a fact about it, and the way there."""
    words = excerpt(said.text, said.files, WORDS_GRAPHEMES)
    quote = Text(f"{_where([said], contents)}: {words} · ")
    return (Text(name_of(said.name), bold=True), quote, fact, *_opening(said))


def _opening(said: Said) -> Spans:
    shown = is_web(said.link) and len(said.link) <= LONGEST_URL
    return (Text(" · "), Link(said.link, "open")) if shown else ()


def _where(said: Iterable[Said], contents: Contents) -> str:
    """The channels, where there are several to tell apart, and whether this is old news."""
    messages = list(said)
    labels = dict.fromkeys(contents.labels.get(one.channel, "") for one in messages)
    named = ", ".join(one_run(label) for label in labels if label)
    late = " (late)" if all(one.late for one in messages) else ""
    return (f" in {named}" if named else "") + late


def _names(names: Sequence[str]) -> str:
    named = ", ".join(name_of(one) for one in names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{named} +{more} more" if more > 0 else named


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
