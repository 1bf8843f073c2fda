"""One account's REST client: logged in on first use, with the direct messages it has opened."""

import asyncio

from discord.http import Route

from adapters.discord.client import PromptApi, log_in
from adapters.discord.invalid import InvalidRequests
from adapters.discord.settings import DiscordSettings
from bridge.messages import ChannelRef


class Rest:
    """Belongs to the loop that uses it. Raises what the SDK and the network raise."""

    def __init__(self, settings: DiscordSettings) -> None:
        self._settings = settings
        self._invalid = InvalidRequests()
        self._api: PromptApi | None = None
        self._logging_in = asyncio.Lock()
        self._direct: dict[str, str] = {}

    async def api(self) -> PromptApi:
        """The client; its `me` is who we are."""
        if self._api is None:
            async with self._logging_in:
                if self._api is None:
                    made = PromptApi(self._settings.api_url, self._invalid)
                    self._api = await log_in(made, self._settings)
        return self._api

    async def place(self, channel: ChannelRef) -> str:
        """The native id of a channel; direct messages with a person are opened first."""
        person = channel.person
        if not person:
            return channel.id
        if person not in self._direct:
            api, route = await self.api(), Route("POST", "/users/@me/channels")
            opened = await api.request(route, json={"recipient_id": person})
            self._direct[person] = str(opened["id"])
        return self._direct[person]

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        api, self._api = self._api, None
        if api:
            await api.close()
