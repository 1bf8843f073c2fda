"""Drain lanes: claim what is due and still matters, and record what came of it.

One transaction of a worker is a *turn*; what it hands out is tried by bridge/attempt.py.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from sqlmodel import Session

from bridge import archive, outbox, render, richtext
from bridge.attempt import Looked, Moot, Verdict, outbound
from bridge.directory import own_people
from bridge.lanes import free, lease
from bridge.messages import Receipt
from bridge.notices import tell_dead
from bridge.pending import Pending, bundled, late_behind, next_rows
from bridge.retry import MOST_TRIES, Again, GiveUp, Hold
from bridge.store import one_by_one

MOST_ROUNDS = 20
"""Rows of one lane that a single turn may cancel before it lets others have the store."""
LATE = timedelta(minutes=10)
FEW = 5
"""More than so many notifications of one lane that are late by more than that leave as one."""
MOST_BUNDLED = 50
"""So many of them at most, and no more than a message has room for."""
LATE_LIMIT = 86400.0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of one attempt."""

    job: Pending
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Turn:
    """What one transaction decided. Every lane that was looked at is in exactly one of these.

    `jobs` are to be tried now; `freed` lanes have nothing due; `waiting` ones are paused until the
    given moment; `more` could not be finished in this turn. `cancelled` and `dead` are counts. All
    of it was decided for `worker`: what is claimed is not for who has become another meanwhile.
    """

    jobs: tuple[Pending, ...] = ()
    freed: frozenset[int] = frozenset()
    waiting: tuple[tuple[int, datetime], ...] = ()
    more: frozenset[int] = frozenset()
    cancelled: int = 0
    dead: int = 0
    worker: str = ""


def turn(
    session: Session,
    worker: str,
    settled: Sequence[Settlement],
    rung: Collection[int],
    held: Collection[int],
    now: datetime,
    *,
    resting: Collection[int] = (),
    late_limit: float = LATE_LIMIT,
    admin_lane: int | None = None,
) -> Turn:
    """Record what was settled, take the rung lanes, and claim the next row of each.

    `held` are lanes that an earlier turn left in `more` or that have rested; `resting` ones are
    only kept. What is older than `late_limit` seconds when it could first go out is not sent. What
    is given up is told in `admin_lane`.

    A lane that another living worker holds is left to it. At most one row per lane is claimed, so
    that order holds and a crash leaves one unknown outcome per lane.
    """
    _record(session, worker, settled, now)
    told = [(one.job, one.verdict.reason) for one in settled if isinstance(one.verdict, GiveUp)]
    lanes = {one.job.lane for one in settled} | set(held) | lease(session, worker, rung)
    lanes -= set(resting)
    jobs: list[Pending] = []
    waiting: list[tuple[int, datetime]] = []
    open_lanes, cancelled, dead = lanes, 0, 0
    for _ in range(MOST_ROUNDS):
        if not open_lanes:
            break
        rows = next_rows(session, worker, open_lanes, now)
        found = [(row, _next(row, now, late_limit)) for row in rows]
        waiting += [(row.lane, until) for row, until in found if isinstance(until, datetime)]
        jobs += [row for row, until in found if until is None]
        cancels = [(row.id, why.reason) for row, why in found if isinstance(why, _Cancel)]
        deaths = [(row.id, row.trying, why.reason) for row, why in found if isinstance(why, GiveUp)]
        outbox.cancel(session, cancels, now, by_holder=True)
        outbox.give_up(session, deaths, now)
        told += [(row, why.reason) for row, why in found if isinstance(why, GiveUp)]
        cancelled, dead = cancelled + len(cancels), dead + len(deaths)
        open_lanes = {row.lane for row, why in found if isinstance(why, _Cancel | GiveUp)}
    if told and admin_lane is not None:
        tell_dead(session, admin_lane, told, now)
    jobs = _together(session, jobs, now)
    outbox.claim(session, [(job.id, job.epoch) for job in jobs], now)
    busy = {job.lane for job in jobs} | open_lanes
    free(session, worker, lanes - busy)
    idle = lanes - busy - {lane for lane, _ in waiting}
    return Turn(
        tuple(jobs), frozenset(idle), tuple(waiting), frozenset(open_lanes), cancelled, dead, worker
    )


@dataclass(frozen=True, slots=True)
class _Cancel:
    reason: str


def _next(row: Pending, now: datetime, late_limit: float) -> datetime | _Cancel | GiveUp | None:
    """What to do with a lane's next row: wait until, cancel, give up, or (None) try it."""
    if row.paused_until and row.paused_until > now:
        return row.paused_until
    if row.trying > 0 and row.crashes + 1 >= MOST_TRIES:
        return GiveUp(f"{MOST_TRIES} attempts in a row ended without a word; it may be at fault")
    if row.trying:
        return None  # it may have gone out: that is looked up first, whatever has happened since
    if row.moot:
        return _Cancel(row.moot)
    late = (now - row.due_at).total_seconds()
    if not row.attempts and late > late_limit:
        return _Cancel(f"it could first go out {late / 3600:.0f} h after it was due, too late")
    return None


def _together(session: Session, jobs: Sequence[Pending], now: datetime) -> list[Pending]:
    """The jobs, with what leaves in the same message: no stale burst after an outage."""
    leads = {job.id for job in jobs if job.bundle == job.id}
    members = bundled(session, leads) if leads else []
    return [
        replace(job, others=tuple(one for one in members if _leaves_with(one, job)))
        if job.id in leads
        else _bundle(session, job, now)
        for job in jobs
    ]


def _leaves_with(one: Pending, lead: Pending) -> bool:
    """Whether a row is part of a bundle; what may have gone out already stays as it was."""
    return one.bundle == lead.id and (bool(lead.trying) or _matters(one))


def _bundle(session: Session, job: Pending, now: datetime) -> Pending:
    """The job with what else is late; one that has lost its own bundle's first row as well."""
    if now - job.due_at <= LATE or job.trying or job.rule is None:
        return job
    behind = late_behind(session, job, now - LATE, MOST_BUNDLED)
    # what stands between them and is none of their kind keeps its place
    late = [one for one in takewhile(lambda one: one.rule, behind) if _matters(one)]
    others = late[: render.fitting((job, *late)) - 1]
    if len(late) < FEW or not others:
        return job
    outbox.bundle(session, job.id, [one.id for one in others])
    return replace(job, bundle=job.id, others=tuple(others))


def _matters(row: Pending) -> bool:
    return not row.moot


def _record(session: Session, worker: str, settled: Sequence[Settlement], now: datetime) -> None:
    receipts, refusals, untried, looked = [], [], [], []
    dead: list[tuple[int, int, str]] = []
    held: list[tuple[int, int, str]] = []
    moot: list[tuple[int, int, str]] = []
    # what was looked at is written as intake would: under the same lock, before any row of ours
    seen_anew = [one.job.source for one in settled if isinstance(one.verdict, Looked)]
    one_by_one(session, {source.channel.account for source in seen_anew if source})
    for one in settled:
        job = one.job
        match one.verdict:
            case Receipt(native_id=native_id):
                receipts += [(row.id, job.lane, native_id) for row in (job, *job.others)]
            case GiveUp(reason=reason):
                dead.append((job.id, job.epoch, reason))
            case Hold(reason=reason):
                held.append((job.id, job.epoch, reason))
            case Moot(reason=reason):
                moot.append((job.id, job.epoch, reason))
            case Looked() as seen:
                untried.append((job.id, job.epoch))
                looked.append((seen.delivery, seen.at))
                archive.show(session, seen.events, now, own_people(session).__contains__)
            case Again() as again:
                refusals.append(_refusal(job, again))
    before = {one.job.lane: one.job.last_receipt for one in settled}
    outbox.sent(session, receipts, now, before)
    outbox.retry(session, refusals, worker)
    outbox.untried(session, untried)
    outbox.read_anew(session, looked)
    outbox.give_up(session, dead, now)
    outbox.hold(session, held, now)
    outbox.drop(session, moot, now)


def _refusal(job: Pending, again: Again) -> outbox.Refusal:
    # whatever came of this attempt, it tells nothing of an earlier one that may have arrived
    unknown = again.unknown or bool(job.trying)
    return outbox.Refusal(
        delivery=job.id,
        lane=job.lane,
        epoch=job.epoch,
        at=again.at,
        reason=again.reason,
        unknown=unknown,
        body=richtext.dump(outbound(job).document) if unknown and not job.body else None,
        counts=again.counts,
        sure_at=again.sure_at,
        account=job.target.account if again.everywhere else "",
    )
