"""Tokens, links and emoji of Discord's wire text as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord.readable import emoji_name, links, readable


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<@1> <@!1>", "@ada @ada"),
        ("<@9>", "<@9>"),
        ("<#2> <#9>", "#general <#9>"),
        ("<@&3> <@&4>", "@ops @everyone"),
        ("<:parrot:5> <a:party_1:6>", ":parrot: :party_1:"),
        (
            "<t:0> <t:0:R> <t:-1:f>",
            "1970-01-01 00:00 UTC 1970-01-01 00:00 UTC 1969-12-31 23:59 UTC",
        ),
        ("<t:99999999999999>", "<t:99999999999999>"),
        ("</remind me:77>", "/remind me"),
        ("**bold** `code` > not touched", "**bold** `code` > not touched"),
    ],
)
def test_tokens_become_words(content: str, text: str) -> None:
    assert readable(content, {"1": "ada"}, {"2": "general"}, {"3": "ops", "4": "@everyone"}) == text


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("see https://a.org.", ("https://a.org",)),
        ("(https://a.org/x_(y))", ("https://a.org/x_(y)",)),
        ("[words](https://a.org/x) more", ("https://a.org/x",)),
        ("[words](<https://a.org/x>)", ("https://a.org/x",)),
        ("[w](https://a.org/x), and", ("https://a.org/x",)),
        ("<https://a.org> HTTP://B.org/?q=1&r=2!", ("https://a.org", "HTTP://B.org/?q=1&r=2")),
        ("**https://a.org**", ("https://a.org",)),
        ("https://a.org https://a.org", ("https://a.org",)),
        ("ftp://a.org mailto:x@y", ()),
    ],
)
def test_links_come_without_the_punctuation_around_them(
    content: str, found: tuple[str, ...]
) -> None:
    assert links(content) == found


@pytest.mark.parametrize(
    ("emoji", "name"),
    [
        ("✅", "white_check_mark"),
        ("👍", "+1"),
        ("👍🏽", "+1"),
        ("👎🏿", "-1"),
        ("👀", "eyes"),
        ("🎉", "tada"),
        ("❤️", "heart"),
        ("❤", "heart"),
        ("🙏🏻", "pray"),
        ("🚀", "rocket"),
        ("💯", "100"),
        ("🤔", "thinking_face"),
        ("📝", "memo"),
        ("🇩🇪", "de"),
        ("🇦🇹", "flag-at"),
    ],
)
def test_common_emoji_have_slacks_names(emoji: str, name: str) -> None:
    assert emoji_name({"id": None, "name": emoji}) == name


def test_a_custom_emoji_that_is_gone_keeps_its_id() -> None:
    assert emoji_name({"id": "5", "name": None}) == "5"


def test_an_emoji_that_names_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="neither id nor name"):
        emoji_name({"id": None, "name": None})


@given(st.text(alphabet="<>@#&:t/!0123456789 abc()[]*.https"))
def test_any_text_can_be_read(content: str) -> None:
    assert isinstance(readable(content, {}, {}, {}), str)
    assert all(link.lower().startswith("http") for link in links(content))
