"""The way in from Slack: Socket Mode with slack-bolt, every event committed before its ack."""

import asyncio

from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.client import Api
from adapters.slack.connection import hold
from adapters.slack.convert import Context
from adapters.slack.directory import whoami
from adapters.slack.inbox import Inbox
from adapters.slack.names import Names
from adapters.slack.payload import JsonDict
from adapters.slack.settings import SlackSettings
from bridge.ports import Receive

GRACE_SECONDS = 2.0
"""So long the connection waits for names; with many people it opens before all are known."""


class SlackListener:
    """The listener of one account. `malformed` counts events that were left out as unreadable."""

    def __init__(
        self, account: str, settings: SlackSettings, *, grace: float = GRACE_SECONDS
    ) -> None:
        self._account = account
        self._settings = settings
        self._grace = grace
        self._inbox: Inbox | None = None
        self._counted = 0

    @property
    def malformed(self) -> int:
        """How many events were left out, over all connections."""
        return self._counted + (self._inbox.malformed if self._inbox else 0)

    async def listen(self, receive: Receive) -> None:
        """Stay connected and hand on every event until cancelled, see bridge.ports.Listener.

        Raises SendError and its kinds where Slack refuses us, ConnectionError where a connection
        cannot be restored, StoreError where the names or a gap could not be stored.
        """
        api = Api(self._settings)
        try:
            _, home = await whoami(api.client)
            self._inbox = Inbox(api.client, Context(self._account, Names(), home), receive)
            await self._listen(api.client, self._inbox)
        finally:
            await self._close_inbox()
            await api.close()

    async def _close_inbox(self) -> None:
        if self._inbox:
            await self._inbox.close()
            self._counted, self._inbox = self.malformed, None

    async def _listen(self, client: AsyncWebClient, inbox: Inbox) -> None:
        names = asyncio.create_task(inbox.load_names())
        tasks = {names}
        try:
            await asyncio.wait(tasks, timeout=self._grace)
            app_token = self._settings.app_token.get_secret_value()
            holding = hold(bolt(client, inbox), app_token, inbox.hello)
            tasks.add(asyncio.create_task(holding))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def bolt(client: AsyncWebClient, inbox: Inbox) -> AsyncApp:
    """A Bolt app whose only middleware commits and answers.

    It answers before Bolt's own steps, which would drop our own messages, acknowledge events
    after a failed auth.test and leave events without a handler unacknowledged.
    """

    async def commit(body: JsonDict) -> BoltResponse:
        return await inbox.take(body)

    return AsyncApp(
        client=client,
        before_authorize=commit,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
        ignoring_self_events_enabled=False,
        ignoring_self_assistant_message_events_enabled=False,
    )
