"""What Slack remembers: whether we posted something, how a message stands, what we missed."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from adapters.slack.history.asking import place
from adapters.slack.history.missed import Missed
from adapters.slack.history.reading import Reader
from adapters.slack.history.walk import LATEST, NOTHING, asked, asked_thread
from adapters.slack.payload import delivery_key, position, position_at
from adapters.slack.settings import SlackSettings
from bridge.messages import ChannelRef, Event, Outbound, Page, Receipt, Threads

LOOK_BACK = timedelta(days=7)
"""So far back goes the search for a message in a lane that has no receipt yet."""


class SlackHistory:
    """The history of one account, see bridge.ports.History. One event loop owns it."""

    def __init__(self, account: str, settings: SlackSettings) -> None:
        self._reader = Reader(account, settings)

    async def find(self, outbound: Outbound, after: str) -> Receipt | None:
        """Look for our message that carries this delivery's key, later than `after`."""
        asker, us = self._reader.asker, await self._reader.us()
        channel = await asker.native(outbound.channel)
        first = position(after) + 1 if after else position_at(datetime.now(UTC) - LOOK_BACK)
        ask = asked(channel, first, LATEST)
        if outbound.thread:
            ask = asked_thread(channel, outbound.thread, first)
        async for answer in asker.pages(ask):
            for message in answer.messages:
                ours = message.get("user") == us and place(message) >= first
                if ours and delivery_key(message) == outbound.key:
                    return Receipt(message["ts"], place(message))
        return None

    async def look(self, channel: ChannelRef, native_id: str, thread: str) -> Sequence[Event]:
        """How a message stands, and every reply where it is not one itself.

        Raises RetryableError where it is so young that history may not show it yet.
        """
        asker, at = self._reader.asker, position(native_id)
        native = await asker.native(channel)
        # an ordinary message is a thread of one, so this is a single call for both
        ask = asked_thread(native, thread, at, at) if thread else asked_thread(native, native_id)
        answers = [answer async for answer in asker.pages(ask)]
        about = {
            one["ts"]: one
            for answer in answers
            for one in answer.messages
            if native_id in {one["ts"], one.get("thread_ts")}
        }
        if native_id not in about:
            return (await self._reader.gone(native, native_id, answers[0]),)
        return await self._reader.read(native, list(about.values()), answers[0].at)

    def missed(
        self, channel: ChannelRef, after: int, roots_after: int, known: Threads = NOTHING
    ) -> AsyncIterator[Page]:
        """Read up a channel. After an error the same iterator goes on from where it was.

        No page says that it is complete for the last seconds, in which history lags behind.
        """
        return Missed(self._reader, channel, after, roots_after, known)

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        await self._reader.asker.close()
