"""What an [accounts.x] section of a Discord bot may say."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

API_URL = "https://discord.com/api/v10"


class DiscordSettings(BaseModel):
    """One Discord bot.

    `guild` is the name or id of its server, needed only where the bot is in several. `api_url`
    points the account at another host, such as a stand-in; the gateway is the one named there.
    """

    # hide_input: a token that is refused must not be shown in the reason.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    platform: Literal["discord"]
    token: SecretStr
    api_url: str = API_URL
    guild: str = ""

    @field_validator("token")
    @classmethod
    def _usable_token(cls, token: SecretStr) -> SecretStr:
        bare = token.get_secret_value().strip()
        if not bare:
            raise ValueError("is empty; set it to the bot's token")
        if any(char.isspace() for char in bare):
            raise ValueError("holds a space; give the bare token, without the word Bot before it")
        if not bare.isascii():
            raise ValueError("holds characters that no Discord token has")
        return SecretStr(bare)

    @field_validator("api_url")
    @classmethod
    def _usable_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"is not an http(s) address; the default is {API_URL}")
        return url.rstrip("/")

    @field_validator("guild")
    @classmethod
    def _bare_guild(cls, guild: str) -> str:
        return guild.strip()
