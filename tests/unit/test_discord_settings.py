"""The section of a Discord account, and the errors that tell an admin what to mend."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from adapters import Adapter, load
from adapters.discord.settings import DiscordSettings

WHOLE = {"platform": "discord", "token": "abc.def"}


def test_a_token_is_enough() -> None:
    settings = DiscordSettings.model_validate(WHOLE)
    assert settings.api_url == "https://discord.com/api/v10"
    assert settings.guild == ""


def test_the_address_loses_its_last_slash() -> None:
    settings = DiscordSettings.model_validate({**WHOLE, "api_url": "http://127.0.0.1:1/api/v10/"})
    assert settings.api_url == "http://127.0.0.1:1/api/v10"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"token": " "}, "is empty"),
        ({"token": "Bot abc.def"}, "without the word Bot"),
        ({"token": "abcdéf"}, "no Discord token has"),
        ({"api_url": "discord.com"}, "not an http"),
        ({"platform": "slack"}, "discord"),
        ({"tokens": "x"}, "Extra inputs"),
    ],
)
def test_a_mistake_is_named_without_showing_the_token(change: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        DiscordSettings.model_validate({**WHOLE, **change})
    assert "abc" not in str(caught.value)


def test_the_token_does_not_show() -> None:
    assert "abc.def" not in repr(DiscordSettings.model_validate(WHOLE))


def test_loading_the_adapter_does_not_load_the_sdk() -> None:
    assert isinstance(load("discord"), Adapter)
    code = "import sys, adapters; adapters.load('discord'); sys.exit('discord' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
