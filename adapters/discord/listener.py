"""The way in: gateway dispatches become events, in order, and are handed to `receive`."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from adapters.discord.convert import convert, unfold
from adapters.discord.directory import is_guild
from adapters.discord.errors import translate
from adapters.discord.gateway import Gateway
from adapters.discord.known import Known
from adapters.discord.payload import JsonDict
from adapters.discord.settings import DiscordSettings
from bridge.errors import StoreError
from bridge.messages import ChannelNamed, Edited, Event, Gap, PersonNamed, Shown
from bridge.ports import Receive

MOST_WAITING = 5000
"""Events in the hands of `receive` at once; beyond that the gateway is read no further."""

DISPATCHES = (
    *("READY", "GUILD_CREATE", "GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE"),
    *("GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE"),
    *("CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE"),
    *("THREAD_CREATE", "THREAD_UPDATE", "THREAD_DELETE", "THREAD_LIST_SYNC"),
    *("MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK"),
    *("MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"),
)

_IDS = ("id", "message_id", "channel_id", "guild_id")
_log = logging.getLogger(__name__)


class DiscordListener:
    """Listens for one account. `malformed` counts dispatches that could not be read."""

    def __init__(self, account: str, settings: DiscordSettings) -> None:
        self._account = account
        self._settings = settings
        self.malformed = 0

    async def listen(self, receive: Receive) -> None:
        """Stay connected and hand on every event until cancelled.

        Raises PermanentError where an admin must act (token, intents), RetryableError when the
        session is lost, StoreError when an event could not be stored: whoever starts it again
        then reads the history.
        """
        try:
            await self._listen(receive)
        except Exception as error:
            mapped = translate(error, self._account, sent=False)
            if mapped is None or mapped is error:
                raise
            raise mapped from error

    async def _listen(self, receive: Receive) -> None:
        lost: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                inbox = _Inbox(receive, group)
                session = _Session(self._account, self._settings.guild, inbox.put, self._odd)
                handlers = {name: partial(session.dispatch, name) for name in DISPATCHES}
                gateway = Gateway(self._settings, handlers)
                try:
                    async with gateway:
                        await gateway.run_session(inbox.room)
                except Exception as error:  # noqa: BLE001 - kept until all in hand is stored
                    lost = error
        except ExceptionGroup as failed:
            # a group that ends by an error forgets that it was cancelled at the same time
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError from failed
            raise failed.exceptions[0] from None
        if lost:
            raise lost

    def _odd(self, name: str, data: Any, error: Exception) -> None:
        """Count and log a dispatch that cannot be read; the ids tell where to look."""
        self.malformed += 1
        ids = {key: data.get(key) for key in _IDS} if isinstance(data, dict) else {}
        told = " ".join(f"{key}={value!s:.24}" for key, value in ids.items() if value)
        # A ValueError says what is wrong by itself; anything else is our bug and needs its trace.
        _log.error(
            "%s: %s cannot be read (%s): %s",
            self._account,
            name,
            told or "no ids",
            error,
            exc_info=None if isinstance(error, ValueError) else error,
        )


class _Session:
    """What one gateway session knows, and how its dispatches become events."""

    def __init__(
        self,
        account: str,
        guild: str,
        put: Callable[[Event], None],
        odd: Callable[[str, Any, Exception], None],
    ) -> None:
        self._account = account
        self._wanted = guild
        self._put = put
        self._odd = odd
        self._known = Known()
        self._strange: set[str] = set()

    def dispatch(self, name: str, data: Any) -> None:
        """Hand on what a dispatch tells. Never raises: one odd event must not end the session."""
        try:
            if self._elsewhere(name, data):
                return
            for part, fields in unfold(name, data):
                self._part(part, fields)
        except Exception as error:  # noqa: BLE001
            self._odd(name, data, error)

    def _part(self, name: str, fields: JsonDict) -> None:
        try:
            events = convert(self._account, name, fields, self._known, datetime.now(UTC))
            self._known.learn(name, fields)
        except Exception as error:  # noqa: BLE001
            self._odd(name, fields, error)
        else:
            for event in events:
                self._put(event)

    def _elsewhere(self, name: str, data: Any) -> bool:
        """Whether this is about another server than the account's."""
        if not self._wanted or not isinstance(data, dict):
            return False
        if name == "GUILD_CREATE" and not is_guild(data, self._wanted):
            self._strange.add(str(data.get("id")))
        return str(data.get("id" if name == "GUILD_CREATE" else "guild_id")) in self._strange


class _Inbox:
    """Calls `receive` for one event after the other without waiting for the commits between.

    Tasks start in the order they are made, so `receive` is entered in the order of arrival, and
    what arrives while a commit runs can share the next one. Only a Gap is waited for: what was
    heard after it is held until it is stored.
    """

    def __init__(self, receive: Receive, group: asyncio.TaskGroup) -> None:
        self._receive = receive
        self._group = group
        self._waiting = 0
        self._space = asyncio.Event()
        self._held: list[Event] | None = None

    def put(self, event: Event) -> None:
        """Start handing over an event."""
        self._waiting += 1
        if self._held is not None:
            self._held.append(event)
        elif isinstance(event, Gap):
            self._held = []
            self._group.create_task(self._open(event))
        else:
            self._group.create_task(self._hand_over(event))

    async def room(self) -> None:
        """Wait while too much is under way."""
        while self._waiting >= MOST_WAITING:
            self._space.clear()
            await self._space.wait()

    async def _open(self, gap: Gap) -> None:
        await self._hand_over(gap)
        held, self._held = self._held or [], None
        for event in held:
            self._group.create_task(self._hand_over(event))

    async def _hand_over(self, event: Event) -> None:
        try:
            await self._receive(event)
        except StoreError as error:
            _log.error("%s was not stored: %s", _name(event), error)
            raise
        finally:
            self._waiting -= 1
            self._space.set()


def _name(event: Event) -> str:
    match event:
        case PersonNamed(account=account, person=person):
            return f"{account}:@{person}"
        case ChannelNamed(channel=channel):
            return f"{channel.account}:{channel.id}"
        case Gap(account=account):
            return f"{account}: a gap"
        case Edited(message=message) | Shown(message=message):
            return _name(message)
        case _:
            return f"{event.channel.account}:{event.channel.id} {event.native_id}"
