"""Links that are written differently and lead to the same place."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.digest.contents import Said
from bridge.digest.links import canonical, shared_links, words_of
from bridge.messages import ChannelRef

HELP = ChannelRef("acme", "C1")
NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://Docs.Example.COM/Page/", "https://docs.example.com/Page"),
        ("https://a.example/#top", "https://a.example"),
        ("https://a.example", "https://a.example"),
        ("https://a.example/?utm_source=x&q=1&UTM_medium=y", "https://a.example?q=1"),
        ("https://a.example/p?utm_source=x", "https://a.example/p"),
        ("https://a.example/p?q=utm_source", "https://a.example/p?q=utm_source"),
        ("https://User:Pass@A.example:8080/", "https://User:Pass@a.example:8080"),
        ("https://a.example/p?q=%20a+b", "https://a.example/p?q=%20a+b"),
        ("http://[::1]/", "http://[::1]"),
        ("http://[", ""),
        ("https://", ""),
        ("mailto:ada@acme.example", ""),
        ("javascript:alert(1)", ""),
        ("", ""),
    ],
)
def test_links_to_the_same_place_have_the_same_canonical_form(url: str, expected: str) -> None:
    assert canonical(url) == expected


@given(st.one_of(st.text(), st.text().map("https://".__add__)))
def test_the_canonical_form_never_fails_and_is_stable(url: str) -> None:
    assert canonical(canonical(url)) == canonical(url)


def test_alike_links_are_gathered_under_the_first_way_of_writing() -> None:
    first = said("1", "https://A.example/x?utm_source=mail", "https://b.example")
    second = said("2", "https://a.example/x/", "https://a.example/x#part")
    found = shared_links([first, second])
    assert [(one.url, one.said) for one in found] == [
        ("https://A.example/x?utm_source=mail", (first, second)),
        ("https://b.example", (first,)),
    ]


def test_a_link_is_shown_without_scheme_and_www() -> None:
    assert words_of("https://www.a.example/x/") == "a.example/x"


def said(native_id: str, *links: str) -> Said:
    return Said(HELP, native_id, "U1", "Ada", "look", NOON, links=links)
