"""The calls that read history: each cut after 10 seconds, its errors mapped, no answer judged."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeGuard, TypeVar

import discord
from discord.http import Route

from adapters.discord.errors import UNKNOWN_CHANNEL, UNKNOWN_EMOJI, UNKNOWN_MESSAGE, translate
from adapters.discord.payload import JsonDict, maybe, need, part
from adapters.discord.rest import Rest
from adapters.discord.settings import DiscordSettings
from adapters.discord.snowflakes import DISCORD_EPOCH, moment_of
from bridge.errors import PermanentError, RateLimitedError, RetryableError
from bridge.messages import ChannelRef

CUT_SECONDS = 10.0
PAGE = 100
"""Messages, people and threads in one answer: the most that Discord gives."""
NORMAL, BURST = 0, 1
"""The kinds of reactions."""
Answer = TypeVar("Answer")

_GONE = frozenset({UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_EMOJI})


class Gone(PermanentError):  # noqa: N818 - an answer, and often the one that is hoped for
    """What was asked for is not there any more."""


class Reader:
    """Reads for one account. Raises only SendError and its kinds; Gone for what is no more.

    A patient one waits out rate limits instead of raising RateLimitedError.
    """

    def __init__(self, account: str, settings: DiscordSettings, *, patient: bool = False) -> None:
        self._account = account
        self._patient = patient
        self._rest = Rest(settings)

    async def me(self) -> str:
        """Our own id."""
        return await self._asked(self._account, self._me())

    async def place(self, channel: ChannelRef) -> str:
        """The native id of a channel; direct messages with a person are opened first."""
        return await self._asked(f"{self._account}:{channel.id}", self._rest.place(channel))

    async def channel(self, channel_id: str) -> JsonDict:
        """A channel or thread."""
        return _object(await self._get("/channels/{channel_id}", channel_id=channel_id))

    async def guild_part(self, guild_id: str, name: str, **params: str) -> list[JsonDict]:
        """The channels, roles or members of a guild."""
        path = "/guilds/{guild_id}/" + name
        found = await self._get(path, params, guild_id=guild_id)
        return [one for one in found if isinstance(one, dict)]

    async def message(self, place: str, message_id: str) -> JsonDict:
        """One message."""
        path = "/channels/{channel_id}/messages/{message_id}"
        return _object(await self._get(path, channel_id=place, message_id=message_id))

    async def newest(self, place: str) -> list[JsonDict]:
        """The newest messages of a channel or thread, oldest first."""
        return await self._messages(place, limit=str(PAGE))

    async def later(self, place: str, after: int) -> list[JsonDict]:
        """The first messages later than a position, oldest first; fewer than PAGE: all."""
        return await self._messages(place, limit=str(PAGE), after=str(after))

    async def all_later(self, place: str, after: int) -> list[JsonDict]:
        """Every message later than a position, oldest first."""
        found: list[JsonDict] = []
        while True:
            batch = await self.later(place, int(found[-1]["id"]) if found else after)
            found += batch
            if len(batch) < PAGE:
                return found

    async def people(self, place: str, message_id: str, given: JsonDict) -> list[str]:
        """Who gave a reaction, as a message lists it."""
        emoji = need(given, "emoji", dict)
        custom, name = emoji.get("id"), maybe(emoji, "name", "")
        ids = {
            "channel_id": place,
            "message_id": message_id,
            "emoji": f"{name}:{custom}" if custom else name,
        }
        kinds = [NORMAL, BURST] if part(given, "count_details").get("burst") else [NORMAL]
        with suppress(Gone):
            return [person for kind in kinds for person in await self._people(ids, kind)]
        return []  # taken back since

    async def threads(self, guild_id: str, channel_id: str, since: int) -> list[JsonDict]:
        """The threads of a channel in which something was said later than a position.

        Those that are open, and public ones that are archived, oldest first.
        """
        answer = _object(await self._get("/guilds/{guild_id}/threads/active", guild_id=guild_id))
        found = [one for one in _threads(answer) if one.get("parent_id") == channel_id]
        found += await self._archived(channel_id, moment_of(since))
        latest = {int(one["id"]): one for one in found if _last_message(one) > since}
        return [latest[native] for native in sorted(latest)]

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        await self._rest.close()

    async def _archived(self, channel_id: str, since: datetime) -> list[JsonDict]:
        """Archived threads, as far back as one was archived since a moment.

        A message opens its thread again, so those archived before hold none that is later.
        """
        path, params = "/channels/{channel_id}/threads/archived/public", {"limit": str(PAGE)}
        found: list[JsonDict] = []
        while True:
            answer = _object(await self._get(path, params, channel_id=channel_id))
            batch = _threads(answer)
            found += batch
            oldest = min((_archived_at(one) for one in batch), default=since)
            before = oldest.isoformat()
            if not answer.get("has_more") or oldest <= since or before == params.get("before"):
                return found
            params["before"] = before

    async def _messages(self, place: str, **params: str) -> list[JsonDict]:
        answer = await self._get("/channels/{channel_id}/messages", params, channel_id=place)
        found = sorted(_objects(answer), key=_number)
        if not found:
            await self._require_history(place)
        return found

    async def _require_history(self, place: str) -> None:
        """Raise PermanentError where the bot may not read history.

        There Discord lists no messages, as if there were none; asked for one, it says so.
        """
        with suppress(Gone):
            await self.message(place, place)

    async def _people(self, ids: Mapping[str, str], kind: int) -> list[str]:
        path = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}"
        found: list[str] = []
        while True:
            params = {"limit": str(PAGE), "type": str(kind), "after": found[-1] if found else "0"}
            batch = [one["id"] for one in _objects(await self._get(path, params, **ids))]
            found += batch
            if len(batch) < PAGE:
                return found

    async def _me(self) -> str:
        return str((await self._rest.api()).me["id"])

    async def _get(self, path: str, params: Mapping[str, str] | None = None, **ids: str) -> Any:
        where = f"{self._account}:{ids.get('channel_id', '')}".rstrip(":")
        while True:
            try:
                return await self._asked(where, self._call(Route("GET", path, **ids), params or {}))
            except RateLimitedError as error:
                if not self._patient:
                    raise
                await asyncio.sleep(error.retry_after)

    async def _call(self, route: Route, params: Mapping[str, str]) -> Any:
        return await (await self._rest.api()).request(route, params=params)

    async def _asked(self, where: str, asking: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(CUT_SECONDS):
                return await asking
        except Exception as error:
            mapped = translate(error, where, sent=False)
            if mapped is None:
                raise
            if isinstance(error, discord.HTTPException) and error.code in _GONE:
                raise Gone(str(mapped)) from error
            raise mapped from error


def _objects(answer: Any) -> list[JsonDict]:
    """The objects of a list that have an id; without one nothing can be said of a thing."""
    found = answer if isinstance(answer, list) else []
    return [one for one in found if isinstance(one, dict) and _is_id(one.get("id"))]


def _object(answer: Any) -> JsonDict:
    if not isinstance(answer, dict):
        raise RetryableError("Discord's answer is no object")
    return answer


def _threads(answer: JsonDict) -> list[JsonDict]:
    return _objects(answer.get("threads"))


def _archived_at(thread: JsonDict) -> datetime:
    try:
        stamp = maybe(part(thread, "thread_metadata"), "archive_timestamp", "")
        return datetime.fromisoformat(stamp).astimezone(UTC)
    except ValueError:
        return DISCORD_EPOCH


def _last_message(thread: JsonDict) -> int:
    last = thread.get("last_message_id")
    return int(last) if _is_id(last) else 0


def _number(message: JsonDict) -> int:
    return int(message["id"])


def _is_id(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.isascii() and value.isdecimal()
