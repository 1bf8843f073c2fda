"""An account's ways in and out, watched: who is connected, what is read, what is refused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from bridge.errors import RateLimitedError, SendError, UnknownOutcomeError
from bridge.messages import ChannelRef, Event, Gap, Limits, Outbound, Page, Receipt, Threads
from bridge.ports import History, Listener, Receive, Sender
from tasks import metrics, trail

Probe: TypeAlias = Callable[[], str]
"""Says what is wrong, or "" where all is well. Runs in a thread of its own and may take long."""


class Connections:
    """Which accounts are heard at the moment. May be told and asked from any thread."""

    def __init__(self) -> None:
        self._away: dict[str, str] = {}

    def heard(self, account: str) -> None:
        """The account's listener is connected."""
        self._away[account] = ""

    def lost(self, account: str, reason: str) -> None:
        """The account's listener has lost its connection."""
        self._away[account] = reason

    def probe(self, account: str) -> Probe:
        """Looks whether an account is heard."""
        return lambda: self._away.get(account, "not connected yet")


connections = Connections()
"""Those of this process."""


@runtime_checkable
class _Counting(Protocol):
    """A listener that counts what it could not read."""

    malformed: int


class WatchedListener:
    """Tells `connections` whether it hears, and counts how often it was lost."""

    def __init__(self, inner: Listener, account: str) -> None:
        self._inner = inner
        self._account = account
        self._malformed = 0

    async def listen(self, receive: Receive) -> None:
        """See Listener."""

        async def hand_on(event: Event) -> None:
            if isinstance(event, Gap):
                connections.heard(self._account)
            self._count_malformed()
            await receive(event)
            trail.committed(event)

        try:
            await self._inner.listen(hand_on)
        except asyncio.CancelledError:
            connections.lost(self._account, "stopped")
            raise
        except Exception as error:
            self._lost(str(error) or type(error).__name__)
            raise
        self._lost("the connection ended")

    def _lost(self, reason: str) -> None:
        self._count_malformed()
        connections.lost(self._account, reason)
        metrics.listener_lost.labels(self._account).inc()

    def _count_malformed(self) -> None:
        if isinstance(self._inner, _Counting):
            metrics.malformed.labels(self._account).inc(self._inner.malformed - self._malformed)
            self._malformed = self._inner.malformed


class WatchedSender:
    """Counts what a platform refuses, and what nobody knows the outcome of."""

    def __init__(self, inner: Sender, account: str) -> None:
        self._inner = inner
        self._account = account

    @property
    def limits(self) -> Limits:
        """See Sender."""
        return self._inner.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._inner.limits = limits

    async def send(self, outbound: Outbound) -> Receipt:
        """See Sender."""
        with counted(self._account):
            return await self._inner.send(outbound)

    async def close(self) -> None:
        """See Sender."""
        await self._inner.close()


class WatchedHistory:
    """Counts look-ups, pages and refusals."""

    def __init__(self, inner: History, account: str) -> None:
        self._inner = inner
        self._account = account

    async def find(self, outbound: Outbound, after: str) -> Receipt | None:
        """See History."""
        result = "failed"
        try:
            with counted(self._account):
                found = await self._inner.find(outbound, after)
            result = "found" if found else "not found"
        finally:
            metrics.looked_up.labels(self._account, result).inc()
        return found

    async def look(self, channel: ChannelRef, native_id: str, thread: str) -> Sequence[Event]:
        """See History."""
        with counted(self._account):
            return await self._inner.look(channel, native_id, thread)

    def missed(
        self, channel: ChannelRef, after: int, roots_after: int, known: Threads
    ) -> AsyncIterator[Page]:
        """See History."""
        return _Pages(self._inner.missed(channel, after, roots_after, known), self._account)

    async def close(self) -> None:
        """See History."""
        await self._inner.close()


class _Pages:
    """Pages, counted. No generator: after an error the same iterator may go on."""

    def __init__(self, inner: AsyncIterator[Page], account: str) -> None:
        self._inner = inner
        self._account = account

    def __aiter__(self) -> "_Pages":
        return self

    async def __anext__(self) -> Page:
        with counted(self._account):
            page = await anext(self._inner)
        metrics.backfill_pages.labels(self._account).inc()
        trail.read(page)
        return page


@contextlib.contextmanager
def counted(account: str) -> Iterator[None]:
    """Count the errors of a platform that say something about it; they rise as they are."""
    try:
        yield
    except SendError as error:
        if isinstance(error, RateLimitedError):
            metrics.rate_limited.labels(account, error.scope).inc()
        elif isinstance(error, UnknownOutcomeError):
            metrics.unknown.labels(account).inc()
        raise
