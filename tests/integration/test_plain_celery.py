"""`celery -A tasks worker` works without our own command, and ends in good order while it sends."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlmodel import select

from bridge.models import Delivery, Lane, Status, Worker
from tests.integration.house import House, house
from tests.integration.servers import alive_in, has_rabbitmq

PLAIN = (sys.executable, "-m", "celery", "-A", "tasks", "worker", "-l", "info")
BROKERS = ("embedded", *(["rabbitmq"] if has_rabbitmq() else []))
MESSAGES = 4
SLOW = 2.0
"""Seconds that every call to a platform takes while the worker is asked to end."""


def rules(broker: str, accounts: tuple[str, ...]) -> str:
    """Every message in any #help is told in every #oncall at once."""
    return f"""
[broker]
url = "{broker}"

[[notifications]]
name = "everything"
channels = {[f"{one}:#help" for one in accounts]}
to = {[f"{one}:#oncall" for one in accounts]}
text = "{{author}}: {{excerpt}}"
"""


@pytest.fixture(params=BROKERS)
async def running(
    request: pytest.FixtureRequest, tmp_path: Path, broker_url: Callable[[str], str]
) -> AsyncIterator[House]:
    """Listeners, a scheduler and a plain Celery worker."""
    url = broker_url(request.param)
    async with house(tmp_path, lambda accounts: rules(url, accounts)) as built:
        built.start("listen")
        built.start("scheduler")
        built.start("celery", *PLAIN)
        await built.ready("worker", "scheduler")
        for remote in built.remotes.values():
            await remote.knobs(limits=False)
        yield built


async def say(running: House, number: int) -> None:
    for platform, remote in running.remotes.items():
        await remote.post("ada", "help", f"message {number} on {platform}")


async def told(running: House) -> dict[str, list[str]]:
    return {
        platform: [one.text for one in await remote.messages("oncall") if one.by_app]
        for platform, remote in running.remotes.items()
    }


async def all_told(running: House, messages: int) -> bool:
    wanted = messages * len(running.remotes)
    return all(len(texts) >= wanted for texts in (await told(running)).values())


def being_sent(running: House) -> int:
    with running.store.reading() as session:
        return len(session.exec(select(Delivery).where(Delivery.trying != 0)).all())


async def test_a_plain_worker_delivers(running: House) -> None:
    await say(running, 1)
    await running.until(lambda: all_told(running, 1), "all is told")
    assert "message 1" in str(await told(running))


async def test_a_worker_that_is_asked_to_end_while_it_sends_finishes_and_hands_back_the_rest(
    running: House,
) -> None:
    await say(running, 0)  # so that it has logged in everywhere
    await running.until(lambda: all_told(running, 1), "the first is told")
    await running.until(lambda: running.count(Status.OWED) == 0, "the first is recorded")
    for remote in running.remotes.values():
        await remote.knobs(latency=SLOW)
    for number in range(1, MESSAGES):
        await say(running, number)
    await running.until(lambda: being_sent(running) == len(running.remotes), "lanes are busy")
    assert await running.stop("celery") < 10
    celery = [line for line in alive_in(running.folder).values() if "celery" in line]
    assert celery == [], "no process is left"
    assert being_sent(running) == 0, "what was being sent is recorded"
    assert _holders(running) == [], "the rest is handed back"
    assert running.count(Status.OWED) > 0
    for remote in running.remotes.values():
        await remote.knobs(latency=0.0)
    running.start("celery", *PLAIN)
    await running.until(lambda: all_told(running, MESSAGES), "all is told")
    await running.until(lambda: running.count(Status.OWED) == 0, "all is recorded")
    for texts in (await told(running)).values():
        assert len(texts) == len(set(texts)) == MESSAGES * len(running.remotes)


def _holders(running: House) -> list[str]:
    """Living workers that hold a lane."""
    with running.store.reading() as session:
        held = select(Lane.holder).join(Worker, Worker.id == Lane.holder)
        return [one for one in session.exec(held) if one]
