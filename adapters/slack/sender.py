"""The way out to Slack: one chat.postMessage per delivery."""

import asyncio
import uuid

from adapters.slack.client import CALL_SECONDS, Api, attempt, body
from adapters.slack.direct import Conversations
from adapters.slack.markup import render
from adapters.slack.payload import METADATA, JsonDict, position
from adapters.slack.settings import SlackSettings
from bridge.errors import UnknownOutcomeError
from bridge.messages import Limits, Outbound, Receipt

_KEYS = uuid.uuid5(uuid.NAMESPACE_DNS, "chatbridge.delivery")


class SlackSender:
    """The sender of one account. One event loop owns it."""

    limits = Limits(lane_seconds=1.0, lane_burst=3)

    def __init__(self, account: str, settings: SlackSettings) -> None:
        self._account = account
        self._api = Api(settings)
        self._conversations = Conversations(account)

    async def send(self, outbound: Outbound) -> Receipt:
        """Make one attempt, cut after 10 seconds. Raises SendError and its kinds."""
        deadline = asyncio.get_running_loop().time() + CALL_SECONDS
        client = self._api.client
        channel = await self._conversations.native(client, outbound.channel, deadline)
        doing = f"{self._account}: posting to {channel}"
        posting = client.chat_postMessage(**arguments(outbound, channel))
        ts = body(await attempt(posting, doing, deadline)).get("ts")
        if not ts:
            raise UnknownOutcomeError(f"{doing}: Slack named no message")
        return Receipt(str(ts), position(str(ts)))

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        await self._api.close()


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
