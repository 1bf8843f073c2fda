"""Owed notifications as documents, and documents as JSON."""

import time
from datetime import UTC, datetime

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import richtext
from bridge.messages import ChannelRef
from bridge.pending import Pending
from bridge.render import cut, excerpt, is_web, name_of, notification, one_run
from bridge.richtext import (
    Bullets,
    Heading,
    Link,
    Moment,
    Note,
    Paragraph,
    Quote,
    Text,
    dump,
    load,
    plain,
)
from bridge.rules import Facts, Snapshot, When

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
LINK = "https://acme.example/archives/C1/p1"


def pending(
    template: str,
    *,
    text: str = "who has the key?",
    author: str = "Ada",
    link: str = LINK,
    files: tuple[str, ...] = (),
    channel_name: str = "help",
) -> Pending:
    return Pending(
        id=1,
        lane=1,
        epoch=1,
        paused_until=None,
        target=ChannelRef("acme", "C2"),
        key="k",
        due_at=NOON,
        attempts=0,
        trying=0,
        cancel_wanted=False,
        rule=Snapshot("question", When(), (), template),
        body="",
        facts=Facts(text=text),
        author=author,
        channel_name=channel_name,
        files=files,
        link=link,
    )


def test_a_notification_fills_the_places_of_its_rules_text() -> None:
    document = notification(pending("{author} in {channel} still waits: {excerpt} {link}"))
    assert document == (
        Paragraph(
            (
                Text("Ada", bold=True),
                Text(" in "),
                Text("#help"),
                Text(" still waits: "),
                Text("who has the key?"),
                Text(" "),
                Link(LINK, "open"),
            )
        ),
    )


def test_what_people_wrote_is_not_looked_at_for_places() -> None:
    document = notification(
        pending("{author}: {excerpt}", text="{link} {author} {0}", author="{excerpt}")
    )
    assert plain(document) == "{excerpt}: {link} {author} {0}"


def test_other_braces_of_a_text_are_shown_as_they_stand() -> None:
    shown = plain(notification(pending("{who} {} { {author} } {author.name}", author="Ada")))
    assert shown == "{who} {} { Ada } {author.name}"


@pytest.mark.parametrize("link", ["", "javascript:alert(1)", "https://a b", "slack://x", "http"])
def test_without_a_link_to_the_web_its_place_leaves_nothing(link: str) -> None:
    assert plain(notification(pending("{author} {link}", link=link))) == "Ada"
    assert plain(notification(pending("{author} {link} now", link=link))) == "Ada now"
    assert plain(notification(pending("{link} {author}", link=link))) == "Ada"


@pytest.mark.parametrize("template", ["", " ", "{link}", "\u200b {link}\n"])
def test_a_notification_is_never_empty(template: str) -> None:
    shown = plain(notification(pending(template, link="")))
    assert shown == "Ada in #help: who has the key?"


def test_line_breaks_of_the_admins_text_stay() -> None:
    assert plain(notification(pending("Hello\n{author}"))) == "Hello\nAda"


@pytest.mark.parametrize(
    ("text", "files", "expected"),
    [
        ("", (), "(no text)"),
        (" \n\u200b\u2060\u3164", (), "(no text)"),
        ("", ("plan.pdf", "a.png"), "plan.pdf, a.png"),
        ("  two\n\n  lines\t", ("plan.pdf",), "two lines"),
        ("\U0001f44d", (), "\U0001f44d"),
        ("a\u202eb\x1b[31mc\x00", (), "a b [31mc"),
    ],
)
def test_an_excerpt_is_one_run_and_never_empty(
    text: str, files: tuple[str, ...], expected: str
) -> None:
    assert excerpt(text, files) == expected


def test_an_excerpt_has_280_graphemes_at_the_most() -> None:
    assert excerpt("x" * 280) == "x" * 280
    assert excerpt("x" * 281) == "x" * 279 + "…"
    assert excerpt(FAMILY * 280) == FAMILY * 280
    assert excerpt(FAMILY * 281) == FAMILY * 279 + "…"


def test_a_name_that_nobody_can_see_becomes_somebody() -> None:
    assert name_of("\u200b") == "somebody"
    assert name_of("  Ada\nLovelace ") == "Ada Lovelace"
    assert len(name_of("x" * 500)) == 60


@given(st.text(max_size=60), st.integers(1, 20))
def test_a_cut_text_keeps_whole_graphemes(text: str, most: int) -> None:
    result = cut(text, most)
    graphemes = regex.findall(r"\X", text)
    if len(graphemes) <= most and all(len(one) <= 16 for one in graphemes):
        assert result == text
    else:
        assert len(regex.findall(r"\X", result)) <= most
        assert all(len(one) <= 16 for one in regex.findall(r"\X", result))


@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0301" * 40_000,
        "\u0301" * 40_000,
        FAMILY * 6_000,
        "\U0001f468\u200d" * 20_000,
        "\U0001f1e9" * 40_000,
        " " * 40_000 + "a",
    ],
)
def test_cutting_is_fast_whatever_the_text(text: str) -> None:
    start = time.process_time()
    shown = excerpt(text)
    assert time.process_time() - start < 0.2
    assert len(shown) <= 280 * 16


@given(st.text())
def test_a_run_is_one_line(text: str) -> None:
    assert len(one_run(text).splitlines()) <= 1


def test_only_http_addresses_become_links() -> None:
    assert is_web("https://a.example/x?y#z")
    assert is_web("HTTP://a.example")
    assert not is_web("ftp://a.example")
    assert not is_web("https://a.example/\n<!channel>")


texts = st.text()
spans = st.lists(
    st.one_of(
        st.builds(Text, texts, st.booleans(), st.booleans(), st.booleans()),
        st.builds(Link, texts, texts),
        st.builds(Moment, st.datetimes(timezones=st.just(UTC)), texts),
    )
).map(tuple)
documents = st.lists(
    st.one_of(
        st.builds(Heading, texts),
        st.builds(Paragraph, spans),
        st.builds(Bullets, st.lists(spans).map(tuple)),
        st.builds(Quote, spans),
        st.builds(Note, spans),
    )
).map(tuple)


@settings(max_examples=50, deadline=None)
@given(documents)
def test_a_document_comes_back_from_json_as_it_was(document: richtext.Document) -> None:
    dumped = dump(document)
    assert load(dumped) == document
    assert dumped.isascii()


@pytest.mark.parametrize("text", ["", "{}", "null", '"x"', '[{"is":"Table"}]', '[{"text":"x"}]'])
def test_anything_else_is_no_document(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - from json as well
        load(text)
