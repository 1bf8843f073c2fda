"""Reads up what was missed: after every gap, channel by channel, through the same intake."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog

from bridge import cursors
from bridge.cursors import Behind
from bridge.errors import PermanentError, RateLimitedError, SendError, StoreError
from bridge.intake import Intake
from bridge.ports import History
from tasks.bells import Bells
from tasks.wiring import Account, jitter

_LONGEST_PAUSE = 60.0

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

    def request(self) -> None:
        """There is a gap to be closed."""
        self._wanted.set()

    async def run(self) -> None:
        """Close gaps until cancelled."""
        failures = 0
        self.request()  # a gap may be left from before
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._close_gaps()
                failures = 0
            except (SendError, StoreError) as error:
                failures += 1
                wait = min(2.0**failures, _LONGEST_PAUSE) * (0.5 + 0.5 * jitter())
                if isinstance(error, RateLimitedError):
                    wait = error.retry_after
                log.warning("backfill waits", account=self._account.name, reason=str(error))
                await asyncio.sleep(wait)
                self.request()

    async def _close_gaps(self) -> None:
        behind: list[Behind] = await self._run(self._behind)
        if not behind:
            return
        log.info("backfill", account=self._account.name, channels=len(behind))
        history = self._account.history()
        read = 0
        try:
            for done, channel in enumerate(behind, start=1):
                read += await self._read_up(history, channel)
                log.info(
                    "caught up",
                    account=self._account.name,
                    channel=channel.name or channel.channel.id,
                    done=f"{done}/{len(behind)}",
                    messages=read,
                )
        finally:
            await history.close()

    async def _read_up(self, history: History, behind: Behind) -> int:
        """Read one channel to its end, then let the rules judge; returns the messages read."""
        read = 0
        after, roots_after = await self._run(self._reading_from, behind)
        try:
            async for page in history.missed(behind.channel, after, roots_after):
                taken = await self._run(self._intake.read_up, behind.channel, page, _now())
                read += taken.stored
        except RateLimitedError:
            raise
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
            taken, done = await self._run(self._intake.catch_up, behind, _now())
            self._bells.ring(taken.owed)
        return read

    def _behind(self) -> list[Behind]:
        with self._intake.store.reading() as session:
            return cursors.behind(session, self._account.name)

    def _reading_from(self, behind: Behind) -> tuple[int, int]:
        with self._intake.store.reading() as session:
            return cursors.reading_from(session, behind, _now())


def _now() -> datetime:
    return datetime.now(UTC)
