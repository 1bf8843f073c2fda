"""`python -m tests.chaos.soak`: steady talk; memory, queue and rows must not grow without bound.

Growth is the median of the last quarter of the samples less that of the second one; the first is
for warming up. Wrong is

- a process (or the broker) that grows by more than 8 MiB and by more than 10 %,
- more than 50 bells waiting in the median of the last quarter,
- any growth in the numbers of lanes, living workers, leases and budgets,
- anything owed that is still not sent at the end, and anything lost or doubled.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import col, func

from adapters import names
from bridge.errors import StoreError
from bridge.models import Budget, Delivery, Lane, Lease, Status, Worker
from tasks.celery import QUEUE
from tasks.processes import run_until_stopped
from tests.chaos.load import Record, talk
from tests.chaos.plan import Plan, Size, draw
from tests.chaos.run import evidence_of, quiet
from tests.chaos.servers import PAIRS
from tests.chaos.stage import Stage, stage
from tests.chaos.trouble import Done
from tests.chaos.verdict import judge
from tests.chaos.watch import Known

INTERRUPTED = 130
MIB = 1024 * 1024
MOST_GROWTH, MOST_SHARE = 8.0, 0.10
MOST_WAITING = 50
_SAMPLE_SECONDS = 5.0
_TABLES = {"lanes": Lane, "workers": Worker, "leases": Lease, "budgets": Budget}

Samples = Mapping[str, Sequence[float]]
"""Values by name, oldest first; `mib_NAME` is the memory of a process."""


async def soak(minutes: float, rate: float, pair: str, *, keep: bool = False) -> int:
    """Talk for so long, `rate` messages a second; print what grew. 0 only if nothing did."""
    messages = int(rate * 60 * minutes)
    size = Size(messages, channels=20, seconds=60 * minutes, kills=0)
    plan: Plan = draw(1, size, names(), ())
    record, samples = Record(), defaultdict[str, list[float]](list)
    async with stage(plan, pair, keep=keep) as built:
        beside = [
            asyncio.create_task(built.crew.supervise()),
            asyncio.create_task(_sample(built, samples)),
        ]
        await talk(plan, built.remotes, record)
        await quiet(plan, built, record, Done())
        for task in beside:
            task.cancel()
        verdict = judge(await evidence_of(plan, built, record, Known()))
        owed = _count(built, Delivery, col(Delivery.status) == int(Status.OWED))
        restarts = len(built.crew.ended)
    wrong = [*problems(samples), *(line for _, line in verdict.culprits)]
    wrong += [f"{owed} still owed"] if owed else []
    wrong += [f"{restarts} processes ended by themselves"] if restarts else []
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    facts = {"minutes": minutes, "messages": messages, "told": verdict.told, **_told(samples)}
    sys.stdout.write(json.dumps({**facts, "wrong": len(wrong), "pair": pair}) + "\n")
    return 1 if wrong else 0


def problems(samples: Samples) -> list[str]:
    """A line for everything that grows without bound, as the module says."""
    found = []
    for name, values in samples.items():
        before, after = _medians(values)
        if name.startswith("mib_"):
            grows = after - before > max(MOST_GROWTH, MOST_SHARE * before)
        elif name == "waiting":
            grows = after > MOST_WAITING
        else:
            grows = name in _TABLES and after > before
        if grows:
            found.append(f"{name} grows from {before:g} to {after:g}")
    return found


def _medians(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the second and of the last quarter."""
    quarter = max(len(values) // 4, 1)
    return (
        statistics.median(values[quarter : 2 * quarter] or values),
        statistics.median(values[-quarter:]),
    )


def _told(samples: Samples) -> dict[str, Any]:
    """The last value of everything, and of memory its slope in KiB a minute after warming up."""
    facts: dict[str, Any] = {}
    for name, values in samples.items():
        facts[name] = round(values[-1], 1)
        if name.startswith("mib_"):
            steady = values[len(values) // 4 :]
            facts[f"{name}_kib_per_minute"] = round(_slope(steady) * 1024 * 60 / _SAMPLE_SECONDS, 1)
    return facts


def _slope(values: Sequence[float]) -> float:
    return statistics.linear_regression(range(len(values)), values).slope if values[1:] else 0.0


async def _sample(built: Stage, samples: dict[str, list[float]]) -> None:
    while True:
        began = time.monotonic()
        pids = built.crew.pids() | ({"broker": pid} if (pid := built.broker.pid()) else {})
        for name, pid in pids.items():
            samples[f"mib_{name}"].append(_memory(pid) / MIB)
        with suppress(StoreError):
            for name, table in _TABLES.items():
                samples[name].append(await asyncio.to_thread(_count, built, table))
        samples["waiting"].append(await asyncio.to_thread(_waiting, built))
        await asyncio.sleep(_SAMPLE_SECONDS - (time.monotonic() - began))


def _memory(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def _count(built: Stage, table: type[Any], *where: Any) -> int:
    with built.house.store.reading() as session:
        return int(session.scalar(select(func.count()).select_from(table).where(*where)) or 0)


def _waiting(built: Stage) -> int:
    """Bells that nobody has taken, and those that nobody has acknowledged."""
    from kombu import Connection

    url = built.broker.url
    if url == "embedded":
        url = f"redis+socket://{built.folder}/.chatbridge/broker/valkey.sock?virtual_host=0"
    try:
        with Connection(url, connect_timeout=2) as connection:
            channel = connection.default_channel
            waiting = int(channel.queue_declare(queue=QUEUE, passive=True).message_count)
            client = getattr(channel, "client", None)
            return waiting + (int(client.hlen("unacked")) if client else 0)
    except Exception:
        return 0


def main() -> int:
    """Read the arguments and soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=3.0, help="messages a second")
    parser.add_argument("--pair", choices=PAIRS, default="sqlite-valkey")
    parser.add_argument("--keep", action="store_true", help="keep the folder, for a post-mortem")
    given = parser.parse_args()
    work = soak(given.minutes, given.rate, given.pair, keep=given.keep)
    return run_until_stopped(work, interrupted=INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
