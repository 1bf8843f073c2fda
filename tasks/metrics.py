"""What happened in this process, counted; and how to read it together with what the store holds.

Others count here with one line each, such as `metrics.sent.labels(account).inc()`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bridge.attempt import Moot, Verdict
from bridge.delivery import Turn
from bridge.intake import Taken
from bridge.messages import Receipt
from bridge.pending import Pending
from bridge.retry import Again, GiveUp, Hold
from tasks.depths import Depths, Labels

LATE_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400)

registry = CollectorRegistry()
disable_created_metrics()  # type: ignore[no-untyped-call]
ProcessCollector(registry=registry)


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"chatbridge_{name}", what, labels, registry=registry)


events = _counter("events", "Events heard from a platform and committed.", "account", "kind")
stored = _counter("stored", "Messages that were new.")
quarantined = _counter("quarantined", "Events that no store could take.")
malformed = _counter("malformed", "Events that could not be read.", "account")
owed = _counter("owed", "Deliveries owed.")
cancelled = _counter("cancelled", "Deliveries that no longer mattered.")
sent = _counter("sent", "Deliveries with a receipt.", "account")
retried = _counter("retried", "Attempts that failed and are made again.", "account")
unknown = _counter("unknown", "Attempts of unknown outcome.", "account")
looked_up = _counter("looked_up", "Look-ups of an attempt of unknown outcome.", "account", "result")
rate_limited = _counter("rate_limited", "Times a platform asked to wait (429).", "account", "scope")
dead = _counter("dead", "Deliveries given up.")
held = _counter("held", "Deliveries left to a person.")
backfill_pages = _counter("backfill_pages", "Pages of history read after a gap.", "account")
listener_lost = _counter("listener_lost", "Times a listener had to start again.", "account")
bells_rung = _counter("bells_rung", "Bells given to the broker.")
bells_lost = _counter("bells_lost", "Bells that the broker did not take; the sweep makes up.")
lateness = Histogram(
    "chatbridge_lateness_seconds",
    "From the moment a delivery was due to its receipt.",
    ["account"],
    buckets=LATE_SECONDS,
    registry=registry,
)


def count_taken(taken: Taken) -> None:
    """Count what came of a batch that intake has committed."""
    stored.inc(taken.stored)
    owed.inc(len(taken.owed))
    cancelled.inc(taken.cancelled)
    quarantined.inc(taken.quarantined)


def count_verdict(job: Pending, verdict: Verdict, at: datetime) -> None:
    """Count how an attempt ended. What a turn ends by itself is counted by `count_turn`."""
    account, rows = job.target.account, (job, *job.others)
    match verdict:
        case Receipt():
            sent.labels(account).inc(len(rows))
            for row in rows:
                lateness.labels(account).observe(max((at - row.due_at).total_seconds(), 0.0))
        case Again():
            retried.labels(account).inc()
        case GiveUp():
            dead.inc(len(rows))
        case Hold():
            held.inc(len(rows))
        case Moot():
            cancelled.inc()


def count_turn(done: Turn) -> None:
    """Count what a turn ended without an attempt."""
    cancelled.inc(done.cancelled)
    dead.inc(done.dead)


class _Now(Collector):
    """What is read at the moment of asking."""

    def __init__(self) -> None:
        self.families: Sequence[Metric] = ()

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        return self.families


_now = _Now()
registry.register(_now)


def exposed(
    accept: str, role: str, well: Mapping[str, bool], depths: Depths | None
) -> tuple[bytes, str]:
    """Everything in the form that was asked for, and its content type."""
    _now.families = [*_process(role, well), *(_store(depths) if depths else ())]
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


def _process(role: str, well: Mapping[str, bool]) -> Iterable[Metric]:
    yield _gauge("process", "What this process is.", ["role"], {(role,): 1})
    parts: dict[Labels, float] = {(part,): float(fine) for part, fine in well.items()}
    yield _gauge("well", "1 where a part of this process works, see /readyz.", ["part"], parts)


def _store(depths: Depths) -> Iterable[Metric]:
    by_account = ["account"]
    yield _gauge("due", "Deliveries that are due now, 10,000 at most.", by_account, depths.due)
    yield _gauge(
        "oldest_due_seconds", "Age of the oldest that is due.", by_account, depths.oldest_seconds
    )
    yield _gauge("lane_depth", "Due in the deepest lanes.", ["account", "channel"], depths.deepest)
    yield _gauge("pending", "Deliveries owed, 100,000 at most.", [], {(): depths.pending})
    yield _gauge("channels_behind", "Channels that are being read up.", by_account, depths.behind)
    yield _gauge("processes", "Processes that live, by the store.", ["role"], depths.processes)


def _gauge(
    name: str, what: str, labels: Sequence[str], values: Mapping[Labels, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"chatbridge_{name}", what, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family
