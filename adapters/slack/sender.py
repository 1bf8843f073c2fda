"""The way out to Slack: one chat.postMessage per delivery."""

import asyncio
import uuid
from collections.abc import Awaitable
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.client import CALL_SECONDS, Api
from adapters.slack.failures import translated
from adapters.slack.markup import render
from adapters.slack.payload import JsonDict, need, position
from adapters.slack.settings import SlackSettings
from bridge.errors import RetryableError, UnknownOutcomeError
from bridge.messages import ChannelRef, Outbound, Receipt

METADATA = "chatbridge_delivery"
"""The type of our messages' metadata; its payload holds the delivery's key."""
_KEYS = uuid.uuid5(uuid.NAMESPACE_DNS, "chatbridge.delivery")


class SlackSender:
    """The sender of one account. One event loop owns it."""

    def __init__(self, account: str, settings: SlackSettings) -> None:
        self._account = account
        self._api = Api(settings)
        self._direct: dict[str, str] = {}

    async def send(self, outbound: Outbound) -> Receipt:
        """Make one attempt, cut after 10 seconds. Raises SendError and its kinds."""
        deadline = asyncio.get_running_loop().time() + CALL_SECONDS
        client = self._api.client
        channel = await self._channel(client, outbound.channel, deadline)
        doing = f"{self._account}: posting to {channel}"
        posting = client.chat_postMessage(**arguments(outbound, channel))
        answer = await _attempt(posting, deadline, doing)
        ts = answer.get("ts")
        if not ts:
            raise UnknownOutcomeError(f"{doing}: Slack named no message")
        return Receipt(str(ts), position(str(ts)))

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        await self._api.close()

    async def _channel(self, client: AsyncWebClient, channel: ChannelRef, deadline: float) -> str:
        """The native id, that of direct messages opened at first use."""
        if not channel.person:
            return channel.id
        if channel.person not in self._direct:
            doing = f"{self._account}: opening direct messages with {channel.person}"
            try:
                opening = client.conversations_open(users=channel.person)
                answer = await _attempt(opening, deadline, doing)
            except UnknownOutcomeError as error:
                # Opening twice does no harm, and nothing was posted.
                raise RetryableError(str(error)) from error
            self._direct[channel.person] = need(answer, "channel.id", doing)
        return self._direct[channel.person]


def arguments(outbound: Outbound, channel: str) -> JsonDict:
    """What chat.postMessage is called with. Nothing in it pings, unfurls or is guessed at.

    `client_msg_id` is undocumented; Slack may refuse a double by it, and nothing depends on it.
    """
    rendered = render(outbound.document)
    return {
        "channel": channel,
        "text": rendered.text,
        "blocks": rendered.blocks or None,
        "thread_ts": outbound.thread or None,
        "metadata": {"event_type": METADATA, "event_payload": {"key": outbound.key}},
        "client_msg_id": str(uuid.uuid5(_KEYS, outbound.key)),
        "unfurl_links": False,
        "unfurl_media": False,
        "link_names": False,
    }


async def _attempt(call: Awaitable[Any], deadline: float, doing: str) -> JsonDict:
    try:
        async with asyncio.timeout_at(deadline):
            answer = await call
    except Exception as error:
        failure = translated(error, doing)
        if failure is None:
            raise
        raise failure from error
    return answer.data if isinstance(answer.data, dict) else {}
