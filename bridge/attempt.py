"""One attempt at one claimed delivery: look up what is uncertain, look anew, or send.

Doors only: `resolve` talks to the platform through its ports; retry.py judges what failed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from bridge import render, richtext
from bridge.errors import PermanentError, RateLimitedError, SendError
from bridge.messages import Event, Limits, Outbound, Receipt
from bridge.pending import UNKNOWN, Pending
from bridge.ports import History, Sender
from bridge.retry import LONGEST_LIMIT, LOST_SECONDS, SURE_SECONDS, Again, GiveUp, Hold

RESEND, HOLD = "resend", "hold"
DIGEST = "digest"
_AFTER_SURE = timedelta(seconds=0.2)
_LOOK_AGAIN_SECONDS = 3.0
_HELD_UP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Looked:
    """How the message behind a delivery stands, read anew at `at`; all is judged again.

    `delivery` is the one tried or one that was to leave with it.
    """

    delivery: int
    at: datetime
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Blind(Again):
    """The platform could not be asked; without its answer nothing is sent."""


@dataclass(frozen=True, slots=True)
class Moot:
    """It did not arrive, and it no longer matters."""

    reason: str


Verdict: TypeAlias = Receipt | Again | GiveUp | Hold | Looked | Moot
Outcome: TypeAlias = Receipt | SendError | Again | Hold | Looked | Moot


class Ways(Protocol):
    """The ways out and the memories of all accounts."""

    def sender(self, account: str) -> Sender:
        """An account's way out. Raises SendError where it has none (any more)."""

    def history(self, account: str) -> History:
        """An account's memory. Raises SendError where it has none (any more)."""


def outbound(job: Pending) -> Outbound:
    """The message that a delivery stands for: as it was made or first tried, else as it is now."""
    if job.body:
        card = job.kind == DIGEST or job.bundle == job.id
        return Outbound(job.target, job.key, richtext.load(job.body), card=card)
    if job.others:
        return Outbound(job.target, job.key, render.bundle((job, *job.others)), card=True)
    return Outbound(job.target, job.key, render.notification(job))


async def attempt(
    job: Pending, ways: Ways, unknown: str = RESEND, still_ours: Callable[[], bool] = lambda: True
) -> Outcome:
    """Do what a claimed delivery needs next. `unknown` is [delivery] unknown of the config.

    `still_ours` is asked right before sending. Returns the receipt, an error to be judged, or what
    else came of it; a bug rises as it is.
    """
    try:
        sender = ways.sender(job.target.account)
        if job.trying and (known := await _uncertain(job, sender.limits, ways, unknown)):
            return known
        for row in (job, *job.others):
            if row.must_look:
                return await _look(row, ways)
        if not still_ours():
            held_up = "this worker was held up; others may hold the lane by now"
            return Again(_now() + _HELD_UP, held_up, counts=False)
        return await sender.send(outbound(job))
    except SendError as error:
        return error


async def _uncertain(
    job: Pending, limits: Limits, ways: Ways, unknown: str
) -> Receipt | Again | Hold | Moot | None:
    """What became of an attempt of unknown outcome; None when the same may be sent now."""
    read_first = job.moot or any(row.must_look for row in (job, *job.others))
    if not read_first and _platform_remembers(job, limits, _now()):
        return None
    found = await _find(job, ways.history(job.target.account), unknown)
    return Moot(job.moot) if job.moot and not found else found


async def _find(job: Pending, history: History, unknown: str) -> Receipt | Again | Hold | None:
    """What became of an attempt of unknown outcome; None when it certainly did not arrive.

    Not to be found counts only from the second look on, some time after the call was cut.
    """
    began = _now()
    try:
        receipt = await history.find(outbound(job), job.last_receipt)
    except PermanentError as error:
        if unknown == HOLD:
            return Hold(f"it may have gone out, and that cannot be looked up: {error}")
        return None
    except SendError as error:
        everywhere = isinstance(error, RateLimitedError) and error.scope == "account"
        return _blind(error, "looking it up", everywhere=everywhere)
    sure_at = _sure_at(job, began)
    if receipt or began >= sure_at:
        return receipt
    reason = "an attempt may still arrive; looking once more"
    # history lags: what did arrive shows soon, and then nobody need wait until all is sure
    waited = began - (job.tried_at or began)
    at = min(sure_at, began + max(waited, timedelta(seconds=_LOOK_AGAIN_SECONDS)))
    return Again(at + _AFTER_SURE, reason, unknown=True, counts=False, sure_at=sure_at)


async def _look(row: Pending, ways: Ways) -> Looked | Again:
    """Read the message behind a delivery anew, from the platform that it came from."""
    source = row.source
    if source is None:
        return Looked(row.id, _now())
    # not before the gap that we know of, whatever the clocks of two machines say
    began = max(_now(), source.gap_at or _now())
    try:
        history = ways.history(source.channel.account)
        events = await history.look(source.channel, source.native_id, source.thread)
    except PermanentError:
        return Looked(row.id, began)  # nothing more can be learned: what we know decides
    except SendError as error:
        return _blind(error, "reading the message anew")
    return Looked(row.id, began, tuple(events))


def _blind(error: SendError, doing: str, *, everywhere: bool = False) -> Blind:
    wait = _LOOK_AGAIN_SECONDS
    if isinstance(error, RateLimitedError):
        wait = min(max(error.retry_after, 0.1), LONGEST_LIMIT)
    at = _now() + timedelta(seconds=wait)
    return Blind(at, f"{doing}: {error}", counts=False, everywhere=everywhere)


def _platform_remembers(job: Pending, limits: Limits, now: datetime) -> bool:
    """Whether the same key still gives the earlier message, so that sending again is safe.

    Also where this next call is lost, and accepted as late as a call can be.
    """
    if job.tried_at is None:
        return False
    age = (now - job.tried_at).total_seconds()
    return age < limits.remembers_seconds - LOST_SECONDS


def _sure_at(job: Pending, now: datetime) -> datetime:
    """From when on "not found" counts; as outbox.claim writes it for one that was left open."""
    earliest = now + timedelta(seconds=SURE_SECONDS)
    if job.sure_at is None:
        return earliest
    return job.sure_at if job.trying == UNKNOWN else max(job.sure_at, earliest)


def _now() -> datetime:
    return datetime.now(UTC)
