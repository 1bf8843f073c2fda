"""No body, however odd, makes the Discord stand-in do anything but accept or refuse it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.standin import forms
from adapters.discord.standin.refusals import Refusal

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(
    [
        "content",
        "embeds",
        "components",
        "flags",
        "allowed_mentions",
        "message_reference",
        "nonce",
        "enforce_nonce",
        "tts",
        "attachments",
        "title",
        "description",
        "url",
        "fields",
        "name",
        "value",
        "inline",
        "footer",
        "text",
        "author",
        "icon_url",
        "image",
        "color",
        "timestamp",
        "type",
        "style",
        "label",
        "custom_id",
        "message_id",
        "parse",
        "users",
        "roles",
        "replied_user",
        "id",
        "auto_archive_duration",
    ]
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5)
)
BODIES = st.dictionaries(NAMES, JSON, max_size=6)


def rows(parts: Any) -> Any:
    return [{"type": 1, "components": parts}]


def refused(read: Any, *given: Any) -> int:
    """The code of the refusal, 0 where it is accepted; what is answered must be JSON."""
    try:
        json.dumps(read(*given), default=str)
    except Refusal as refusal:
        json.dumps(refusal.body)
        return int(refusal.body["code"])
    return 0


@given(BODIES | st.builds(lambda parts: {"components": rows(parts)}, JSON))
@settings(max_examples=150, deadline=None)
def test_an_odd_body_is_read_or_refused_as_a_form(body: dict[str, Any]) -> None:
    for read in (forms.draft, forms.changes, forms.thread):
        assert refused(read, body) in {0, 50035}


@pytest.mark.parametrize("url", ["http://[", "ftp://x/", "no url", "", 7, None, "https://"])
def test_an_odd_link_is_read_or_refused_as_a_form(url: Any) -> None:
    body = {"embeds": [{"title": "x", "url": url}]}
    assert refused(forms.draft, body) == (50035 if url else 0)


@given(LEAVES)
def test_an_odd_id_is_refused_as_a_form(value: Any) -> None:
    assert refused(forms.snowflake, "id", value) == (
        0 if re.fullmatch("[0-9]{1,20}", str(value)) else 50035
    )
