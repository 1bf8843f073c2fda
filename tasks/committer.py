"""Natural group commit: what arrives while a transaction runs shares the next one."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from bridge.errors import StoreError
from bridge.intake import Intake, Taken, account_of
from bridge.messages import (
    ChannelNamed,
    Deleted,
    Edited,
    Event,
    Gap,
    PersonNamed,
    Posted,
    Reacted,
    Shown,
)
from tasks import metrics
from tasks.bells import Bells

MOST_EVENTS = 500
"""Events in one transaction at most."""
_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Waiting:
    event: Event
    done: asyncio.Future[None]


class Committer:
    """Hands batches of events to the intake, on the one thread that may use it."""

    def __init__(self, intake: Intake, bells: Bells) -> None:
        self._intake = intake
        self._bells = bells
        self._queue: list[_Waiting] = []
        self._more = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._gaps: dict[str, Callable[[], None]] = {}
        self._lost: dict[tuple[str, str], Gap] = {}
        self._names: list[Event] = []

    def on_gap(self, account: str, request: Callable[[], None]) -> None:
        """Call `request` whenever a gap of the account has been committed."""
        self._gaps[account] = request

    async def receive(self, event: Event) -> None:
        """Return once the event is committed; raises StoreError when it could not be."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(event, done))
        self._more.set()
        await done

    async def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run other work of the store on the same thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(work, *arguments))

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            await self._more.wait()
            batch, self._queue = self._queue[:MOST_EVENTS], self._queue[MOST_EVENTS:]
            if not self._queue:
                self._more.clear()
            if batch or self._lost or self._names:
                await self._commit(batch)

    def close(self) -> None:
        """Let the store's thread end."""
        self._thread.shutdown()

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        now = datetime.now(UTC)
        # what could not be stored is a gap, and is read up once the store is there again
        gaps = [replace(gap, at=now) for gap in self._lost.values()]
        events = [*gaps, *self._names, *(one.event for one in batch)]
        try:
            taken: Taken = await self.call(self._intake.take, events, now)
        except Exception as error:  # noqa: BLE001  (whoever waits for the commit gets it)
            self._failed(batch, error)
            return
        self._lost.clear()
        self._names.clear()
        for one in batch:
            if not one.done.done():
                one.done.set_result(None)
        self._bells.ring(taken.owed)
        metrics.count_taken(taken)
        for event in events:
            if isinstance(event, Gap) and event.account in self._gaps:
                self._gaps[event.account]()
        _log(len(batch), taken)

    def _failed(self, batch: Sequence[_Waiting], error: Exception) -> None:
        if isinstance(error, StoreError):
            log.warning("not stored", events=len(batch), reason=str(error))
        else:
            log.error("intake failed", events=len(batch), exc_info=error)
            error = StoreError(f"intake failed: {type(error).__name__}")
        for one in batch:
            self._lose(one.event)
            if not one.done.done():
                one.done.set_exception(error)
        asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._more.set)

    def _lose(self, event: Event) -> None:
        """Remember what a commit that failed leaves open; names are told again as they are."""
        if isinstance(event, ChannelNamed | PersonNamed):
            self._names.append(event)
            return
        gap = _gap(event)
        known = self._lost.get((gap.account, gap.channel), gap)
        position = min(filter(None, (known.position, gap.position)), default=0)
        self._lost[gap.account, gap.channel] = replace(gap, position=position)


def _gap(event: Event) -> Gap:
    """The gap that an event leaves which could not be stored: in its channel, from before it on."""
    now = datetime.now(UTC)
    match event:
        case Gap():
            return replace(event, position=0)
        case Posted(channel=channel, position=position):
            return Gap(channel.account, position - 1, now, channel.id)
        case Edited(message=message) | Shown(message=message):
            return Gap(message.channel.account, 0, now, message.channel.id)
        case Deleted(channel=channel) | Reacted(channel=channel):
            return Gap(channel.account, 0, now, channel.id)
        case _:
            return Gap(account_of(event), 0, now)


def _log(events: int, taken: Taken) -> None:
    if taken.stored or taken.cancelled or taken.quarantined:
        log.info(
            "took in",
            events=events,
            stored=taken.stored,
            owed=len(taken.owed),
            cancelled=taken.cancelled,
            quarantined=taken.quarantined,
        )
