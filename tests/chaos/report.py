"""What is known of everything that went wrong: from the store, the judges and the logs."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.stage import Stage
from tests.chaos.trouble import Done
from tests.chaos.verdict import Evidence, Verdict

MOST_CULPRITS = 12
MOST_LINES = 25
_LATEST = 10


def post_mortem(evidence: Evidence, verdict: Verdict, built: Stage, done: Done) -> Iterator[str]:
    """Lines for a person."""
    began = evidence.record.began
    yield "what went wrong when:"
    yield from (f"  {line}" for _, line in done.lines)
    yield from (f"  {line}" for line in built.crew.ended)
    yield "the latest:"
    yield from _latest(evidence, began)
    for token, line in verdict.culprits[:MOST_CULPRITS]:
        yield line
        yield from _history(evidence, built.folder, token, began)
    if len(verdict.culprits) > MOST_CULPRITS:
        yield from (line for _, line in verdict.culprits[MOST_CULPRITS:])


def _latest(evidence: Evidence, began: float) -> Iterator[str]:
    rows = [row for row in evidence.rows if row.receipt and row.kind != "digest"]
    for row in sorted(rows, key=lambda one: one.due_at - one.settled_at)[:_LATEST]:
        late = row.settled_at - row.due_at
        yield f"  {late:6.1f} s  delivery {row.id} to {row.lane}, due {row.due_at - began:.1f}"


def _history(evidence: Evidence, folder: Path, token: str, began: float) -> Iterator[str]:
    deed = next((one for one in evidence.record.deeds.values() if one.said.token == token), None)
    if deed is None:
        return
    said = deed.said
    yield f"  {said.kind} {said.fate} {said.platform}:#{said.channel} {deed.native_id} {said.text}"
    acted = deed.acted_at - began if deed.acted_at else 0
    known = evidence.known.acts.get(said.number, began) - began
    yield f"  said {said.at:.2f}, acted {acted:.2f} ({deed.act_id}), that known {known:.2f}"
    for (platform, channel), every in evidence.seen.items():
        for one in every:
            if token in one.text:
                by = "by us" if one.by_app else "by people"
                yield f"  seen {one.at - began:.2f} {platform}:#{channel} {one.id} {by}"
    for row in evidence.rows:
        if (row.platform, row.native_id) == (said.platform, deed.native_id):
            times = {
                name: round(getattr(row, name) - began, 2) if getattr(row, name) else None
                for name in ("owed_at", "due_at", "tried_at", "settled_at")
            }
            yield f"  delivery {row.id} {row.key} to {row.lane}: {times}"
            yield f"  status {row.status} attempts {row.attempts} {row.receipt!r} {row.reason!r}"
            yield from _logged(folder, rf"{row.key}|delivery=?.?{row.id}\b")


def _logged(folder: Path, pattern: str) -> Iterator[str]:
    wanted = re.compile(pattern)
    found = [
        f"  {path.stem}: {line[:400]}"
        for path in sorted(folder.glob("*.log"))
        for line in path.read_text(errors="replace").splitlines()
        if wanted.search(line)
    ]
    yield from sorted(found, key=lambda one: one.partition(": ")[2])[:MOST_LINES]
