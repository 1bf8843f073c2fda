"""One run from its plan to its verdict."""

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlmodel import col, func

from adapters import names
from bridge.errors import StoreError
from bridge.models import Channel, Delivery, DigestWindow, Message, Status
from tests.chaos import report
from tests.chaos.load import Record, talk
from tests.chaos.plan import LATEST_ACCEPTED, Plan, Size, Trouble, draw
from tests.chaos.servers import breakable
from tests.chaos.stage import Stage, stage
from tests.chaos.trouble import Done, make_trouble
from tests.chaos.verdict import Evidence, Verdict, Window, judge
from tests.chaos.watch import Known, rows, watch

LATE_SECONDS = 20.0
QUIET_SECONDS = 120.0
"""After the last of it, this long everything may take to be settled."""
CALM_SECONDS = 3.0
"""And so long something wrong or doubled may still come."""


async def run(
    seed: int, size: Size, pair: str, *, only: tuple[str, ...] = (), keep: bool = False
) -> dict[str, Any]:
    """Do one run and print what came of it: who went wrong how, and the facts in the last line."""
    began = time.monotonic()
    plan = draw(seed, size, names(), breakable(pair))
    plan = replace(plan, troubles=tuple(one for one in plan.troubles if _wanted(one, only)))
    async with stage(plan, pair, keep=keep) as built:
        evidence, done = await _happen(plan, built)
        verdict = judge(evidence)
        facts = {**_facts(evidence, verdict, done), "pair": pair}
        facts["seconds"] = round(time.monotonic() - began, 1)
        if not is_good(facts):
            sys.stdout.write("\n".join(report.post_mortem(evidence, verdict, built, done)) + "\n")
        if keep:
            sys.stdout.write(f"kept: {built.folder}\n")
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
    return facts


def is_good(facts: dict[str, Any]) -> bool:
    """Whether a run kept what is promised."""
    zero = ("lost", "doubled", "wrongly_sent", "out_of_order")
    return not any(facts[name] for name in zero) and facts["late_p99_s"] <= LATE_SECONDS


async def _happen(plan: Plan, built: Stage) -> tuple[Evidence, Done]:
    record, known, done = Record(), Known(), Done()
    async with asyncio.TaskGroup() as group:
        beside = [
            group.create_task(built.crew.supervise()),
            group.create_task(watch(built.house.store, record, known)),
        ]
        await asyncio.gather(talk(plan, built.remotes, record), make_trouble(plan, built, done))
        for remote in built.remotes.values():
            await remote.mend()
        await quiet(plan, built, record, done)
        for task in beside:
            task.cancel()
    return await evidence_of(plan, built, record, known), done


async def quiet(plan: Plan, built: Stage, record: Record, done: Done) -> None:
    """Wait until nothing is left to be done, and a calm moment longer."""
    end = time.monotonic() + QUIET_SECONDS + plan.size.window
    first = {(name, plan.channels[0]) for name in plan.platforms}
    latest = 0.0
    for name, channel in first:
        seen = await built.remotes[name].messages(channel)
        latest = max([latest, *(one.at for one in seen if not one.by_app)])
    expected = sum(map(len, record.posts.values())) - _deleted(record)
    while time.monotonic() < end:
        left: list[str] = ["the store"]
        with suppress(StoreError):
            left = await asyncio.to_thread(_left, built, expected, latest)
        if not left and time.time() > min(done.late_at, time.time() + LATEST_ACCEPTED):
            break
        await asyncio.sleep(0.3)
    else:
        sys.stdout.write(f"not quiet after {QUIET_SECONDS:g} s: {left}\n")
    await asyncio.sleep(CALM_SECONDS)


def _deleted(record: Record) -> int:
    return sum(one.said.fate == "delete" for one in record.deeds.values())


def _left(built: Stage, expected: int, latest: float) -> list[str]:
    """What is still to be done."""
    with built.house.store.reading() as session:
        owed = session.scalar(select(func.count()).where(col(Delivery.status) == int(Status.OWED)))
        behind = session.scalar(select(func.count()).where(col(Channel.behind)))
        told = session.scalar(select(func.max(col(DigestWindow.end_at))))
    stored = len(_stored(built))
    digests = told is not None and told.timestamp() > latest
    found = {
        f"{owed} owed": owed,
        f"{behind} channels behind": behind,
        f"{stored} of {expected} stored": stored < expected,
        "the last digest": not digests,
    }
    return [what for what, left in found.items() if left]


def _stored(built: Stage) -> list[tuple[str, str]]:
    """What people said, as the store has it; deleted messages may be missing in it."""
    with built.house.store.reading() as session:
        found = session.execute(
            select(col(Message.account), col(Message.native_id)).where(
                ~col(Message.own), col(Message.posted), col(Message.text) != "Can you hear me?"
            )
        )
        return [(account, native_id) for account, native_id in found]


async def evidence_of(plan: Plan, built: Stage, record: Record, known: Known) -> Evidence:
    seen = {
        (name, channel): await remote.messages(channel)
        for name, remote in built.remotes.items()
        for channel in (*plan.channels, "digest")
    }
    with built.house.store.reading() as session:
        windows = [
            Window(one.start_at.timestamp(), one.end_at.timestamp(), one.messages)
            for one in session.scalars(select(DigestWindow))
        ]
    return Evidence(plan, record, known, rows(built.house.store), _stored(built), seen, windows)


def _facts(evidence: Evidence, verdict: Verdict, done: Done) -> dict[str, Any]:
    """The last line."""
    notifications = [row for row in evidence.rows if row.kind != "digest"]
    return {
        "sent": sum(map(len, evidence.record.posts.values())),
        "stored": len(evidence.stored),
        "owed": len(notifications),
        "delivered": verdict.told,
        "cancelled": sum(row.status == int(Status.CANCELLED) for row in notifications),
        **verdict.counts,
        "late_p99_s": verdict.late_p99,
        "late_max_s": round(max(verdict.late, default=0.0), 2),
        "unaware": verdict.unaware,
        "digests": sum(one.messages > 0 for one in evidence.windows),
        "kills": done.kills,
        "faults": done.faults,
        "seed": evidence.plan.seed,
    }


def _wanted(trouble: Trouble, only: tuple[str, ...]) -> bool:
    """Whether this kind of trouble was asked for: "kill", "kill:worker", "fault:slack"."""
    place = trouble.target.partition("-")[0]
    return not only or trouble.kind in only or f"{trouble.kind}:{place}" in only
