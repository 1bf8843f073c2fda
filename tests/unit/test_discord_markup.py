"""Documents as Discord shows them: nothing breaks out, no limit is broken, nothing raises."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.escape import CODE, Atom, assemble, clean, escaped, fit, units
from adapters.discord.markup import content, embeds, safe_url
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
    Text,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def say(*spans: Span) -> Document:
    return (Paragraph(spans),)


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("hello world", "hello world"),
        ("2*3*4 = 24", r"2\*3\*4 = 24"),
        ("snake_case __init__", r"snake\_case \_\_init\_\_"),
        ("~~gone~~ ||hush||", r"\~\~gone\~\~ \|\|hush\|\|"),
        ("a`b", r"a\`b"),
        ("-# fine print", r"\-# fine print"),
        ("issue #42 and C# code", "issue #42 and C# code"),
        ("# title", r"\# title"),
        ("a\n## b", "a\n\\## b"),
        ("> quoted", r"\> quoted"),
        (">>> all", r"\>>> all"),
        ("1 > 0", "1 > 0"),
        ("- item\n+ item\n-5 degrees", "\\- item\n\\+ item\n-5 degrees"),
        ("1. first", r"1\. first"),
        ("  3) third", r"  3\) third"),
        ("version 1.2", "version 1.2"),
        ("[a](https://b.c)", r"\[a\](https\://b.c)"),
        ("<@123> <#5> <t:1:R>", r"\<\@123> \<#5> \<t:1:R>"),
        ("@everyone @Here", "\\@\u200beveryone \\@\u200bHere"),
        ("back\\slash", r"back\\slash"),
        ("12:30", "12:30"),
        ("\x00\ud800", "\ufffd\ufffd"),
    ],
)
def test_text_stays_what_it_is(text: str, markup: str) -> None:
    assert content(say(Text(text))) == markup


@pytest.mark.parametrize(
    ("spans", "markup"),
    [
        ((Text("a", bold=True),), "**a**"),
        ((Text("a", bold=True, italic=True),), "***a***"),
        ((Text(" a ", italic=True), Text("b")), " *a* b"),
        ((Text("a*b", bold=True),), r"**a\*b**"),
        ((Text("a\nb", bold=True),), "**a**\n**b**"),
        ((Text("a", bold=True), Text("b", italic=True)), "**a**\u200b*b*"),
        ((Text("a", bold=True), Text("b", bold=True)), "**ab**"),
        ((Text("x*_y", code=True),), "`x*_y`"),
        ((Text("a`b", code=True, bold=True),), "`a\u02cbb`"),
        ((Text("  ", bold=True),), "  "),
        ((Link("https://a.org", "here"),), "[here](<https://a.org>)"),
        ((Link("https://a.org", "https://a.org"),), "<https://a.org>"),
        ((Link("https://a.org", ""),), "<https://a.org>"),
        ((Link("https://a.org", "https://b.org"),), r"https\://b.org (<https://a.org>)"),
        ((Link("https://a.org", "[x]*\ny"),), r"[(x)\* y](<https://a.org>)"),
        ((Link("https://a.org/x)>y z", "l"),), "[l](<https://a.org/x%29%3Ey%20z>)"),
        ((Link("javascript:alert(1)", "l"),), "l"),
        ((Moment(NOON, "noon"),), "<t:1767268800:F>"),
    ],
)
def test_spans_become_discords_marks(spans: tuple[Span, ...], markup: str) -> None:
    assert content(say(*spans)) == markup


def test_blocks_become_lines() -> None:
    document: Document = (
        Heading("Due\nsoon"),
        Paragraph((Text("two"),)),
        Bullets(((Text("one"),), (Text("a\nb"),))),
        Quote((Text("said\n# loud"),)),
        Note((Text("small"),)),
    )
    assert content(document).split("\n") == [
        "### Due soon",
        "two",
        "- one",
        "- a",
        "  b",
        "> said",
        "> \\# loud",
        "-# small",
    ]


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://a.org/ü?q=[1]#f", "https://a.org/%C3%BC?q=[1]#f"),
        ("https://ünï.org:8080/", "https://xn--n-nga1b.org:8080/"),
        ("HTTPS://A.org/%20", "https://a.org/%20"),
        ("http://user:pw@a.org/", "http://a.org/"),
        ("http://[::1]/", "http://[::1]/"),
        ("http://[bad", ""),
        ("http://a.org:99999/", ""),
        ("http://", ""),
        ("ftp://a.org", ""),
        ("//a.org", ""),
        ("", ""),
    ],
)
def test_only_web_addresses_are_links(url: str, safe: str) -> None:
    assert safe_url(url) == safe


def test_a_card_has_a_title_a_description_and_a_footer() -> None:
    document: Document = (
        Heading("Digest *today*"),
        Paragraph((Text("3 messages"),)),
        Heading("Threads"),
        Note((Text("of #general * quiet"),)),
    )
    assert embeds(document) == [
        {
            "title": r"Digest \*today\*",
            "description": "3 messages\n### Threads",
            "footer": {"text": "of #general * quiet"},
        }
    ]


def test_small_print_with_a_moment_stays_where_moments_work() -> None:
    [card] = embeds((Paragraph((Text("a"),)), Note((Moment(NOON, "noon"),))))
    assert card == {"description": "a\n-# <t:1767268800:F>"}


def test_a_long_list_goes_on_in_the_next_embed_and_ends_with_a_mark() -> None:
    document: Document = (Bullets(tuple((Text(f"{n} " + "x" * 90),) for n in range(100))),)
    cards = embeds(document)
    assert len(cards) == 2
    assert all(line.endswith("x") for line in cards[0]["description"].split("\n"))
    assert cards[1]["description"].endswith("…")


def test_a_long_text_is_cut_between_characters_with_its_marks_closed() -> None:
    whole = content(say(Text("👩‍👩‍👧*" * 500, bold=True)))
    assert units(whole) <= 2000
    assert re.fullmatch(r"\*\*(👩‍👩‍👧\\\*)+(👩‍👩‍👧)?\*\*…", whole)


def test_a_link_is_cut_off_whole() -> None:
    whole = content(say(Text("x" * 1990), Link("https://a.org/abc", "label")))
    assert whole == "x" * 1990 + "…"


def test_nothing_is_cut_that_fits_exactly() -> None:
    assert content(say(Text("x" * 2000))) == "x" * 2000
    assert content(say(Text("x" * 2001))) == "x" * 1999 + "…"


def test_an_empty_document_is_empty() -> None:
    assert content(()) == ""
    assert embeds(()) == []


_hostile = st.text(
    alphabet=st.sampled_from("\\*_~|`>#-+[]()<@:!/.1 \n\r\t\x00aE\u200d\ud800\u0301👍🏽\u2028")
    | st.characters(exclude_categories=()),
    max_size=60,
) | st.sampled_from(["@everyone", "<@1>", "https://x.y", "# a", "```\na", "discord.gg/x"])
_texts = st.builds(Text, _hostile, bold=st.booleans(), italic=st.booleans(), code=st.booleans())
_zones = st.sampled_from([UTC, timezone(timedelta(hours=14))])
_spans = st.lists(
    _texts
    | st.builds(Link, _hostile | st.builds("https://a.org/{}".format, _hostile), _hostile)
    | st.builds(Moment, st.datetimes(timezones=_zones), _hostile),
    max_size=5,
).map(tuple)
_blocks: st.SearchStrategy[Block] = st.one_of(
    st.builds(Heading, _hostile),
    st.builds(Paragraph, _spans),
    st.builds(Bullets, st.lists(_spans, max_size=4).map(tuple)),
    st.builds(Quote, _spans),
    st.builds(Note, _spans),
)
_documents = st.lists(_blocks, max_size=6).map(tuple)


@settings(deadline=None)  # the long ones take their time on a busy machine
@given(document=_documents, times=st.sampled_from([1, 1, 30, 400]))
def test_every_limit_holds_for_any_document(document: Document, times: int) -> None:
    long = document * times
    assert units(content(long)) <= 2000
    cards = embeds(long)
    assert len(cards) <= 10
    parts = [
        (card.get("title", ""), card.get("description", ""), card.get("footer", {}).get("text", ""))
        for card in cards
    ]
    for title, description, footer in parts:
        assert units(title) <= 256
        assert units(description) <= 4096
        assert units(footer) <= 2048
    assert sum(units(text) for three in parts for text in three) <= 6000
    (content(long) + str(cards)).encode("utf-8")


@given(text=_hostile)
def test_plain_text_reads_as_it_was_once_discord_took_the_backslashes(text: str) -> None:
    whole = content(say(Text(text)))
    assert re.sub(r"\\([^0-9A-Za-z\s])", r"\1", whole).replace("@\u200b", "@") == clean(text)


@given(texts=st.lists(_hostile, max_size=5))
def test_nothing_in_plain_text_stays_alive(texts: list[str]) -> None:
    whole = content(say(*map(Text, texts)))
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "", whole)
    assert not re.search(r"[\\*_~|`\[\]<@]|://", bare)
    rows = re.sub(r"\\[^0-9A-Za-z\s]", "\ue000", whole)
    assert not re.search(r"(?m)^[^\S\n]*(>|#{1,3}\s|[-+]\s|-#|\d+[.)]\s)", rows)
    assert not re.search(r"@(everyone|here)", whole, re.IGNORECASE)


@given(text=_hostile)
def test_code_ends_only_where_it_should(text: str) -> None:
    whole = assemble(escaped(text, CODE, most=2000))
    for line in whole.split("\n"):
        assert line.count("`") in {0, 2}


@given(
    atoms=st.lists(st.builds(Atom, st.text(min_size=1, max_size=5), st.integers(0, 3))),
    limit=st.integers(0, 40),
)
def test_a_cut_keeps_atoms_whole_and_the_limit(atoms: list[Atom], limit: int) -> None:
    assert units(fit(atoms, limit)) <= limit
