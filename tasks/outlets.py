"""A worker's ways out, one per account, and what it makes of an attempt's end."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property

import structlog

from bridge.attempt import Blind, Outcome, Verdict, attempt
from bridge.errors import PermanentError, RetryableError, SendError, UnknownOutcomeError
from bridge.messages import Limits, Receipt
from bridge.pending import Pending
from bridge.ports import History, Sender
from bridge.retry import Again, GiveUp, judge
from tasks import metrics, trail
from tasks.budget import Budget
from tasks.wiring import Account, House, jitter

_RECENT_SECONDS = 60.0
_LONGEST_BUDGET_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Outlet:
    """One account's way out and, where it is needed, its memory."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.sender: Sender = account.sender()

    @cached_property
    def history(self) -> History:
        """What the platform remembers; opened at first use."""
        return self._account.history()

    async def close(self) -> None:
        """Give back connections."""
        await self.sender.close()
        if "history" in self.__dict__:
            await self.history.close()


class Outlets:
    """Opened at first use, on the loop that uses them."""

    def __init__(self, house: House, budget: Budget) -> None:
        self._house = house
        self._budget = budget
        self._outlets: dict[str, Outlet] = {}
        self._succeeded: dict[str, float] = {}

    async def attempt(self, job: Pending, still_ours: Callable[[], bool]) -> Verdict:
        """Try one claimed delivery, within the account's budget; says what is to be recorded.

        `still_ours` is asked right before sending.
        """
        account = job.target.account
        unknown = self._house.settings.delivery.unknown
        outcome: Outcome
        try:
            await self._wait_turn(account, self.sender(account).limits)
            outcome = await attempt(job, self, unknown, still_ours)
        except SendError as error:
            outcome = error
        except Exception:
            # a bug: the attempt was counted at the claim, so this ends after a few tries
            log.exception("sender failed", delivery=job.id, key=job.key)
            outcome = UnknownOutcomeError("the sender failed unexpectedly; see the log")
        verdict = self._verdict(job, outcome)
        metrics.count_verdict(job, verdict, datetime.now(UTC))
        return verdict

    def sender(self, account: str) -> Sender:
        """An account's way out. Raises RetryableError where config has no such account."""
        known = self._outlet(account)
        if known is None:
            raise RetryableError(f"[accounts.{account}] is no longer in the config; held")
        return known.sender

    def history(self, account: str) -> History:
        """An account's memory. Raises PermanentError where config has no such account."""
        known = self._outlet(account)
        if known is None:
            raise PermanentError(f"[accounts.{account}] is no longer in the config")
        return known.history

    def limits(self, account: str) -> Limits:
        """How fast an account may send."""
        known = self._outlets.get(account)
        return known.sender.limits if known else Limits()

    async def close(self) -> None:
        """Give back all connections."""
        for outlet in self._outlets.values():
            await outlet.close()
        await self._budget.close()

    async def _wait_turn(self, account: str, limits: Limits) -> None:
        if limits.account_rate <= 0:
            return
        wait = await self._budget.reserve(account, limits.account_rate)
        if wait > _LONGEST_BUDGET_SECONDS:
            raise RetryableError(f"{account} has used up its budget")
        if wait > 0:
            await asyncio.sleep(wait)

    def _verdict(self, job: Pending, outcome: Outcome) -> Verdict:
        account, clock = job.target.account, time.monotonic()
        known = trail.ids_of_job(job)
        if isinstance(outcome, Receipt):
            self._succeeded[account] = clock
            late = round((datetime.now(UTC) - job.due_at).total_seconds(), 3)
            log.info("sent", **known, receipt=outcome.native_id, late_s=late, n=1 + len(job.others))
            return outcome
        if isinstance(outcome, Blind) and self._too_old(job):
            return GiveUp(f"given up, it is too old: {outcome.reason}")
        if not isinstance(outcome, SendError):
            log.info("not sent yet" if isinstance(outcome, Again) else "looked", **known)
            return outcome
        verdict = judge(
            outcome,
            attempts=job.attempts + 1,
            others_succeed=clock - self._succeeded.get(account, -1e9) < _RECENT_SECONDS,
            due_at=job.due_at,
            now=datetime.now(UTC),
            give_up=self._house.settings.delivery.give_up,
            jitter=jitter(),
        )
        again = isinstance(verdict, Again)
        log.warning("not sent", **known, reason=verdict.reason, again=again)
        return verdict

    def _too_old(self, job: Pending) -> bool:
        age = (datetime.now(UTC) - job.due_at).total_seconds()
        return age > self._house.settings.delivery.give_up

    def _outlet(self, account: str) -> Outlet | None:
        known = self._house.accounts.get(account)
        if known and account not in self._outlets:
            self._outlets[account] = Outlet(known)
        return self._outlets.get(account)
