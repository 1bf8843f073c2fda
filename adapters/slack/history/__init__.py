"""What Slack remembers: whether we posted something, how a message stands, what we missed."""

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

from adapters.slack.convert import Context
from adapters.slack.history.asking import Answer, Ask, Asker, place
from adapters.slack.history.learning import Learner
from adapters.slack.history.shown import Reactions, cut, deleted, reactions, shown
from adapters.slack.history.walk import LATEST, Piece, Plan, asked, asked_thread, walk
from adapters.slack.payload import JsonDict, delivery_key, position, position_at
from adapters.slack.settings import SlackSettings
from bridge.errors import PermanentError, RetryableError
from bridge.messages import ChannelRef, Deleted, Event, Outbound, Page, Receipt, Shown

_LOG = logging.getLogger(__name__)
LOOK_BACK = timedelta(days=7)
"""So far back goes the search for a message in a lane that has no receipt yet."""


class SlackHistory:
    """The history of one account, see bridge.ports.History. One event loop owns it."""

    def __init__(self, account: str, settings: SlackSettings) -> None:
        self._account = account
        self._asker = Asker(account, settings)
        self._learner = Learner(account)

    async def find(self, outbound: Outbound, after: str) -> Receipt | None:
        """Look for the message that carries this delivery's key, later than `after`."""
        us, _ = await self._learner.us(self._asker.client)
        channel = await self._asker.native(outbound.channel)
        first = position(after) + 1 if after else position_at(datetime.now(UTC) - LOOK_BACK)
        ask = asked(channel, first, LATEST)
        if outbound.thread:
            ask = asked_thread(channel, outbound.thread, first)
        async for answer in self._asker.pages(ask):
            for message in answer.messages:
                ours = message.get("user") == us.person
                if ours and delivery_key(message) == outbound.key and place(message) >= first:
                    return Receipt(message["ts"], place(message))
        return None

    async def look(self, channel: ChannelRef, native_id: str, thread: str) -> Sequence[Event]:
        """How a message stands: a root with its replies, a reply alone.

        Raises RetryableError where it is so young that history may not show it yet.
        """
        native, at = await self._asker.native(channel), position(native_id)
        ask = asked_thread(native, native_id)
        if thread:
            ask = asked_thread(native, thread, at, at)
        answers = [answer async for answer in self._asker.pages(ask)]
        found = {one["ts"]: one for answer in answers for one in answer.messages}
        if native_id not in found:
            return await self._gone(native, native_id, answers[0])
        wanted = [one for ts, one in found.items() if ts == native_id or not thread]
        return await self._shown(native, wanted, answers[0].at)

    def missed(self, channel: ChannelRef, after: int, roots_after: int) -> AsyncIterator[Page]:
        """Read up a channel. After an error the same iterator goes on from where it was.

        No page claims to be complete for the last seconds, in which history lags behind.
        """
        return _Missed(self, channel, after, roots_after)

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        await self._asker.close()

    async def begin(self, channel: ChannelRef, after: int, roots_after: int) -> Plan[None]:
        """The walk through a channel."""
        return walk(await self._asker.native(channel), after, roots_after)
