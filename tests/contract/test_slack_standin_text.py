"""How the Slack stand-in turns typing into Slack's text, and Slack's text into what is seen."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.standin.ids import from_cursor, from_ts, to_cursor, to_ts
from adapters.slack.standin.limits import Buckets, Tier
from adapters.slack.standin.typed import normalised, typed
from adapters.slack.standin.visible import mrkdwn, seen

PEOPLE = {"ada": "U1", "j.r-smith": "U2"}
CHANNELS = {"help": "C1", "bridge-admin": "C2"}
LABELS = {"U1": "@ada", "U2": "@j.r-smith", "C1": "#help", "C2": "#bridge-admin"}


def elements(text: str) -> list[dict[str, Any]]:
    [block] = typed(text, PEOPLE, CHANNELS)[1]
    found: list[dict[str, Any]] = block["elements"]
    return found


@pytest.mark.parametrize(
    ("typing", "text"),
    [
        ("hi @ada, @j.r-smith.", "hi <@U1>, <@U2>."),
        ("@nobody, ada@ada.example", "@nobody, ada@ada.example"),
        ("@here @channel @everyone", "<!here> <!channel> <!everyone>"),
        ("see #help and #bridge-admin, not #nowhere", "see <#C1|> and <#C2|>, not #nowhere"),
        ("(https://a.example/b_c_d).", "(<https://a.example/b_c_d>)."),
        ("https://a.example/?x=1&y=<", "<https://a.example/?x=1&amp;y=>&lt;"),
        ("a < b && <@U1>", "a &lt; b &amp;&amp; &lt;@U1&gt;"),
        ("*bold @ada* _i_ ~s~", "*bold <@U1>* _i_ ~s~"),
        ("2*3*4 a_b_c 10:30:45", "2*3*4 a_b_c 10:30:45"),
        ("`@ada <b>` :tada:", "`@ada &lt;b&gt;` :tada:"),
        ("```\n@ada *x*\n```", "```@ada *x*```"),
        ("> one\n> two\nthree", "&gt; one\n&gt; two\nthree"),
    ],
)
def test_typing_becomes_slacks_text(typing: str, text: str) -> None:
    assert typed(typing, PEOPLE, CHANNELS)[0] == text


def test_typing_becomes_rich_text() -> None:
    assert elements("*a _b_* `c`\n> d\n```e```") == [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "a ", "style": {"bold": True}},
                {"type": "text", "text": "b", "style": {"bold": True, "italic": True}},
                {"type": "text", "text": " "},
                {"type": "text", "text": "c", "style": {"code": True}},
                {"type": "text", "text": "\n"},
            ],
        },
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "d\n"}]},
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "e"}]},
    ]


def test_no_typing_makes_no_blocks() -> None:
    assert typed("", PEOPLE, CHANNELS) == ("", [])


@given(st.text(alphabet="ab@ada#help*_~`<>&:/.\n htps", max_size=60))
def test_any_typing_reads_the_same_from_text_and_from_blocks(typing: str) -> None:
    text, blocks = typed(typing, PEOPLE, CHANNELS)
    assert "<" not in text.replace("<@U1>", "").replace("<#C1|>", "").replace("<http", "")
    assert isinstance(seen({"text": text, "blocks": blocks}, LABELS), str)


@given(st.text(max_size=80))
def test_plain_words_are_seen_as_they_were_typed(typing: str) -> None:
    words = "".join(one for one in typing if one.isalnum() or one in " ,.&<>\"'()")
    text, blocks = typed(words, PEOPLE, CHANNELS)
    if not words.startswith(">"):
        assert mrkdwn(text, LABELS) == seen({"text": "", "blocks": blocks}, LABELS) == words


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("plain", "plain"),
        ("a & b &amp; c < d", "a &amp; b &amp; c &lt; d"),
        ("<@U1> <https://a.example|a> <!here>", "<@U1> <https://a.example|a> <!here>"),
        ("see https://a.example/?x=1&y=2.", "see <https://a.example/?x=1&amp;y=2>."),
        ("`https://a.example`", "`https://a.example`"),
        ("> quoted", "&gt; quoted"),
    ],
)
def test_an_apps_text_is_stored_normalised(sent: str, stored: str) -> None:
    assert normalised(sent) == stored
    assert normalised(stored) == stored


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("<@U1> in <#C1> and <#C9|gone>", "@ada in #help and #gone"),
        ("<!here> <!subteam^S1|@ops> <!date^1^{date}|2 May>", "@here @ops 2 May"),
        ("<https://a.example|a &amp; b> <https://b.example>", "a & b https://b.example"),
        ("*_both_* ~x~ `*code*`", "both x *code*"),
        ("&lt;@U1&gt; &amp;amp;", "<@U1> &amp;"),
        ("*<@U1>* wrote", "@ada wrote"),
    ],
)
def test_slacks_text_reads_as_people_see_it(text: str, reads: str) -> None:
    assert mrkdwn(text, LABELS) == reads


def test_every_kind_of_block_can_be_read() -> None:
    plain = {"type": "plain_text", "text": "P"}
    rich = [{"type": "text", "text": "R"}, {"type": "user", "user_id": "U1"}]
    section = {"type": "rich_text_section", "elements": rich}
    blocks = [
        {"type": "section", "text": plain, "fields": [{"type": "mrkdwn", "text": "*F*"}]},
        {"type": "actions", "elements": [{"type": "button", "text": plain}]},
        {"type": "image", "alt_text": "A"},
        {"type": "markdown", "text": "M"},
        {"type": "table", "rows": [[{"type": "raw_text", "text": "T"}]]},
        {"type": "rich_text", "elements": [{"type": "rich_text_list", "elements": [section]}]},
    ]
    assert seen({"blocks": blocks}, LABELS) == "P\nF\n[P]\nA\nM\nT\n• R@ada"


@given(st.integers(min_value=10**15, max_value=10**16 - 1))
def test_a_moment_and_its_ts_are_the_same(micros: int) -> None:
    assert from_ts(to_ts(micros)) == micros
    assert len(to_ts(micros)) == 17


@pytest.mark.parametrize("text", ["", "x", "1.x", "1.2.3", "-1", "²"])
def test_what_is_no_ts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        from_ts(text)


def test_a_cursor_is_of_one_kind() -> None:
    assert from_cursor("user", to_cursor("user", "U1")) == "U1"
    for wrong in (to_cursor("team", "U1"), "%%%", to_cursor("user", "")):
        with pytest.raises(ValueError, match=r".*"):
            from_cursor("user", wrong)


def test_a_bucket_refills_with_time() -> None:
    buckets, tier = Buckets(), Tier(burst=2, per_second=0.5)
    assert [buckets.take("a", tier, 100.0) for _ in range(3)] == [0, 0, 2]
    assert buckets.take("b", tier, 100.0) == 0
    assert buckets.take("a", tier, 101.0) == 1
    assert buckets.take("a", tier, 102.0) == 0
