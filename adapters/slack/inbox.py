"""From an envelope to a commit, and only then to its acknowledgement."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any

from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.convert import Context, channel_named, events, is_known, person
from adapters.slack.directory import call, pages
from adapters.slack.payload import JsonDict, position_at
from bridge.errors import PermanentError, SendError, StoreError
from bridge.messages import ChannelNamed, Edited, Event, Gap, PersonNamed, Posted
from bridge.ports import Receive

_LOG = logging.getLogger(__name__)
ACKNOWLEDGED = 200
WITHHELD = 503
"""Anything but 200 keeps Bolt from acknowledging, and Slack sends the event again."""


class Inbox:
    """What one listener does with what arrives.

    Counts what it could not read in `malformed`, and what it has no use for in `unknown`.
    """

    def __init__(self, client: AsyncWebClient, context: Context, receive: Receive) -> None:
        self.malformed = 0
        self.unknown = 0
        self._client = client
        self._context = context
        self._receive = receive
        self._asked: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gap: asyncio.Task[None] | None = None

    async def hello(self) -> None:
        """Report what may have been missed up to now; what is taken from now on waits for that.

        Raises what `receive` raises.
        """
        now = datetime.now(UTC)
        gap = Gap(self._context.account, position_at(now), now)
        # no await before this: the events behind the greeting have their tasks already
        self._gap = task = asyncio.create_task(self._commit(gap))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await task

    async def take(self, payload: JsonDict) -> BoltResponse:
        """Commit what an envelope says; everything that is not for us is acknowledged as well.

        Raises what `receive` raises but for StoreError; in both cases Slack sends it again.
        """
        this = asyncio.current_task()
        if this is None:
            raise RuntimeError("an inbox works in a task")
        self._tasks.add(this)
        try:
            await self._gap_stored()
            found = self._read(payload)
            for event in found:
                await self._commit(event)
        except StoreError as error:
            _LOG.warning("not stored, so not acknowledged: %s: %s", payload.get("event_id"), error)
            return BoltResponse(status=WITHHELD, body="")
        finally:
            self._tasks.discard(this)
        self._wonder(found)
        return BoltResponse(status=ACKNOWLEDGED, body="")

    async def load_names(self) -> None:
        """Learn and report every name there is; where Slack refuses that, the ids have to do.

        Raises StoreError, and SendError where asking again may help.
        """
        try:
            async for page in pages(self._client, self._context.account):
                await asyncio.gather(*(self._commit(entry) for entry in page))
        except PermanentError as error:
            _LOG.warning("names stay unknown: %s", error)

    async def close(self) -> None:
        """Stop what is still going on; nothing of it is acknowledged."""
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _read(self, payload: JsonDict) -> list[Event]:
        event = payload.get("event")
        if payload.get("type") != "event_callback" or not isinstance(event, dict):
            return []
        if not is_known(event):
            self.unknown += 1
            _LOG.info(
                "an event of another kind: %s: %s", payload.get("event_id"), event.get("type")
            )
            return []
        try:
            return events(event, self._context)
        except ValueError as error:
            self.malformed += 1
            _LOG.warning("left out a malformed event: %s: %s", payload.get("event_id"), error)
            return []

    async def _gap_stored(self) -> None:
        if self._gap:
            await asyncio.wait({self._gap})
            self._gap.result()

    async def _commit(self, event: Event) -> None:
        self._context.names.note(event)
        await self._receive(event)

    def _wonder(self, found: Iterable[Event]) -> None:
        """Ask for names that were missing: after the commit, so that no event waits for it."""
        names = self._context.names
        for event in found:
            message = event.message if isinstance(event, Edited) else event
            if isinstance(message, Posted):
                for native_id in names.unknown_people(message.author, *message.mentions):
                    self._ask(native_id, self._person)
                for native_id in names.unknown_channels(message.channel.id):
                    self._ask(native_id, self._channel)

    def _ask(
        self, native_id: str, look: Callable[[str], Coroutine[Any, Any, ChannelNamed | PersonNamed]]
    ) -> None:
        if native_id not in self._asked:
            self._asked.add(native_id)
            task = asyncio.create_task(self._learn(native_id, look(native_id)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _learn(
        self, native_id: str, look: Coroutine[Any, Any, ChannelNamed | PersonNamed]
    ) -> None:
        try:
            await self._commit(await look)
        except (PermanentError, ValueError) as error:
            _LOG.info("the name of %s stays unknown: %s", native_id, error)
        except (SendError, StoreError) as error:
            self._asked.discard(native_id)
            _LOG.info("the name of %s has to wait: %s", native_id, error)

    async def _person(self, native_id: str) -> PersonNamed:
        body = await call(self._client, "users.info", user=native_id)
        return person(body["user"], self._context.account)

    async def _channel(self, native_id: str) -> ChannelNamed:
        body = await call(self._client, "conversations.info", channel=native_id)
        return channel_named(body["channel"], self._context.account)
