"""Drain lanes: claim what is due and still matters, send it, record what came of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlmodel import Session

from bridge import outbox, render, richtext
from bridge.errors import SendError
from bridge.lanes import free, lease
from bridge.messages import Outbound, Receipt
from bridge.pending import Pending, next_rows
from bridge.ports import Sender
from bridge.retry import MOST_TRIES, Again, GiveUp
from bridge.rules import no_longer_matters

MOST_ROUNDS = 20
"""Rows of one lane that a single turn may cancel before it lets others have the store."""

Outcome: TypeAlias = Receipt | SendError
Verdict: TypeAlias = Receipt | Again | GiveUp


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of one attempt."""

    job: Pending
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Turn:
    """What one transaction decided. Every lane that was looked at is in exactly one of these.

    `jobs` are to be sent now; `freed` lanes have nothing due; `waiting` ones are paused until the
    given moment; `more` could not be finished in this turn. `cancelled` and `dead` are counts.
    """

    jobs: tuple[Pending, ...] = ()
    freed: frozenset[int] = frozenset()
    waiting: tuple[tuple[int, datetime], ...] = ()
    more: frozenset[int] = frozenset()
    cancelled: int = 0
    dead: int = 0


def turn(
    session: Session,
    worker: str,
    settled: Sequence[Settlement],
    rung: Collection[int],
    held: Collection[int],
    now: datetime,
) -> Turn:
    """Record what was settled, take the rung lanes, and claim the next row of each.

    `held` are lanes that an earlier turn left in `more`.

    A lane that another living worker holds is left to it. At most one row per lane is claimed, so
    that order holds and a crash leaves one unknown outcome per lane.
    """
    _record(session, settled, now)
    lanes = {one.job.lane for one in settled} | set(held) | lease(session, worker, rung)
    jobs: list[Pending] = []
    waiting: list[tuple[int, datetime]] = []
    open_lanes, cancelled, dead = lanes, 0, 0
    for _ in range(MOST_ROUNDS):
        if not open_lanes:
            break
        found = [_sort(one, now) for one in next_rows(session, worker, open_lanes, now)]
        waiting += [(row.lane, until) for row, until in found if isinstance(until, datetime)]
        jobs += [row for row, until in found if until is None]
        cancels = [(row.id, why.reason) for row, why in found if isinstance(why, _Cancel)]
        deaths = [(row.id, row.trying, why.reason) for row, why in found if isinstance(why, GiveUp)]
        outbox.cancel(session, cancels, now, by_holder=True)
        outbox.give_up(session, deaths, now)
        cancelled, dead = cancelled + len(cancels), dead + len(deaths)
        open_lanes = {row.lane for row, why in found if isinstance(why, _Cancel | GiveUp)}
    outbox.claim(session, [(job.id, job.epoch) for job in jobs])
    busy = {job.lane for job in jobs} | open_lanes
    free(session, worker, lanes - busy)
    idle = lanes - busy - {lane for lane, _ in waiting}
    return Turn(
        tuple(jobs), frozenset(idle), tuple(waiting), frozenset(open_lanes), cancelled, dead
    )


@dataclass(frozen=True, slots=True)
class _Cancel:
    reason: str


def _sort(row: Pending, now: datetime) -> tuple[Pending, datetime | _Cancel | GiveUp | None]:
    """What to do with a lane's next row: wait until, cancel, give up, or (None) send it."""
    if row.paused_until and row.paused_until > now:
        return row, row.paused_until
    if row.rule and (reason := no_longer_matters(row.rule, row.facts)):
        unsure = " (an earlier attempt may have gone out)" if row.trying else ""
        return row, _Cancel(reason + unsure)
    if row.trying and row.attempts >= MOST_TRIES:
        return row, GiveUp(f"{row.attempts} attempts ended without an answer")
    return row, None


def _record(session: Session, settled: Sequence[Settlement], now: datetime) -> None:
    receipts, refusals, dead = [], [], []
    for one in settled:
        job = one.job
        match one.verdict:
            case Receipt(native_id=native_id):
                receipts.append((job.id, native_id))
            case GiveUp(reason=reason):
                dead.append((job.id, job.epoch, reason))
            case Again(at=at, reason=reason, unknown=unknown, counts=counts):
                refusals.append(
                    outbox.Refusal(job.id, job.lane, job.epoch, at, reason, unknown, counts)
                )
    outbox.sent(session, receipts, now)
    outbox.retry(session, refusals)
    outbox.give_up(session, dead, now)


def outbound(job: Pending) -> Outbound:
    """The message that a delivery stands for, as it reads now."""
    if job.body:
        return Outbound(job.target, job.key, richtext.load(job.body), card=True)
    return Outbound(job.target, job.key, render.notification(job))


async def attempt(job: Pending, sender: Sender) -> Outcome:
    """Send one claimed delivery. Returns the receipt or the error; a bug rises as it is."""
    try:
        return await sender.send(outbound(job))
    except SendError as error:
        return error
