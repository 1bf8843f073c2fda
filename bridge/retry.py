"""When again, or give up: the only judge of a failed attempt. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from bridge.errors import PermanentError, RateLimitedError, SendError, UnknownOutcomeError

MOST_TRIES = 8
"""After so many failed tries of one delivery it is dead, so that its lane goes on."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries at most, unless the platform names a longer wait."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try once more, at `at`. `unknown` says that the attempt may have succeeded."""

    at: datetime
    reason: str
    unknown: bool = False
    counts: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The delivery is dead."""

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
        wait = max(error.retry_after, 0.1) * (1 + 0.1 * jitter)
        return Again(now + timedelta(seconds=wait), reason, counts=False)
    if attempts >= MOST_TRIES and others_succeed:
        return GiveUp(f"given up after {attempts} tries: {reason}")
    wait = min(2.0 ** min(attempts - 1, 10), LONGEST_PAUSE) * (0.5 + 0.5 * jitter)
    unknown = isinstance(error, UnknownOutcomeError)
    return Again(now + timedelta(seconds=wait), reason, unknown=unknown)
