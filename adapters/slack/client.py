"""Slack's Web API client as this adapter wants it: no retries of its own, calls cut in time."""

import ipaddress
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

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
