"""The way out: one REST call per message, no gateway."""

import asyncio
from typing import Any

import discord
from discord.http import Route

from adapters.discord.client import Attempt, PromptApi, log_in
from adapters.discord.errors import UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, translate
from adapters.discord.markup import content, embeds
from adapters.discord.payload import JsonDict
from adapters.discord.settings import DiscordSettings
from bridge.errors import UnknownOutcomeError
from bridge.messages import Outbound, Receipt

CUT_SECONDS = 10.0
"""A call is given up after this; then its outcome is unknown."""
SUPPRESS_EMBEDS = 1 << 2


class DiscordSender:
    """Sends for one account. Logs in on first use, on the loop that uses it."""

    def __init__(self, account: str, settings: DiscordSettings) -> None:
        self._account = account
        self._settings = settings
        self._api: PromptApi | None = None
        self._logging_in = asyncio.Lock()
        self._direct: dict[str, str] = {}

    async def send(self, outbound: Outbound) -> Receipt:
        """Make one attempt, cut after 10 seconds.

        The key goes along as an enforced nonce: for some minutes Discord answers the same key
        with the message that is there. Raises only SendError and its kinds.
        """
        attempt = Attempt()
        try:
            async with asyncio.timeout(CUT_SECONDS):
                return await self._send(outbound, attempt)
        except Exception as error:
            if attempt.sent and _is_code(error, UNKNOWN_MESSAGE):
                # The nonce of a message deleted meanwhile: it was sent, but its id is gone.
                return Receipt("", 0)
            where = f"{self._account}:{outbound.channel.id}"
            mapped = translate(error, where, sent=attempt.sent)
            if mapped is None:
                raise
            raise mapped from error

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        api, self._api = self._api, None
        if api:
            await api.close()

    async def _send(self, outbound: Outbound, attempt: Attempt) -> Receipt:
        api = await self._logged_in()
        channel, fields = await self._channel(api, outbound), message_fields(outbound)
        if outbound.thread and not outbound.channel.person:
            try:
                return await _create(api, outbound.thread, fields, attempt)
            except discord.NotFound as error:
                if not _is_code(error, UNKNOWN_CHANNEL):
                    raise
                # Nobody opened a thread at that message: a reply is the nearest thing to it.
                attempt.sent = False
                fields["message_reference"] = {
                    "message_id": outbound.thread,
                    "fail_if_not_exists": False,
                }
        return await _create(api, channel, fields, attempt)

    async def _logged_in(self) -> PromptApi:
        if self._api is None:
            async with self._logging_in:
                if self._api is None:
                    self._api = await log_in(PromptApi(self._settings.api_url), self._settings)
        return self._api

    async def _channel(self, api: PromptApi, outbound: Outbound) -> str:
        person = outbound.channel.person
        if not person:
            return outbound.channel.id
        if person not in self._direct:
            route = Route("POST", "/users/@me/channels")
            opened = await api.request(route, json={"recipient_id": person})
            self._direct[person] = str(opened["id"])
        return self._direct[person]


def message_fields(outbound: Outbound) -> JsonDict:
    """The body of a create call: a card as embeds, else plain content without link previews."""
    fields: JsonDict = {
        "nonce": outbound.key,
        "enforce_nonce": True,
        # Without this Discord would look for mentions in the text and ping them.
        "allowed_mentions": {"parse": []},
    }
    if outbound.card:
        return {**fields, "embeds": embeds(outbound.document)}
    return {**fields, "content": content(outbound.document), "flags": SUPPRESS_EMBEDS}


async def _create(api: PromptApi, channel: str, fields: JsonDict, attempt: Attempt) -> Receipt:
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=channel)
    answer: Any = await api.request(route, json=fields, trace_request_ctx=attempt)
    if not isinstance(answer, dict) or not str(answer.get("id", "")).isdecimal():
        raise UnknownOutcomeError("Discord's answer names no message; it may have arrived")
    return Receipt(str(answer["id"]), int(answer["id"]))


def _is_code(error: Exception, code: int) -> bool:
    return isinstance(error, discord.HTTPException) and error.code == code
