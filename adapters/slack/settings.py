"""What an [accounts.x] section of a Slack app may say."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

API_URL = "https://slack.com/api/"


class SlackSettings(BaseModel):
    """One Slack app in one workspace, listening in Socket Mode.

    `api_url` points the account at another host, such as a stand-in.
    """

    # hide_input: a token that is refused must not be shown in the reason.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    platform: Literal["slack"]
    bot_token: SecretStr
    app_token: SecretStr
    api_url: str = API_URL

    @field_validator("bot_token")
    @classmethod
    def _usable_bot_token(cls, token: SecretStr) -> SecretStr:
        return _token(token, "xoxb-", "the Bot User OAuth Token, under OAuth & Permissions")

    @field_validator("app_token")
    @classmethod
    def _usable_app_token(cls, token: SecretStr) -> SecretStr:
        where = "an App-Level Token with connections:write, under Basic Information"
        return _token(token, "xapp-", where)

    @field_validator("api_url")
    @classmethod
    def _usable_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"is not an http(s) address; the default is {API_URL}")
        return url.rstrip("/") + "/"


def _token(token: SecretStr, prefix: str, where: str) -> SecretStr:
    bare = token.get_secret_value().strip()
    if not bare:
        raise ValueError(f"is empty; set it to {where} of the Slack app")
    if not bare.startswith(prefix) or bare == prefix:
        raise ValueError(f"must start with {prefix}; it is {where} of the Slack app")
    if any(char.isspace() for char in bare) or not bare.isascii():
        raise ValueError("holds characters that no Slack token has")
    return SecretStr(bare)
