"""Which messages a rule is about, and when what it owes no longer matters."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.messages import ChannelRef
from bridge.rules import (
    PATTERN_SECONDS,
    Facts,
    RuleBook,
    Snapshot,
    Trigger,
    When,
    delivery_key,
    is_question,
    no_longer_matters,
)
from tests.values import HELP, NOW, ONCALL, STAFF, rule, seconds

ADA, GRACE = "U-ada", "U-grace"


def trigger(text: str = "How does it work?", **fields: object) -> Trigger:
    known = {"id": 1, "channel": HELP, "native_id": "1", "author": ADA, "text": text}
    return Trigger(**{**known, "sent_at": NOW, **fields})  # type: ignore[arg-type]


def matches(when: When, text: str, *mentions: str, by_bot: bool = False) -> bool:
    return when.matches(text, mentions, by_bot=by_bot)


# ---- questions


@pytest.mark.parametrize(
    "text",
    [
        "How does it work?",
        "it broke, any idea?",
        "Is it on (really?)",
        'they said "why?" and left',
        "first line\nand then what?\nlast line",
        "how do I restart it",
        "Hi! can someone look at this",
        "hey @ada, does anyone know",
        "so what now",
        "has anybody got the key",
        "🙂 where is the log",
        "> quoted\nwhy is that",
        "anyone seen this before",
        "does it `really` work?",
        "¿que?",
        "is it possible to undo",
        "WHY",
    ],
)
def test_this_is_a_question(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It works.",
        "what a day!",
        "How it works: read the manual.",
        "see https://example.org/?q=1",
        "https://example.org/what?a=b&c=d",
        "run `what?` and wait",
        "```\nwhy?\n```",
        "a?b : c",
        "whatever",
        "Howard is here",
        "Thanks, that is how.",
        "I know who did it",
        "x" * 5000,
    ],
)
def test_this_is_no_question(text: str) -> None:
    assert not is_question(text)


@pytest.mark.parametrize(
    "text",
    [
        "`" * 40_000,
        "```" * 15_000 + "x",
        "?" * 40_000 + "x",
        "hi " * 15_000,
        "@" + "a" * 40_000,
        "how " + "." * 40_000,
        "https://" + "a" * 40_000,
        "\n" * 40_000,
        "(" * 40_000 + "how",
        "`\n" * 20_000,
    ],
    ids=lambda text: repr(text[:9]),
)
def test_no_text_takes_long_to_judge(text: str) -> None:
    began = time.process_time()
    is_question(text)
    assert time.process_time() - began < 1.0


@given(st.text(max_size=300))
def test_any_text_can_be_judged(text: str) -> None:
    assert is_question(text) in {True, False}


@given(st.text("abc .!", max_size=40))
def test_a_question_mark_at_the_end_makes_a_question(text: str) -> None:
    assert is_question(text + "?")


# ---- when


def test_without_conditions_every_message_of_people_is_meant() -> None:
    assert matches(When(), "")
    assert not matches(When(), "", by_bot=True)
    assert matches(When(bots=True), "", by_bot=True)


@pytest.mark.parametrize("text", ["outage", "OUTAGE!", "an Outage.", "(outage)", "big-outage"])
def test_a_keyword_is_found_as_a_whole_word_in_any_case(text: str) -> None:
    assert matches(When(keywords=("outage", "down")), text)


@pytest.mark.parametrize("text", ["outages", "reoutage", "out age", "outage_log", ""])
def test_a_part_of_a_word_is_no_keyword(text: str) -> None:
    assert not matches(When(keywords=("outage", "down")), text)


@pytest.mark.parametrize("keyword", ["C++", "a.b", "(urgent)", "ü", "was los", "5€", "^x$"])
def test_keywords_are_no_patterns(keyword: str) -> None:
    assert matches(When(keywords=(keyword,)), f"now {keyword} then")
    assert not matches(When(keywords=(keyword,)), "now aab then")


@pytest.mark.parametrize(
    ("text", "keyword"), [("STRASSE", "strasse"), ("ÄRGER", "ärger"), ("ΣΊΣΥΦΟΣ", "σίσυφος")]
)
def test_case_is_that_of_all_languages(text: str, keyword: str) -> None:
    assert matches(When(keywords=(keyword,)), text)


def test_one_mention_of_several_suffices() -> None:
    when = When(mentions=(GRACE, "here"))
    assert matches(when, "hi", GRACE)
    assert matches(when, "hi", "here", "U-linus")
    assert not matches(when, "hi", "U-linus", "channel")
    assert not matches(when, "hi U-grace")


def test_a_pattern_is_searched_as_it_stands() -> None:
    assert matches(When(pattern=r"\bINC-\d+"), "see INC-12")
    assert not matches(When(pattern=r"\bINC-\d+"), "see inc-12")


def test_all_that_is_given_must_hold() -> None:
    when = When(question=True, keywords=("db",), pattern="prod", mentions=(GRACE,))
    assert matches(when, "is db prod down?", GRACE)
    assert not matches(when, "is db prod down?")
    assert not matches(when, "is db down?", GRACE)
    assert not matches(when, "is prod down?", GRACE)
    assert not matches(when, "db prod is down", GRACE)


def test_a_pattern_that_takes_too_long_does_not_match_and_holds_nobody_up() -> None:
    began = time.process_time()
    assert not matches(When(pattern=r"^(a+)+$"), "a" * 60 + "b")
    assert time.process_time() - began < PATTERN_SECONDS * 10


# ---- what is owed


def test_one_delivery_per_rule_and_destination() -> None:
    book = RuleBook([rule(to=(ONCALL, STAFF)), rule(name="other", when=When(), to=(ONCALL,))])
    found = book.owed_by(trigger())
    assert [one.target for one in found] == [ONCALL, STAFF, ONCALL]
    assert len({one.key for one in found}) == 3
    assert {one.due_at for one in found} == {NOW + seconds(1800)}
    assert [one.target for one in book.owed_by(trigger("fine"))] == [ONCALL]


def test_rules_of_other_channels_owe_nothing() -> None:
    book = RuleBook([rule(channels=(ONCALL,))])
    assert book.owed_by(trigger()) == []


def test_the_author_is_told_in_direct_messages() -> None:
    [found] = RuleBook([rule(to=(), to_author=True)]).owed_by(trigger())
    assert found.target == ChannelRef("acme", "dm:U-ada")
    assert found.target.person == ADA


@pytest.mark.parametrize(
    "other",
    [
        trigger(native_id="2"),
        trigger(channel=ONCALL),
        trigger(channel=ChannelRef("community", HELP.id)),
    ],
)
def test_a_key_stands_for_one_message(other: Trigger) -> None:
    here = delivery_key("rule", trigger(), STAFF)
    assert here == delivery_key("rule", trigger("edited", id=7), STAFF), "whoever computes it"
    assert here != delivery_key("rule", other, STAFF)
    assert len(here) <= 25


@given(st.lists(st.text(max_size=8), min_size=3, max_size=3))
def test_keys_do_not_depend_on_where_one_part_ends(parts: list[str]) -> None:
    rule_name, native, channel = parts
    here = delivery_key(rule_name, trigger(native_id=native), ChannelRef("acme", channel))
    moved = delivery_key(rule_name + "x", trigger(native_id=native), ChannelRef("acme", channel))
    assert here != moved
    assert here.isascii()


# ---- unless


def snapshot(*unless: str, when: When | None = None) -> Snapshot:
    return Snapshot("rule", when or When(question=True), unless, "")


ANSWERED = Facts("How?", answered=True)
TICKED = Facts("How?", reactions=frozenset({"eyes", "white_check_mark"}))


@pytest.mark.parametrize(
    ("unless", "facts", "reason"),
    [
        ((), Facts("How?"), ""),
        ((), ANSWERED, ""),
        ((), TICKED, ""),
        (("reply",), ANSWERED, "somebody replied"),
        (("reply",), TICKED, ""),
        (("reaction",), TICKED, "somebody reacted"),
        (("reaction",), ANSWERED, ""),
        (("reaction:eyes",), TICKED, "somebody reacted with :eyes:"),
        (("reaction:tada",), TICKED, ""),
        (("reaction:tada", "reply"), ANSWERED, "somebody replied"),
        ((), Facts("How?", deleted=True), "the message was deleted"),
        ((), Facts("Fine.", edited=True), "the message was edited and the rule no longer fits"),
        ((), Facts("How now?", edited=True), ""),
        ((), Facts("Fine."), ""),
    ],
)
def test_a_delivery_matters_unless(unless: tuple[str, ...], facts: Facts, reason: str) -> None:
    assert no_longer_matters(snapshot(*unless), facts) == reason


def test_an_edit_is_judged_by_the_rule_as_it_was_when_owed() -> None:
    kept = Snapshot.load(snapshot(when=When(mentions=(GRACE,))).dump())
    assert not no_longer_matters(kept, Facts("hi", mentions=(GRACE,), edited=True))
    assert no_longer_matters(kept, Facts("hi", edited=True))


@given(
    st.builds(
        When,
        question=st.booleans(),
        keywords=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        pattern=st.text(max_size=5),
        mentions=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        bots=st.booleans(),
    ),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
    st.text(max_size=9),
)
def test_a_rule_survives_being_kept(when: When, unless: tuple[str, ...], text: str) -> None:
    kept = Snapshot("rule", when, unless, text)
    again = Snapshot.load(kept.dump())
    assert again == kept
    assert again.id == kept.id
