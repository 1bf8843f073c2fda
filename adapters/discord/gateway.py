"""One gateway session with our own hands on the dispatches: raw in, nothing cached."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket, ReconnectWebSocket
from discord.http import Route

from adapters.discord.client import Api, log_in
from adapters.discord.payload import JsonDict
from adapters.discord.settings import DiscordSettings
from bridge.errors import PermanentError, RateLimitedError, RetryableError, SendError

OPEN_SECONDS = 30.0
"""How long the far side may take from the connection to its hello."""
CLOSE_SECONDS = 2.0
"""How long we wait for the far side to say goodbye."""
FRUITLESS = 6
"""Attempts to resume, with growing pauses, before the session is given up."""

INTENTS = discord.Intents(
    guilds=True,
    members=True,
    guild_messages=True,
    dm_messages=True,
    message_content=True,
    guild_reactions=True,
    dm_reactions=True,
)

_FATAL = {
    4004: "Discord refuses the token; set a new one",
    4010: "Discord refuses the shard",
    4011: "the bot is in so many servers that Discord demands sharding",
    4012: "Discord no longer speaks this version of the gateway",
    4013: "Discord does not know one of the intents",
    4014: "switch on Server Members Intent and Message Content Intent under Bot > Privileged "
    "Gateway Intents in the Discord developer portal",
}


_log = logging.getLogger(__name__)


class _Handlers(dict[str, Callable[[Any], None]]):
    """The handlers by dispatch name; kinds that we have no use for are told once each, by name."""

    def __missing__(self, name: str) -> Callable[[Any], None]:
        _log.info("a dispatch of another kind: %s", name)
        self[name] = _pass_over
        return _pass_over


def _pass_over(data: Any) -> None:
    del data


class Gateway(discord.Client):
    """The SDK's client with its own caches and parsers taken out.

    They are what ends a whole session over one odd event, and what keeps every member and a
    thousand messages in memory. `handlers` takes their place, by dispatch name.
    """

    def __init__(
        self, settings: DiscordSettings, handlers: Mapping[str, Callable[[Any], None]]
    ) -> None:
        # Else the SDK warns of missing voice libraries, which nobody here needs.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        super().__init__(intents=INTENTS, max_messages=None, chunk_guilds_at_startup=False)
        self._settings = settings
        self._api = Api(settings.api_url)
        self.http = self._api
        self._connection.http = self._api
        self._connection.parsers = _Handlers(handlers)

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Drop the SDK's own events: nobody listens to them."""

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait for nothing: a session identifies once, at its start."""

    async def close(self) -> None:
        """Say goodbye and give back connections. Safe to call twice."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await super().close()
        await self._api.close()

    async def run_session(self, pause: Callable[[], Awaitable[None]]) -> None:
        """Log in, identify, hand on dispatches, resume after every break of the line.

        `pause` is awaited after each frame. Raises PermanentError where an admin must act, and
        RetryableError once the session is lost: what came since can only be read from history.
        """
        await log_in(self._api, self._settings)
        found = await self._api.request(Route("GET", "/gateway/bot"))
        _check_starts(found.get("session_start_limit", {}))
        await self._connected(pause, gateway=yarl.URL(str(found["url"])), initial=True)
        fruitless, before = 0, -1
        while True:
            if not self.ws or self.ws.session_id is None or self.ws.sequence is None:
                raise RetryableError("the gateway closed before the session began")
            fruitless = fruitless + 1 if self.ws.sequence == before else 0
            if fruitless > FRUITLESS:
                raise RetryableError("the gateway cannot be reached any more")
            if fruitless:
                await asyncio.sleep(2.0 ** (fruitless - 2))
            before = self.ws.sequence
            await self._connected(
                pause,
                gateway=self.ws.gateway,
                session=self.ws.session_id,
                sequence=self.ws.sequence,
                resume=True,
            )

    async def _connected(self, pause: Callable[[], Awaitable[None]], **how: Any) -> None:
        """One connection, until it breaks in a way that may be resumed."""
        resuming = bool(how.get("resume"))
        try:
            self.ws = await asyncio.wait_for(_Socket.from_client(self, **how), OPEN_SECONDS)
            while True:
                await self.ws.poll_event()
                await pause()
        except ReconnectWebSocket as error:
            if not error.resume:
                raise RetryableError("Discord ended the gateway session") from None
        except discord.ConnectionClosed as error:
            raise _closed(error.code) from None
        except (aiohttp.ClientError, OSError):
            if not resuming:
                raise


class _Socket(DiscordWebSocket):
    """The SDK's socket, which leaves its heartbeat thread behind if cut while it identifies."""

    async def identify(self) -> None:
        await self._or_close(super().identify())

    async def resume(self) -> None:
        await self._or_close(super().resume())

    async def _or_close(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except BaseException:
            await self.close()
            raise


def _check_starts(limit: JsonDict) -> None:
    # Discord answers a start too many by taking the token away.
    if limit.get("remaining") == 0:
        seconds = float(limit.get("reset_after", 0)) / 1000
        raise RateLimitedError("the day's gateway sessions are used up", seconds, "account")


def _closed(code: int) -> SendError:
    if code in _FATAL:
        return PermanentError(f"{_FATAL[code]} (close code {code})")
    return RetryableError(f"Discord closed the gateway (close code {code})")
