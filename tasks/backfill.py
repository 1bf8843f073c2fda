"""Reads up what was missed: after every gap, channel by channel, through the same intake."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bridge import cursors
from bridge.cursors import Behind, Reading, Start
from bridge.errors import PermanentError, RateLimitedError, SendError, StoreError
from bridge.intake import Intake, Taken
from bridge.messages import ChannelRef, Page
from bridge.models import EPOCH
from tasks import metrics
from tasks.bells import Bells
from tasks.wiring import Account, jitter

SETTLE_SECONDS = 3.0
"""A platform's history lags behind what was posted: so long after a gap it is read."""
LAG_SECONDS = 10.0
"""It may lag by more: what was read sooner than this after its gap is read once more."""
_AGAIN = 6
"""After so many times that long, unless another gap brings it about; platforms count our reads."""
_FIRST_SECONDS = 15.0
UNHURRIED_SECONDS = 30.0
"""Channels that no rule watches wait so long, so that gaps close together are read once."""
_MODEST_SECONDS = 3.0
"""At a limit backfill waits that much longer: who looks up what was sent comes first."""
_LONGEST_PAUSE = 60.0
_ALIKE = 8
"""So many neighbours in the order of channels count as equally urgent."""

Run = Callable[..., Coroutine[Any, Any, Any]]
"""Runs a function of the store on the store's thread."""

log = structlog.get_logger(__name__)


class Backfill:
    """One account's backfill. `request` may be called at any time; gaps are closed in turn."""

    def __init__(self, account: Account, intake: Intake, run: Run, bells: Bells) -> None:
        self._account = account
        self._intake = intake
        self._run = run
        self._bells = bells
        self._wanted = asyncio.Event()
        self._history = account.history()
        self._read_at: dict[ChannelRef, datetime] = {}
        watched = {ref for rule in intake.rules.rules for ref in rule.channels}
        self._watched = {ref for ref in watched if ref.account == account.name}

    def request(self) -> None:
        """There is a gap to be closed."""
        self._wanted.set()

    async def run(self) -> None:
        """Close gaps until cancelled."""
        try:
            await self._run_on()
        finally:
            await self._history.close()

    async def _run_on(self) -> None:
        failures = 0
        with contextlib.suppress(TimeoutError):
            # a listener that connects reports a gap; reading what is left from before would be vain
            await asyncio.wait_for(self._wanted.wait(), _FIRST_SECONDS)
        self.request()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                closed = await self._close_gaps()
                failures = 0
                await self._look_again(closed)
            except Exception as error:
                failures += 1
                wait = min(2.0**failures, _LONGEST_PAUSE) * (0.5 + 0.5 * jitter())
                known = isinstance(error, SendError | StoreError)
                trace = None if known else error
                log.warning(
                    "backfill waits", account=self._account.name, reason=str(error), exc_info=trace
                )
                await asyncio.sleep(wait)
                self.request()

    async def _close_gaps(self) -> list[Behind]:
        """Read up one channel after the other; returns those whose ends must be read once more.

        What is behind is asked anew each time: another gap may have opened, which this reading
        closes as well, and another listener of the account may have closed some.
        """
        young, failed, read, done = list[Behind](), dict[ChannelRef, SendError](), 0, 0
        while behind := await self._run(self._behind, failed.keys()):
            if not done:
                log.info("backfill", account=self._account.name, channels=len(behind))
            channel, done = behind[0], done + 1
            began_at = await _settled(channel.gap_at)
            self._read_at[channel.channel] = began_at
            try:
                read += await self._read_up(channel)
            except SendError as error:
                failed[channel.channel] = error  # the others need not wait for it
                continue
            if began_at < channel.gap_at + timedelta(seconds=LAG_SECONDS):
                young.append(channel)
            log.info(
                "caught up",
                account=self._account.name,
                channel=channel.name or channel.channel.id,
                left=len(behind) - 1,
                messages=read,
            )
        self._come_back(await self._run(self._rest))
        for reason in failed.values():
            raise reason
        return young

    def _come_back(self, rest: list[Behind]) -> None:
        """See to it that what is not urgent is read in time as well."""
        for one in rest[:1]:
            wait = (one.gap_at - _now()).total_seconds() + UNHURRIED_SECONDS
            asyncio.get_running_loop().call_later(max(wait, 1.0), self.request)

    async def _look_again(self, closed: list[Behind]) -> None:
        """Read the ends of these channels once more, unless another gap has to be closed first.

        They were read so soon after their gap that history may not have shown all before it.
        """
        if not closed:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), _AGAIN * LAG_SECONDS)
            return
        for one in closed:
            if self._wanted.is_set():
                return
            start = await self._run(self._end_of, one)
            with contextlib.suppress(PermanentError):
                async for page in self._pages(one, start):
                    taken = await self._run(self._intake.take, page.events, _now())
                    self._told(taken)

    async def _read_up(self, behind: Behind) -> int:
        """Read one channel to its end, then let the rules judge; returns the messages read."""
        read, reading = 0, Reading(_now())
        start = await self._run(self._reading_from, behind)
        try:
            async for page in self._pages(behind, start):
                taken = await self._run(self._intake.read_up, behind.channel, page, _now())
                reading.note(page)
                read += taken.stored
                self._told(taken)
        except PermanentError as error:
            # what cannot be read cannot be waited for: what was heard is judged as it is
            log.warning(
                "history closed to us",
                account=self._account.name,
                channel=behind.name or behind.channel.id,
                reason=str(error),
            )
        done = False
        while not done:
            taken, done = await self._run(self._intake.catch_up, behind, reading, _now())
            self._told(taken)
        return read

    async def _pages(self, behind: Behind, start: Start) -> AsyncIterator[Page]:
        """The pages of history, however long the platform makes us wait for them."""
        pages = self._history.missed(behind.channel, start.after, start.roots_after, start.threads)
        while True:
            try:
                page = await anext(pages)
            except StopAsyncIteration:
                return
            except RateLimitedError as error:
                await asyncio.sleep(error.retry_after + _MODEST_SECONDS)
            else:
                yield page

    def _told(self, taken: Taken) -> None:
        metrics.count_taken(taken)
        self._bells.ring(taken.owed)

    def _behind(self, failed: Collection[ChannelRef]) -> list[Behind]:
        """What is behind, the most urgent first: where rules wait for messages, and at all.

        Then what was read longest ago, and the most recently active. Several listeners of an
        account do not all begin with the same.
        """
        found = [one for one in self._rest() if self._is_urgent(one)]
        ranks = {
            one.channel: (
                one.channel not in self._watched,
                not one.waiting,
                self._read_at.get(one.channel, EPOCH),
                rank // _ALIKE,
                jitter(),
            )
            for rank, one in enumerate(found)
        }
        left = [one for one in found if one.channel not in failed]
        return sorted(left, key=lambda one: ranks[one.channel])

    def _rest(self) -> list[Behind]:
        with self._intake.store.reading() as session:
            return cursors.behind(session, self._account.name)

    def _is_urgent(self, one: Behind) -> bool:
        age = (_now() - one.gap_at).total_seconds()
        return not self._watched or one.channel in self._watched or age >= UNHURRIED_SECONDS

    def _end_of(self, behind: Behind) -> Start:
        with self._intake.store.reading() as session:
            return cursors.end_of(session, behind, _now())

    def _reading_from(self, behind: Behind) -> Start:
        with self._intake.store.reading() as session:
            return cursors.reading_from(session, behind, _now())


async def _settled(gap_at: datetime) -> datetime:
    """Wait until a gap has settled; returns the moment when it had."""
    wait = SETTLE_SECONDS - (_now() - gap_at).total_seconds()
    await asyncio.sleep(min(max(wait, 0.0), SETTLE_SECONDS))
    return _now()


def _now() -> datetime:
    return datetime.now(UTC)
