"""An [accounts.x] section of a Slack app, right and wrong."""

import pytest
from pydantic import ValidationError

from adapters import load
from adapters.slack.settings import API_URL, SlackSettings

RIGHT = {"platform": "slack", "bot_token": "xoxb-1-secret", "app_token": "xapp-1-secret"}


def test_the_shortest_section_is_enough() -> None:
    settings = load("slack").settings.model_validate(RIGHT)
    assert isinstance(settings, SlackSettings)
    assert settings.api_url == API_URL
    assert settings.bot_token.get_secret_value() == "xoxb-1-secret"
    assert "secret'" not in repr(settings)


def test_an_address_ends_in_a_slash_and_a_token_loses_its_blanks() -> None:
    changes = {"api_url": "http://127.0.0.1:1/api", "bot_token": " xoxb-1\n"}
    settings = SlackSettings.model_validate({**RIGHT, **changes})
    assert settings.api_url == "http://127.0.0.1:1/api/"
    assert settings.bot_token.get_secret_value() == "xoxb-1"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"bot_token": "xapp-1-secret"}, "must start with xoxb-; it is the Bot User OAuth Token"),
        ({"app_token": "xoxb-1-secret"}, "must start with xapp-; it is an App-Level Token"),
        ({"bot_token": ""}, "is empty; set it to the Bot User OAuth Token"),
        ({"bot_token": "xoxb-1 secret"}, "holds characters that no Slack token has"),
        ({"bot_token": "xoxb-"}, "must start with xoxb-"),
        ({"api_url": "slack.com/api"}, r"is not an http\(s\) address"),
        ({"guild": "x"}, "Extra inputs are not permitted"),
        ({"platform": "discord"}, "Input should be 'slack'"),
    ],
)
def test_a_mistake_is_named_and_no_token_shown(changes: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as caught:
        SlackSettings.model_validate({**RIGHT, **changes})
    assert "1-secret" not in str(caught.value)


def test_a_missing_token_is_named() -> None:
    with pytest.raises(ValidationError, match="app_token"):
        SlackSettings.model_validate({"platform": "slack", "bot_token": "xoxb-1"})


def test_settings_are_frozen() -> None:
    settings = SlackSettings.model_validate(RIGHT)
    with pytest.raises(ValidationError):
        settings.api_url = "http://elsewhere"  # type: ignore[misc]
