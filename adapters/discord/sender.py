"""The way out: one REST call per message, no gateway."""

import asyncio
from typing import Any

import discord
from discord.http import Route

from adapters.discord.client import Attempt, PromptApi
from adapters.discord.errors import UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, translate
from adapters.discord.markup import content, embeds
from adapters.discord.payload import JsonDict
from adapters.discord.rest import Rest
from adapters.discord.settings import DiscordSettings
from bridge.errors import UnknownOutcomeError
from bridge.messages import Limits, Outbound, Receipt

CUT_SECONDS = 10.0
"""A call is given up after this; then its outcome is unknown."""
SUPPRESS_EMBEDS = 1 << 2


class DiscordSender:
    """Sends for one account. Logs in on first use, on the loop that uses it.

    Channels have no pace of their own here: Discord tells theirs with every answer.
    """

    limits = Limits(account_rate=45.0, remembers_seconds=60.0)

    def __init__(self, account: str, settings: DiscordSettings) -> None:
        self._account = account
        self._rest = Rest(settings)

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
        await self._rest.close()

    async def _send(self, outbound: Outbound, attempt: Attempt) -> Receipt:
        api, channel = await self._rest.api(), await self._rest.place(outbound.channel)
        fields = message_fields(outbound)
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
