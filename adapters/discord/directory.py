"""Who the bot is, and what the channels and people of its server are called."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import discord
from discord.http import Route

from adapters.discord.client import Api, log_in
from adapters.discord.convert import convert, unfold
from adapters.discord.errors import translate
from adapters.discord.known import Known, display_name
from adapters.discord.payload import JsonDict
from adapters.discord.settings import DiscordSettings
from bridge.errors import ConfigError
from bridge.messages import ChannelNamed, Identity, PersonNamed

CUT_SECONDS = 60.0
"""All the calls of one question together; the SDK may sleep for rate limits among them."""
PAGE = 1000
"""Members per call: the most that Discord gives."""

Answer = TypeVar("Answer")


class DiscordDirectory:
    """Asks Discord over REST. Logs in on first use, on the loop that uses it."""

    def __init__(self, account: str, settings: DiscordSettings) -> None:
        self._account = account
        self._settings = settings
        self._api: Api | None = None
        self._logging_in = asyncio.Lock()

    async def identify(self) -> Identity:
        """Ask Discord who the token belongs to. Raises PermanentError for a bad token.

        Raises ConfigError where it is unclear which server is meant.
        """
        return await self._asked(self._identity)

    async def entries(self) -> Sequence[ChannelNamed | PersonNamed]:
        """All channels of the server, and its people where the bot may list them."""
        return await self._asked(self._entries)

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        api, self._api = self._api, None
        if api:
            await api.close()

    async def _asked(self, question: Callable[[Api], Awaitable[Answer]]) -> Answer:
        try:
            async with asyncio.timeout(CUT_SECONDS):
                return await question(await self._logged_in())
        except Exception as error:
            mapped = translate(error, self._account, sent=False)
            if mapped is None:
                raise
            raise mapped from error

    async def _logged_in(self) -> Api:
        async with self._logging_in:
            if self._api is None:
                self._api = await log_in(Api(self._settings.api_url), self._settings)
        return self._api

    async def _identity(self, api: Api) -> Identity:
        guild = await self._guild(api)
        return Identity(str(api.me["id"]), display_name(api.me, {}), str(guild["name"]))

    async def _entries(self, api: Api) -> list[ChannelNamed | PersonNamed]:
        guild_id = str((await self._guild(api))["id"])
        channels = await _get(api, "/guilds/{guild_id}/channels", guild_id)
        whole = {
            "id": guild_id,
            "roles": await _get(api, "/guilds/{guild_id}/roles", guild_id),
            "channels": channels,
            "members": await _members(api, guild_id),
        }
        known, found = Known(), []
        for part, fields in unfold("GUILD_CREATE", whole):
            # What is malformed has no name to tell; the rest of the server still has.
            with suppress(ValueError):
                found += convert(self._account, part, fields, known, datetime.now(UTC))
                known.learn(part, fields)
        return [event for event in found if isinstance(event, ChannelNamed | PersonNamed)]

    async def _guild(self, api: Api) -> JsonDict:
        guilds: list[JsonDict] = await api.request(Route("GET", "/users/@me/guilds"))
        return choose_guild(guilds, self._settings.guild, self._account)


def choose_guild(guilds: Sequence[JsonDict], wanted: str, account: str) -> JsonDict:
    """The server an account means: the one named, by id or name, or the only one.

    Raises ConfigError that lists what there is to choose from.
    """
    fits = [guild for guild in guilds if not wanted or is_guild(guild, wanted)]
    if len(fits) == 1:
        return fits[0]
    where = f"accounts.{account}.guild"
    if not guilds:
        raise ConfigError(f"accounts.{account}: the bot is in no server; invite it to one")
    listed = ", ".join(f"{guild['name']} ({guild['id']})" for guild in guilds[:10])
    if not fits:
        raise ConfigError(f"{where}: the bot is in no server {wanted!r}; it is in {listed}")
    raise ConfigError(f"{where}: several servers fit; set it to the id of one: {listed}")


def is_guild(guild: JsonDict, wanted: str) -> bool:
    """Whether a guild object is the one that an admin names by id or, in any case, by name."""
    name = str(guild.get("name", ""))
    return wanted == guild.get("id") or wanted.casefold() == name.casefold()


async def _get(api: Api, path: str, guild_id: str, **params: Any) -> list[JsonDict]:
    route = Route("GET", path, guild_id=guild_id)
    found: list[JsonDict] = await api.request(route, params=params)
    return found


async def _members(api: Api, guild_id: str) -> list[JsonDict]:
    found: list[JsonDict] = []
    after = "0"
    while True:
        try:
            page = await _get(api, "/guilds/{guild_id}/members", guild_id, limit=PAGE, after=after)
        except discord.Forbidden:
            # The bot lacks the Server Members intent: names come with messages instead.
            return []
        found += page
        if len(page) < PAGE:
            return found
        after = str(max(int(member["user"]["id"]) for member in page))
