"""One attempt at one claimed delivery: look up what is uncertain, look anew, or send.

Doors only: `resolve` talks to the platform through its ports; retry.py judges what failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from bridge import render, richtext
from bridge.errors import PermanentError, RateLimitedError, SendError
from bridge.messages import Event, Limits, Outbound, Receipt
from bridge.pending import Pending
from bridge.ports import History, Sender
from bridge.retry import SURE_SECONDS, Again, GiveUp, Hold
from bridge.rules import no_longer_matters

RESEND, HOLD = "resend", "hold"
DIGEST = "digest"
_MARGIN_SECONDS = 15.0
_AFTER_SURE = timedelta(seconds=0.2)
_LOOK_AGAIN_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Looked:
    """How the message behind a delivery stands, read anew; the delivery is judged again."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Moot:
    """It did not arrive, and it no longer matters."""

    reason: str


Verdict: TypeAlias = Receipt | Again | GiveUp | Hold | Looked | Moot
Outcome: TypeAlias = Receipt | SendError | Again | Hold | Looked | Moot


class Far(Protocol):
    """An account's way out and its memory."""

    @property
    def sender(self) -> Sender:
        """The way out."""

    @property
    def history(self) -> History:
        """The memory."""


def outbound(job: Pending) -> Outbound:
    """The message that a delivery stands for, as it reads now."""
    if job.body:
        return Outbound(job.target, job.key, richtext.load(job.body), card=job.kind == DIGEST)
    if job.others:
        return Outbound(job.target, job.key, render.bundle((job, *job.others)))
    return Outbound(job.target, job.key, render.notification(job))


async def attempt(job: Pending, far: Far, unknown: str = RESEND) -> Outcome:
    """Do what a claimed delivery needs next. `unknown` is [delivery] unknown of the config.

    Returns the receipt, an error to be judged, or what else came of it; a bug rises as it is.
    """
    try:
        if job.trying and (known := await _uncertain(job, far, unknown)):
            return known
        if job.must_look:
            return Looked(tuple(await _look(job, far.history)))
        return await far.sender.send(outbound(job))
    except SendError as error:
        return error


async def _uncertain(job: Pending, far: Far, unknown: str) -> Receipt | Again | Hold | Moot | None:
    """What became of an attempt of unknown outcome; None when the same may be sent now."""
    moot = no_longer_matters(job.rule, job.facts) if job.rule else ""
    if not moot and _platform_remembers(job, far.sender.limits, datetime.now(UTC)):
        return None
    found = await _find(job, far.history, unknown)
    return Moot(moot) if moot and not found else found


async def _find(job: Pending, history: History, unknown: str) -> Receipt | Again | Hold | None:
    """What became of an attempt of unknown outcome; None when it certainly did not arrive.

    Not to be found counts only from the second look on, some time after the call was cut.
    """
    began = datetime.now(UTC)
    try:
        receipt = await history.find(outbound(job), job.last_receipt)
    except PermanentError as error:
        if unknown == HOLD:
            return Hold(f"it may have gone out, and that cannot be looked up: {error}")
        return None
    except SendError as error:
        wait = error.retry_after if isinstance(error, RateLimitedError) else _LOOK_AGAIN_SECONDS
        at = began + timedelta(seconds=wait)
        return Again(at, f"looking it up: {error}", unknown=True, counts=False)
    sure_at = _sure_at(job, began)
    if receipt or began >= sure_at:
        return receipt
    reason = "an attempt may still arrive; looking once more"
    return Again(sure_at + _AFTER_SURE, reason, unknown=True, counts=False)


async def _look(job: Pending, history: History) -> Sequence[Event]:
    source = job.source
    if source is None:
        return ()
    try:
        return await history.look(source.channel, source.native_id, source.thread)
    except PermanentError:
        return ()  # nothing more can be learned: what we know decides


def _platform_remembers(job: Pending, limits: Limits, now: datetime) -> bool:
    """Whether the same key still gives the earlier message, so that sending again is safe."""
    if job.tried_at is None:
        return False
    age = (now - job.tried_at).total_seconds()
    return age < limits.remembers_seconds - _MARGIN_SECONDS


def _sure_at(job: Pending, now: datetime) -> datetime:
    """From when on "not found" counts; see outbox.claim, which writes the same."""
    if job.trying != job.epoch or job.sure_at is None:
        return now + timedelta(seconds=SURE_SECONDS)
    return job.sure_at
