"""Who we are in a Slack workspace, and what its channels and people are called."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.client import Api, attempt, body
from adapters.slack.convert import channel_named, person
from adapters.slack.payload import JsonDict
from adapters.slack.settings import SlackSettings
from bridge.errors import RateLimitedError
from bridge.messages import ChannelNamed, Identity, PersonNamed

Entry: TypeAlias = ChannelNamed | PersonNamed

_LOG = logging.getLogger(__name__)
PAGE = 200
"""What Slack recommends; larger pages may fail."""
_CHANNELS: JsonDict = {"types": "public_channel,private_channel", "exclude_archived": "true"}


class SlackDirectory:
    """The directory of one account."""

    def __init__(self, account: str, settings: SlackSettings) -> None:
        self._account = account
        self._api = Api(settings)

    async def identify(self) -> Identity:
        """Ask Slack who the token belongs to. Raises PermanentError for a bad token."""
        identity, _ = await whoami(self._api.client)
        return identity

    async def entries(self) -> Sequence[Entry]:
        """All channels but archived ones, and all people who have not left."""
        return [entry async for page in pages(self._api.client, self._account) for entry in page]

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        await self._api.close()


async def whoami(client: AsyncWebClient) -> tuple[Identity, str]:
    """Who the token belongs to, and the workspace's address. Raises SendError and its kinds."""
    answer = await call(client, "auth.test")
    identity = Identity(str(answer["user_id"]), str(answer["user"]), str(answer["team"]))
    return identity, str(answer.get("url") or "")


async def pages(client: AsyncWebClient, account: str) -> AsyncIterator[list[Entry]]:
    """Channels, then people, a page at a time; waits where Slack says so.

    Raises SendError and its kinds.
    """
    async for page in _paged(client, "conversations.list", "channels", _CHANNELS):
        yield _read(page, lambda one: channel_named(one, account))
    async for page in _paged(client, "users.list", "members", {}):
        here = [one for one in page if not one.get("deleted")]
        yield _read(here, lambda one: person(one, account))


async def call(client: AsyncWebClient, method: str, **params: Any) -> JsonDict:
    """One reading call. Raises SendError and its kinds."""
    return body(await attempt(client.api_call(method, http_verb="GET", params=params), method))


async def _paged(
    client: AsyncWebClient, method: str, key: str, params: JsonDict
) -> AsyncIterator[list[JsonDict]]:
    params = {"limit": PAGE, **params}
    while True:
        try:
            found = await call(client, method, **params)
        except RateLimitedError as error:
            await asyncio.sleep(error.retry_after)
            continue
        yield found.get(key) or []
        cursor = str((found.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            return
        params["cursor"] = cursor


def _read(page: list[JsonDict], convert: Callable[[JsonDict], Entry]) -> list[Entry]:
    """The readable entries of a page; one that is broken hides no other."""
    found = []
    for one in page:
        try:
            found.append(convert(one))
        except ValueError as error:
            _LOG.warning("left out of the directory: %s", error)
    return found
