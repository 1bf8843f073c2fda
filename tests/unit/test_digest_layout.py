"""What a digest says of a window, and that it always fits."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.digest import SECTIONS, DigestRule
from bridge.digest.contents import Contents, Counts, Said
from bridge.digest.layout import BUDGET, MOST_BLOCKS, document
from bridge.messages import ChannelRef
from bridge.richtext import Bullets, Document, Heading, Link, Moment, Note, Paragraph, Text, plain
from bridge.times import Window, every

HELP = ChannelRef("acme", "C1")
SUPPORT = ChannelRef("community", "77")
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(days=1))
LABELS = {HELP: "#help", SUPPORT: "#support"}


def rule(*sections: str, say_empty: bool = False) -> DigestRule:
    return DigestRule(
        name="daily",
        channels=(HELP,),
        to=(HELP,),
        schedule=every("1d"),
        zone=BERLIN,
        sections=sections,
        say_empty=say_empty,
    )


def said(
    number: int,
    text: str = "hello",
    author: str = "Ada",
    *,
    channel: ChannelRef = HELP,
    thread: str = "",
    links: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    reactions: int = 0,
    answered: bool = False,
    late: bool = False,
    link: str | None = None,
) -> Said:
    return Said(
        channel=channel,
        native_id=str(number),
        author=author,
        name=author,
        text=text,
        sent_at=NOON + timedelta(minutes=number),
        thread=thread,
        link=f"https://acme.example/p{number}" if link is None else link,
        links=links,
        files=files,
        reactions=reactions,
        answered=answered,
        late=late,
    )


def contents(*messages: Said, several: bool = False, before: Counts | None = None) -> Contents:
    return Contents(
        window=WINDOW,
        zone=BERLIN,
        said=messages,
        labels=LABELS if several else {},
        before=before or Counts(),
    )


def shown(rule: DigestRule, contents: Contents) -> list[str]:
    """The lines behind the heading and the window."""
    made = document(rule, contents)
    assert made is not None
    return plain(made).split("\n")[2:]


def test_a_digest_opens_with_its_name_and_its_window() -> None:
    made = document(rule("numbers"), contents(said(1)))
    assert made is not None
    assert made[0] == Heading("daily")
    assert made[1] == Note(
        (
            Moment(WINDOW.start, "2026-06-10 14:00 CEST"),
            Text(" to "),
            Moment(WINDOW.end, "2026-06-11 14:00 CEST"),
        )
    )


def test_numbers_tell_how_much_was_said_and_the_change() -> None:
    messages = (said(1), said(2, author="Grace", thread="1"))
    assert shown(rule("numbers"), contents(*messages)) == ["2 messages, 2 people, 1 thread"]
    before = Counts(messages=5, people=1, threads=1)
    assert shown(rule("numbers"), contents(*messages, before=before)) == [
        "2 messages (-3), 2 people (+1), 1 thread"
    ]


def test_threads_with_more_people_come_first_then_replies_then_reactions() -> None:
    messages = (
        said(1, "two people"),
        said(2, author="Grace", thread="1"),
        said(3, author="Grace", thread="1"),
        said(4, "three people"),
        said(5, author="Grace", thread="4"),
        said(6, author="Linus", thread="4"),
        said(7, "liked", reactions=3),
        said(8, author="Grace", thread="7"),
        said(9, "not liked"),
        said(10, author="Grace", thread="9"),
    )
    assert shown(rule("threads"), contents(*messages)) == [
        "Hot threads",
        "• Ada: three people · 3 people (Ada, Grace, Linus), 2 replies · open (https://acme.example/p4)",
        "• Ada: two people · 2 people (Ada, Grace), 2 replies · open (https://acme.example/p1)",
        "• Ada: liked · 2 people (Ada, Grace), 1 reply, 3 reactions · open (https://acme.example/p7)",
        "• Ada: not liked · 2 people (Ada, Grace), 1 reply · open (https://acme.example/p9)",
    ]


def test_many_people_are_counted_instead_of_named() -> None:
    messages = [said(1, link="")] + [said(n, author=f"P{n}", thread="1") for n in range(2, 7)]
    assert shown(rule("threads"), contents(*messages))[1] == (
        "• Ada: hello · 6 people (Ada, P2, P3 +3 more), 5 replies"
    )


def test_unanswered_questions_come_oldest_first() -> None:
    messages = (
        said(1, "who has the key?"),
        said(2, "answered?", answered=True),
        said(3, "no question."),
        said(4, "inside a thread?", thread="1"),
        said(5, "where is it?", author="Grace", link=""),
    )
    assert shown(rule("unanswered"), contents(*messages)) == [
        "Unanswered questions",
        "• Ada: who has the key? · 2026-06-10 14:01 CEST · open (https://acme.example/p1)",
        "• Grace: where is it? · 2026-06-10 14:05 CEST",
    ]


def test_links_tell_who_posted_them_and_how_often() -> None:
    messages = (
        said(1, links=("https://once.example/",)),
        said(2, links=("https://www.docs.example/a?utm_source=x",)),
        said(3, author="Grace", links=("https://www.docs.example/a/",)),
    )
    assert shown(rule("links"), contents(*messages)) == [
        "Links",
        "• docs.example/a (https://www.docs.example/a?utm_source=x) by Ada, Grace, 2 times",
        "• once.example (https://once.example/) by Ada",
    ]


def test_a_monstrous_link_is_shown_by_its_start_and_leads_to_the_message() -> None:
    url = "https://long.example/" + "x" * 2_000
    (_, item) = shown(rule("links"), contents(said(1, links=(url,))))
    assert item.startswith("• long.example/xxx")
    assert item.endswith("… by Ada · open (https://acme.example/p1)")
    assert len(item) < 150


def test_files_come_newest_first() -> None:
    messages = (said(1, files=("plan.pdf",)), said(2, files=("a.png", "b.png"), link=""))
    assert shown(rule("files"), contents(*messages)) == [
        "Files",
        "• a.png by Ada",
        "• b.png by Ada",
        "• plan.pdf by Ada · open (https://acme.example/p1)",
    ]


def test_top_messages_are_those_with_most_reactions() -> None:
    messages = (said(1), said(2, "one", reactions=1), said(3, "", reactions=4, files=("a.png",)))
    assert shown(rule("top"), contents(*messages)) == [
        "Most reactions",
        "• Ada: a.png · 4 reactions · open (https://acme.example/p3)",
        "• Ada: one · 1 reaction · open (https://acme.example/p2)",
    ]


def test_over_several_channels_every_item_names_its_own() -> None:
    address = "https://a.example"
    messages = (
        said(1, "why?", links=(address,), files=("f",), reactions=1),
        said(2, "why not?", channel=SUPPORT, links=(address,), link=""),
        said(3, "because", channel=SUPPORT, author="Grace", thread="2", link=""),
    )
    lines = shown(
        rule("threads", "unanswered", "links", "files", "top"), contents(*messages, several=True)
    )
    assert lines[1] == "• Ada in #support: why not? · 2 people (Ada, Grace), 1 reply"
    assert lines[3].startswith("• Ada in #help: why? · 2026")
    assert lines[6] == "• a.example (https://a.example) by Ada, 2 times in #help, #support"
    assert lines[8].startswith("• f by Ada in #help")
    assert lines[10].startswith("• Ada in #help: why? · 1 reaction")


def test_what_came_in_late_says_so() -> None:
    lines = shown(rule("numbers", "top"), contents(said(1, reactions=1, late=True), said(2)))
    assert lines[0] == "2 messages, 1 person, 0 threads; 1 of the messages came in late"
    assert lines[2].startswith("• Ada (late): hello · 1 reaction")


def test_an_empty_window_says_nothing_unless_asked() -> None:
    assert document(rule("numbers", "threads"), contents()) is None
    assert document(rule("unanswered"), contents(said(1))) is None
    made = document(rule("numbers", say_empty=True), contents())
    assert made is not None
    (block,) = made
    assert isinstance(block, Paragraph)
    assert plain(made) == ("daily: nothing new, 2026-06-10 14:00 CEST to 2026-06-11 14:00 CEST")


def test_sections_keep_their_order_and_come_once() -> None:
    messages = contents(said(1, "why?", reactions=1))
    lines = shown(rule("top", "unanswered", "top"), messages)
    assert [line for line in lines if not line.startswith("•")] == [
        "Most reactions",
        "Unanswered questions",
    ]


def test_what_does_not_fit_is_counted_and_nothing_is_cut_inside() -> None:
    many = [said(n, f"question {n} " + "x" * 300 + "?", links=(url(n),)) for n in range(1, 200)]
    made = document(rule(*SECTIONS), contents(*many))
    assert made is not None
    bullets = [block for block in made if isinstance(block, Bullets)]
    assert len(bullets) == 2
    for block in bullets:
        *items, more = block.items
        assert more == (Text(f"+{199 - len(items)} more", italic=True),)
        assert len(items) >= 3
    assert all(isinstance(item[0], Link) for item in bullets[1].items[:-1])


def test_a_long_section_does_not_crowd_out_those_behind_it() -> None:
    many = [said(n, "w" * 90 + f" {n}?", links=(url(n),), reactions=1) for n in range(1, 99)]
    made = document(rule("unanswered", "top", "links"), contents(*many))
    assert made is not None
    sizes = [len(block.items) for block in made if isinstance(block, Bullets)]
    assert max(sizes) - min(sizes) <= 6
    assert min(sizes) >= 5


def url(number: int) -> str:
    return f"https://{number}.example/" + "p" * 250


nasty = st.text(st.sampled_from("a&<>*_~`|\\[]()#\u0301\U0001f600\u202e ?\n"), max_size=400)
messages = st.lists(
    st.builds(
        said,
        st.integers(1, 999),
        nasty.map(lambda text: text + "?"),
        nasty,
        channel=st.sampled_from([HELP, SUPPORT]),
        thread=st.sampled_from(["", "1", "2"]),
        links=st.lists(nasty.map("https://a.example/".__add__), max_size=3).map(tuple),
        files=st.lists(nasty, max_size=3).map(tuple),
        reactions=st.integers(0, 9),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(messages)
def test_whatever_people_write_a_digest_fits_into_one_message(drawn: Sequence[Said]) -> None:
    made = document(rule(*SECTIONS), contents(*drawn, several=True))
    assert made is not None
    assert len(plain(made)) <= BUDGET
    assert len(escaped(made)) <= 6_000
    assert blocks(made) <= MOST_BLOCKS


def escaped(made: Document) -> str:
    """The text with a mark before everything that a platform may have to escape."""
    return "".join("\\" + one if one in "&<>*_~`|\\[]()#" else one for one in plain(made))


def blocks(made: Document) -> int:
    return sum(len(block.items) if isinstance(block, Bullets) else 1 for block in made)


@pytest.mark.parametrize("name", list(SECTIONS))
def test_every_section_stands_an_empty_window(name: str) -> None:
    SECTIONS[name](contents())
