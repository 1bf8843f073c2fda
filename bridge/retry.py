"""When again, or give up: the only judge of a failed attempt. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from bridge.errors import PermanentError, RateLimitedError, SendError, UnknownOutcomeError

MOST_TRIES = 8
"""After so many failed tries of one delivery it is dead, so that its lane goes on."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries at most, unless the platform names a longer wait."""
LONGEST_LIMIT = 86400.0
"""A platform that asks for a longer wait than that is not believed."""
SURE_SECONDS = 10.0
"""After an answer (or the death of whoever asked), "not found" counts from so long after on."""
LOST_SECONDS = 30.0
"""After a call without any answer: the platform may still accept it for a while."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try once more, at `at`.

    `unknown` says that the attempt may have succeeded; a look-up that finds nothing counts from
    `sure_at` on. `counts` is false where the delivery is not at fault. `everywhere`: the whole
    account waits.
    """

    at: datetime
    reason: str
    unknown: bool = False
    counts: bool = True
    sure_at: datetime | None = None
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The delivery is dead."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Nobody can tell whether it arrived: a person decides."""

    reason: str


Verdict: TypeAlias = Again | GiveUp


def judge(
    error: SendError,
    *,
    attempts: int,
    others_succeed: bool,
    due_at: datetime,
    now: datetime,
    give_up: float,
    jitter: float,
) -> Verdict:
    """What follows from a failed attempt, the `attempts`th of its delivery (1 for the first).

    `others_succeed` says that other lanes of the account got through meanwhile, so that the fault
    is this delivery's own. `give_up` is seconds after `due_at`; `jitter` is a number from 0 to 1
    that spreads the tries of many workers. A rate limit never counts as a try.
    """
    reason = str(error) or type(error).__name__
    if isinstance(error, PermanentError):
        return GiveUp(reason)
    if (now - due_at).total_seconds() > give_up:
        return GiveUp(f"given up {give_up / 3600:g} h after it was due: {reason}")
    if isinstance(error, RateLimitedError):
        wait = min(max(error.retry_after, 0.1), LONGEST_LIMIT) * (1 + 0.1 * jitter)
        everywhere = error.scope == "account"
        until = now + timedelta(seconds=wait)
        return Again(until, reason, counts=False, everywhere=everywhere)
    if attempts >= MOST_TRIES and others_succeed:
        return GiveUp(f"given up after {attempts} tries: {reason}")
    wait = min(2.0 ** min(attempts - 1, 10), LONGEST_PAUSE) * (0.5 + 0.5 * jitter)
    at = now + timedelta(seconds=wait)
    if not isinstance(error, UnknownOutcomeError):
        return Again(at, reason)
    sure = timedelta(seconds=SURE_SECONDS if error.answered else LOST_SECONDS)
    return Again(at, reason, unknown=True, sure_at=now + sure)
