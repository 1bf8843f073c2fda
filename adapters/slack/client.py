"""Slack's Web API client as this adapter wants it: no retries of its own, calls cut in time."""

import asyncio
import ipaddress
from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.failures import translated
from adapters.slack.payload import JsonDict
from adapters.slack.settings import SlackSettings

CALL_SECONDS = 10


class Api:
    """The calls of one account over one session, which is opened at the first of them.

    Errors are the SDK's; nothing is ever sent twice.
    """

    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings
        self._client: AsyncWebClient | None = None

    @property
    def client(self) -> AsyncWebClient:
        """The SDK's client; only for use inside the event loop."""
        if self._client is None:
            self._client = _client(self._settings)
        return self._client

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        client, self._client = self._client, None
        if client and client.session:
            await client.session.close()


async def attempt(call: Awaitable[Any], doing: str, deadline: float | None = None) -> Any:
    """One call of the SDK, and its response. Raises SendError and its kinds.

    `doing` names it for people; `deadline` (the loop's clock) cuts it earlier than its session.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await call
    except Exception as error:
        failure = translated(error, doing)
        if failure is None:
            raise
        raise failure from error


def body(answer: Any) -> JsonDict:
    """What an SDK's response says."""
    return answer.data if isinstance(answer.data, dict) else {}


def _client(settings: SlackSettings) -> AsyncWebClient:
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS))
    client = AsyncWebClient(
        token=settings.bot_token.get_secret_value(),
        base_url=settings.api_url,
        timeout=CALL_SECONDS,
        session=session,
        # the SDK's default handler posts again after a lost response
        retry_handlers=[],
    )
    if _on_this_machine(settings.api_url):
        # the SDK takes HTTP(S)_PROXY and knows no NO_PROXY; no proxy reaches a stand-in
        client.proxy = None
    return client


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
