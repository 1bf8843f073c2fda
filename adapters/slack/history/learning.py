"""The names that a piece of history speaks of, looked up before it is read."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.convert import Context, channel_named, person
from adapters.slack.directory import call, whoami
from adapters.slack.failures import harmless
from adapters.slack.history.shown import shown
from adapters.slack.names import Names
from adapters.slack.payload import JsonDict
from bridge.errors import PermanentError, SendError
from bridge.messages import Identity

_LOG = logging.getLogger(__name__)
_NEVER = datetime.min.replace(tzinfo=UTC)


class Learner:
    """Knows what it was told once. One event loop owns it; it asks one question at a time."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._known = _Missing()
        self._asked: set[str] = set()
        self._turn = asyncio.Lock()
        self._us: tuple[Identity, str] | None = None

    async def us(self, client: AsyncWebClient) -> tuple[Identity, str]:
        """Who we are, and the workspace's address. Raises SendError and its kinds."""
        if self._us is None:
            try:
                self._us = await whoami(client)
            except SendError as error:
                raise harmless(error) from error
        return self._us

    async def context(
        self, client: AsyncWebClient, channel: str, messages: Iterable[JsonDict]
    ) -> Context:
        """What these messages of a channel are to be read with.

        A person whose name cannot be had stays without. Whether the channel is private has to be
        known: raises SendError and its kinds where it cannot be asked now.
        """
        async with self._turn:
            _, home = await self.us(client)
            context = Context(self._account, self._known, home)
            self._known.forget_missing()
            self._known.channel(channel)
            for message in messages:
                with contextlib.suppress(ValueError):
                    shown(message, context, channel, _NEVER, None)
            channels = self._known.unknown_channels(*self._known.channels_missing - self._asked)
            await self._ask_channels(client, sorted(channels), channel)
            people = self._known.unknown_people(*self._known.people_missing - self._asked)
            await self._ask_people(client, sorted(people))
            return context

    async def _ask_channels(
        self, client: AsyncWebClient, native_ids: list[str], needed: str
    ) -> None:
        for native_id in native_ids:
            try:
                answer = await call(client, "conversations.info", channel=native_id)
                self._known.note(channel_named(answer["channel"], self._account))
            except (PermanentError, KeyError, ValueError) as error:
                self._stays_unknown(native_id, error)
            except SendError as error:
                if native_id == needed:
                    raise harmless(error) from error
                _LOG.info("the name of %s has to wait: %s", native_id, error)

    async def _ask_people(self, client: AsyncWebClient, native_ids: list[str]) -> None:
        for native_id in native_ids:
            try:
                answer = await call(client, "users.info", user=native_id)
                self._known.note(person(answer["user"], self._account))
            except (PermanentError, KeyError, ValueError) as error:
                self._stays_unknown(native_id, error)
            except SendError as error:
                _LOG.info("names have to wait: %s", error)
                return

    def _stays_unknown(self, native_id: str, error: Exception) -> None:
        self._asked.add(native_id)
        _LOG.info("the name of %s stays unknown: %s", native_id, error)


class _Missing(Names):
    """Names that remember which they were asked for in vain."""

    def __init__(self) -> None:
        super().__init__()
        self.people_missing: set[str] = set()
        self.channels_missing: set[str] = set()

    def forget_missing(self) -> None:
        """Begin to remember anew."""
        self.people_missing.clear()
        self.channels_missing.clear()

    def person(self, native_id: str) -> str:
        name = super().person(native_id)
        if not name:
            self.people_missing.add(native_id)
        return name

    def channel(self, native_id: str) -> str:
        name = super().channel(native_id)
        if not name:
            self.channels_missing.add(native_id)
        return name
