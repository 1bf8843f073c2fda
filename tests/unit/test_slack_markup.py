"""The neutral tree as Block Kit: exact, inert, and within every limit."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.slack.convert import Context, posted
from adapters.slack.markup import MOST_CHARACTERS, MOST_FALLBACK, Rendered, render
from adapters.slack.mrkdwn import escape
from adapters.slack.names import Names
from adapters.slack.room import Room, beginning, clean, cut, pieces, units
from adapters.slack.standin.blocks import accept
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
    Text,
    plain,
)

AT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FAMILY = "👩‍👩‍👧‍👦"


def section(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def text(words: str, **style: bool) -> dict[str, Any]:
    return {"type": "text", "text": words, **({"style": style} if style else {})}


def test_every_kind_of_block_has_its_counterpart() -> None:
    document = (
        Heading("Daily digest"),
        Paragraph((Text("bold", bold=True), Text(" and "), Link("https://example.com/a", "a"))),
        Bullets(((Text("one"),), (Text("two", code=True, italic=True),))),
        Quote((Text("said"),)),
        Note((Text("until "), Moment(AT, "09:00"))),
    )
    rendered = render(document)
    assert rendered.blocks == [
        {"type": "header", "text": {"type": "plain_text", "text": "Daily digest"}},
        {
            "type": "rich_text",
            "elements": [
                section(
                    text("bold", bold=True),
                    text(" and "),
                    {"type": "link", "url": "https://example.com/a", "text": "a"},
                ),
                {
                    "type": "rich_text_list",
                    "style": "bullet",
                    "elements": [
                        section(text("one")),
                        section(text("two", italic=True, code=True)),
                    ],
                },
                {"type": "rich_text_quote", "elements": [text("said")]},
            ],
        },
        {
            "type": "context",
            "elements": [
                {
                    "type": "mrkdwn",
                    "text": "until <!date^1772355600^{date_short_pretty} at {time}|09:00>",
                    "verbatim": True,
                }
            ],
        },
    ]
    assert rendered.text == (
        "Daily digest\nbold and <https://example.com/a|a>\n• one\n• two\n&gt; said\n"
        "until <!date^1772355600^{date_short_pretty} at {time}|09:00>"
    )


def test_a_moment_in_running_text_is_a_date_of_its_own() -> None:
    (block,) = render((Paragraph((Moment(AT, "09:00"),)),)).blocks
    assert block["elements"][0]["elements"] == [
        {
            "type": "date",
            "timestamp": 1772355600,
            "format": "{date_short_pretty} at {time}",
            "fallback": "09:00",
        }
    ]


def test_nothing_quoted_pings_or_breaks_out() -> None:
    evil = "<!channel> @here <@U123> <https://evil.example|https://bank.example> &amp;"
    rendered = render((Paragraph((Text(evil),)), Note((Text(evil), Link("https://a.example", "")))))
    assert "<!" not in rendered.text
    assert "<@" not in rendered.text
    assert escape(evil) in rendered.text
    rich, context = rendered.blocks
    assert rich["elements"] == [section(text(evil))]
    words = context["elements"][0]["text"]
    assert words == escape(evil) + "<https://a.example>"
    assert context["elements"][0]["verbatim"] is True


@pytest.mark.parametrize(
    ("url", "label", "written"),
    [
        ("https://a.example/?x=1&y=2", "a|b>c", "<https://a.example/?x=1&amp;y=2|a|b&gt;c>"),
        ("https://a.example/a|b>c d", "x", "<https://a.example/a%7Cb%3Ec%20d|x>"),
        ("https://a.example", "https://a.example", "<https://a.example>"),
        ("https://a.example", "two\nlines", "<https://a.example|two lines>"),
        ("javascript:alert(1)", "click", "click"),
        ("!channel", "", "!channel"),
        ("https://a.example/" + "x" * 3000, "long", "long"),
    ],
)
def test_a_link_leads_only_to_the_web(url: str, label: str, written: str) -> None:
    rendered = render((Paragraph((Link(url, label),)),))
    assert rendered.text == written
    kind = rendered.blocks[0]["elements"][0]["elements"][0]["type"]
    assert kind == ("link" if written.startswith("<") else "text")


def test_marks_of_markup_stay_characters_where_they_would_be_read() -> None:
    rendered = render((Note((Text("*not bold* snake_case_name\n> no quote"),)),))
    assert rendered.text == "*\u200bnot bold* snake_case_name\n\u200b&gt; no quote"


def test_styles_in_small_print_are_kept_where_slack_can_show_them() -> None:
    spans = (Text("3", bold=True), Text(" of "), Text(" 4*", bold=True))
    (block,) = render((Note(spans),)).blocks
    assert block["elements"][0]["text"] == "\u200b*3*\u200b of  4*"


def test_characters_that_no_store_holds_are_replaced() -> None:
    rendered = render((Paragraph((Text("a\x00b\ud800c\r\nd"),)),))
    assert rendered.text == "a\ufffdb\ufffdc\nd"
    assert rendered.blocks[0]["elements"] == [section(text("a\ufffdb\ufffdc\nd"))]


@pytest.mark.parametrize(
    "document",
    [(), (Paragraph(()),), (Heading("  "), Bullets(()), Quote((Text(""),)), Note((Text(" "),)))],
)
def test_a_document_that_says_nothing_still_can_be_sent(document: Document) -> None:
    assert render(document) == Rendered("…", [])


def test_a_long_heading_ends_in_an_ellipsis() -> None:
    (block,) = render((Heading("x" * 151),)).blocks
    assert block["text"]["text"] == "x" * 149 + "…"


def test_what_is_too_long_is_cut_between_characters() -> None:
    assert cut(FAMILY * 3, units(FAMILY) * 2) == FAMILY + "…"
    assert cut("abc", 3) == "abc"
    assert cut("e\u0301e\u0301", 3) == "e\u0301…"
    assert beginning("&&", 7, lambda one: units(escape(one))) == "&"


def test_a_letter_longer_than_a_part_is_divided() -> None:
    zalgo = "e" + "\u0301" * 50
    parts = list(pieces(f"ab{zalgo}c", 20))
    assert "".join(parts) == f"ab{zalgo}c"
    assert max(map(units, parts)) <= 20


def test_a_full_room_takes_no_more() -> None:
    room = Room(6)
    assert [room.take("abc"), room.take("def"), room.take("ghi")] == ["abc", "de…", ""]
    assert not room.fits(0)


def test_more_than_fifty_blocks_become_fifty() -> None:
    rendered = render(tuple(Heading(str(number)) for number in range(60)))
    assert len(rendered.blocks) == 50
    assert rendered.blocks[-1]["elements"] == [section(text("…"))]


def test_a_very_long_message_keeps_its_beginning() -> None:
    rendered = render((Paragraph((Text("ab " * 20_000),)), Heading("never")))
    (block,) = rendered.blocks
    parts = [one["text"] for one in block["elements"][0]["elements"]]
    assert max(map(len, parts)) == 3000
    words = "".join(parts)
    assert len(words) == MOST_CHARACTERS
    assert words.endswith("…")
    assert len(rendered.text) == MOST_FALLBACK
    assert rendered.text.endswith("…")


def test_our_own_words_are_read_back_as_they_were_written() -> None:
    document = (
        Heading("R&D <b>"),
        Paragraph((Text("*stars* & <tags>\nnext line"),)),
        Bullets(((Text("one"),), (Text("two"),))),
        Quote((Text("said\ntwice"),)),
    )
    rendered = render(document)
    message = {"ts": "1.000001", "user": "U1", "text": rendered.text, "blocks": rendered.blocks}
    read = posted(message, Context("acme", Names()), channel="C1")
    assert read.text == plain(document)


WORDS = st.text(max_size=40) | st.text("<>&*_~`@!#|^\n\x00\ud800👩‍é ", max_size=40)
LONG = st.builds(lambda words, times: words * times, WORDS, st.sampled_from([1, 1, 1, 50, 2000]))
MOMENTS = st.datetimes(timezones=st.just(UTC))
SPANS = st.lists(
    st.builds(Text, LONG, bold=st.booleans(), italic=st.booleans(), code=st.booleans())
    | st.builds(Link, st.just("https://example.com/") | LONG, LONG)
    | st.builds(lambda tail, label: Link(f"https://e.example/{tail}", label), LONG, WORDS)
    | st.builds(Moment, MOMENTS, LONG),
    max_size=4,
).map(tuple)
BLOCKS: st.SearchStrategy[Block] = (
    st.builds(Heading, LONG)
    | st.builds(Paragraph, SPANS)
    | st.builds(Quote, SPANS)
    | st.builds(Note, SPANS)
    | st.builds(Bullets, st.lists(SPANS, max_size=4).map(tuple))
)
DOCUMENTS = st.lists(BLOCKS, max_size=6) | st.lists(st.builds(Heading, WORDS), max_size=60)
OUR_TOKENS = re.compile(
    r"<https?://[^<>|]+(\|[^<>]*)?>|<!date\^\d+\^\{date_short_pretty\} at \{time\}\|[^<>]*>",
    re.IGNORECASE,
)


def mrkdwn_of(rendered: Rendered) -> list[str]:
    contexts = [one for one in rendered.blocks if one["type"] == "context"]
    return [rendered.text, *(one["elements"][0]["text"] for one in contexts)]


@given(DOCUMENTS)
@settings(max_examples=150, deadline=None)
def test_no_document_breaks_a_limit(document: list[Block]) -> None:
    rendered = render(tuple(document))
    assert 1 <= units(rendered.text) <= MOST_FALLBACK
    assert not rendered.blocks or accept(rendered.blocks)
    assert sum(units(words) for words in every_text(rendered.blocks)) <= MOST_CHARACTERS + 1


@given(DOCUMENTS)
@settings(max_examples=150, deadline=None)
def test_no_document_puts_its_own_control_sequence_into_markup(document: list[Block]) -> None:
    for words in mrkdwn_of(render(tuple(document))):
        bare = OUR_TOKENS.sub("", words)
        assert not set("<>") & set(bare)
        assert not re.search(r"&(?!(?:amp|lt|gt);)", bare)


@given(DOCUMENTS)
@settings(max_examples=100, deadline=None)
def test_every_text_element_says_something(document: list[Block]) -> None:
    assert all(every_text(render(tuple(document)).blocks))


@given(st.text(max_size=200), st.integers(1, 60))
def test_a_cut_never_splits_a_character(words: str, most: int) -> None:
    words = clean(words)
    short = cut(words, most)
    assert units(short) <= most
    if short != words:
        graphemes = regex.findall(r"\X", words)
        starts = {"".join(graphemes[:count]) for count in range(len(graphemes))}
        assert short.removesuffix("…") in starts


def every_text(value: Any) -> list[str]:
    if isinstance(value, dict):
        texts = [one for key, one in value.items() if key in {"text", "url", "fallback"}]
        here = [one for one in texts if isinstance(one, str)]
        return here + [words for one in value.values() for words in every_text(one)]
    return [words for one in value for words in every_text(one)] if isinstance(value, list) else []
