"""Expected against seen: what was lost, doubled, sent in spite of being known not to matter. Pure.

Definitions. `At` of a message is the stand-in's own moment, `due` that of its source plus the
rule's wait. A delivery's claim is `tried_at`: the transaction that found it still matters and from
which its first attempt, and with it every later one, went out.

lost            something people said is not in the store (unless they deleted it); something that
                had to be told is not in its channel; a digest window with messages has no digest.
doubled         any of it is there more than once; also where either was right.
wrongly_sent    it is there before it was due. Or: what cancels it happened at least 2.5 s before it
                was due, and before the claim a look into the store had found the act itself, or a
                gap of its channel that ended at least 2.5 s after the act (then the worker has to
                ask the platform, whose history lags by 2 s, before it sends).
unaware         what cancels it happened as early, but nothing of it had come to the store, because
                listeners or store were down: sent, and no fault.
out_of_order    of two in one channel, the one that was due first (by source position where both
                were due at once) arrived last, although a look into the store had found it owed
                before the claim of the other.
late_p99_s      at - due of all that was told, lanes left out to which the plan sends a post that
                the platform accepts or answers late.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from adapters.standin import Seen
from bridge.models import Status
from tests.chaos.load import Deed, Record
from tests.chaos.plan import WAIT_SECONDS, Plan, other
from tests.chaos.watch import Known, Row

EARLY_SECONDS = 2.5
"""By so much what cancels has to be there before what it cancels is due, to be judged by."""
_TOLD_EARLY = 0.01
_FAULTS = ("lost", "doubled", "wrongly_sent", "out_of_order")

Channel = tuple[str, str]
"""Platform and name."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is judged. `stored` are (platform, native id); `digests` windows with messages."""

    plan: Plan
    record: Record
    known: Known
    rows: Sequence[Row]
    stored: Sequence[tuple[str, str]]
    seen: Mapping[Channel, Sequence[Seen]]
    windows: Sequence["Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """A digest window that was closed; seconds since 1970."""

    start: float
    end: float
    messages: int


@dataclass(slots=True)
class Verdict:
    """Counts, and a line with its culprit's token (or "") for all that is wrong."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FAULTS, 0))
    culprits: list[tuple[str, str]] = field(default_factory=list)
    unaware: int = 0
    told: int = 0
    late: list[float] = field(default_factory=list)

    def blame(self, what: str, token: str, why: str) -> None:
        """Count something wrong."""
        self.counts[what] += 1
        self.culprits.append((token, f"{what}: {token} {why}"))

    @property
    def late_p99(self) -> float:
        """The lateness that 99 of 100 do not exceed."""
        ordered = sorted(self.late)
        return round(ordered[math.ceil(0.99 * len(ordered)) - 1], 2) if ordered else 0.0


@dataclass(frozen=True, slots=True)
class _Told:
    """A message that was told: where and when, and the delivery that did it."""

    deed: Deed
    place: int
    at: float
    due: float
    row: Row


def judge(evidence: Evidence) -> Verdict:
    """What came of a run."""
    verdict = Verdict()
    _judge_stored(evidence, verdict)
    told = _judge_told(evidence, verdict)
    for lane in told.values():
        _judge_order(evidence, lane, verdict)
    _judge_digests(evidence, verdict)
    return verdict


def _judge_stored(evidence: Evidence, verdict: Verdict) -> None:
    stored = set(evidence.stored)
    if len(stored) < len(evidence.stored):
        verdict.blame("doubled", "", f"{len(evidence.stored) - len(stored)} messages in the store")
    for deed in evidence.record.deeds.values():
        said = deed.said
        for native_id in {deed.native_id, deed.act_id} - {""}:
            gone = said.fate == "delete" and native_id == deed.native_id
            if not gone and (said.platform, native_id) not in stored:
                verdict.blame("lost", said.token, f"{said.platform} {native_id} was not stored")


def _judge_told(evidence: Evidence, verdict: Verdict) -> dict[Channel, list[_Told]]:
    rows = {(row.platform, row.native_id): row for row in evidence.rows if row.kind != "digest"}
    sent_at = {
        (channel[0], one.id): one.at for channel, every in evidence.seen.items() for one in every
    }
    lanes: dict[Channel, list[_Told]] = defaultdict(list)
    for deed in evidence.record.deeds.values():
        said = deed.said
        to = other(evidence.plan.platforms, said.platform), said.channel
        copies = [
            (place, one)
            for place, one in enumerate(evidence.seen[to])
            if one.by_app and said.token in one.text
        ]
        row = rows.get((said.platform, deed.native_id))
        if len(copies) > 1:
            verdict.blame("doubled", said.token, f"{len(copies)} times in {to}")
        if not copies and _must_be_told(said.kind, said.fate):
            status = Status(row.status).name if row else "never owed"
            verdict.blame("lost", said.token, f"is not in {to} ({status})")
        for place, one in copies[:1]:
            verdict.told += 1
            due = sent_at[said.platform, deed.native_id] + _wait(said.kind)
            if row is None:
                verdict.blame("wrongly_sent", said.token, "was never owed")
                continue
            told = _Told(deed, place, one.at, due, row)
            lanes[to].append(told)
            _judge_moment(evidence, told, to, verdict)
    return lanes


def _judge_moment(evidence: Evidence, told: _Told, to: Channel, verdict: Verdict) -> None:
    said, late = told.deed.said, told.at - told.due
    if late < -_TOLD_EARLY or said.kind == "talk":
        verdict.blame("wrongly_sent", said.token, f"{-late:.2f} s before it was due")
    if to not in evidence.plan.slowed:
        verdict.late.append(late)
    if not _must_not_be_told(said.kind, said.fate):
        return
    acted_at = told.deed.acted_at
    if acted_at > told.due - EARLY_SECONDS:
        return
    claimed = told.row.tried_at
    seen = evidence.known.acts.get(said.number, math.inf)
    if seen < claimed:
        why = f"{said.fate} known {claimed - seen:.2f} s before"
        verdict.blame("wrongly_sent", said.token, why)
        return
    for *of, end, seen_at in evidence.known.gaps:
        here = of == [said.platform, said.channel]
        if here and end >= acted_at + EARLY_SECONDS and seen_at < claimed:
            why = f"{said.fate}; a gap after it was known {claimed - seen_at:.2f} s before"
            verdict.blame("wrongly_sent", said.token, why)
            return
    verdict.unaware += 1


def _judge_order(evidence: Evidence, lane: list[_Told], verdict: Verdict) -> None:
    """Each against its next in the order in which they were due, and all that came before it."""
    due = sorted(lane, key=lambda one: (one.row.due_at, one.row.position))
    for index, later in enumerate(due):
        for earlier in due[:index]:
            if earlier.place < later.place:
                continue
            known = evidence.known.owed.get(earlier.row.id, math.inf)
            if known < later.row.tried_at:
                why = f"came after {later.deed.said.token}, {later.row.tried_at - known:.2f} s"
                verdict.blame("out_of_order", earlier.deed.said.token, why)


def _judge_digests(evidence: Evidence, verdict: Verdict) -> None:
    windows = sorted(evidence.windows, key=lambda one: one.end)
    for before, after in pairwise(windows):
        if before.end != after.start:
            verdict.blame("lost", "", f"digest windows leave out {before.end} to {after.start}")
    full = sum(one.messages > 0 for one in windows)
    for platform in evidence.plan.platforms:
        seen = sum(one.by_app for one in evidence.seen[platform, "digest"])
        if seen != full:
            what = "lost" if seen < full else "doubled"
            verdict.blame(what, "", f"{seen} digests on {platform} of {full} windows")
    if not windows:
        return
    told, said = sum(one.messages for one in windows), sum(_digested(evidence, windows))
    if told != said:
        verdict.blame("lost" if told < said else "doubled", "", f"digests tell {told} of {said}")


def _digested(evidence: Evidence, windows: Sequence[Window]) -> Iterator[bool]:
    """What was said in the digest's channels within its windows."""
    for platform in evidence.plan.platforms:
        for one in evidence.seen[platform, evidence.plan.channels[0]]:
            yield not one.by_app and windows[0].start <= one.at < windows[-1].end


def _must_be_told(kind: str, fate: str) -> bool:
    return kind == "urgent" or (kind == "waiting" and fate in {"stays", "own_reply"})


def _must_not_be_told(kind: str, fate: str) -> bool:
    return kind == "waiting" and fate in {"reply", "reaction", "edit", "delete"}


def _wait(kind: str) -> float:
    return WAIT_SECONDS if kind == "waiting" else 0.0
