"""The system this one grew from: a message is saved, its notification is sent 5 s after its time.

A periodic task runs every 10 s, the broker is Redis or RabbitMQ, results go to a SQLite database,
and schedules and results can be looked at.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from kombu import Connection

from adapters.standin import Seen
from bridge.models import Status
from tests.integration.house import House, house
from tests.integration.servers import has_rabbitmq

BROKERS = ("embedded", "valkey", *(["rabbitmq"] if has_rabbitmq() else []))
REDIS_AND_RABBITMQ = BROKERS[1:]
"""The embedded broker is a Redis as well, for what says nothing of how it is started."""
DELAY = 5.0
SWEEP = 10.0
SOON = 4.0
"""How late a notification may be on a busy machine when its bell was heard."""
QUEUE = "chatbridge"


def rules(broker: str, accounts: tuple[str, ...]) -> str:
    """Every message in #help of one platform is told in #oncall of the next one."""
    nexts = dict(zip(accounts, (*accounts[1:], accounts[0]), strict=True))
    notifications = "".join(
        f"""
[[notifications]]
name = "every message on {one}"
channels = ["{one}:#help"]
after = "5s"
to = ["{to}:#oncall"]
text = "{{author}}: {{excerpt}}"
"""
        for one, to in nexts.items()
    )
    return f"""
[broker]
url = "{broker}"
results = "db+sqlite:///results.sqlite"

[scheduler]
sweep = "10s"
{notifications}"""


@pytest.fixture(params=BROKERS)
async def origin(
    request: pytest.FixtureRequest, tmp_path: Path, broker_url: Callable[[str], str]
) -> AsyncIterator[House]:
    url = broker_url(request.param)
    if url != "embedded":
        _forget(url)
    async with house(tmp_path, lambda accounts: rules(url, accounts)) as built:
        for remote in built.remotes.values():
            await remote.knobs(limits=False)  # Slack's would hold back what is said too quickly
        yield built


def _forget(url: str) -> int:
    """Take the queue away, with every bell in it; returns how many were waiting."""
    with Connection(url) as connection, connection.channel() as channel:
        try:
            waiting = channel.queue_declare(QUEUE, passive=True).message_count
        except connection.channel_errors:
            return 0
        if url.startswith("redis"):
            channel.client.flushall()
        else:
            channel.queue_delete(QUEUE)
        return int(waiting)


def _url(origin: House) -> str:
    from tasks.broker import EmbeddedBroker
    from tasks.wiring import open_house

    opened = open_house(str(origin.folder / "config.toml"))
    url = opened.settings.broker.url
    return EmbeddedBroker(opened.state).url if url == "embedded" else url


async def post(origin: House, person: str, number: int) -> dict[str, str]:
    """Somebody posts once on every platform; the text for each."""
    texts = {}
    for platform, remote in origin.remotes.items():
        texts[platform] = f"{person} says {number} on {platform}"
        await remote.post(person, "help", texts[platform])
    return texts


async def told(origin: House) -> dict[str, list[tuple[Seen, Seen | None]]]:
    """For each platform, every person's message with the notification that tells of it."""
    found = {}
    platforms = list(origin.remotes)
    for place, platform in enumerate(platforms):
        to = origin.remotes[platforms[(place + 1) % len(platforms)]]
        notes = [one for one in await to.messages("oncall") if one.by_app]
        said = [one for one in await origin.remotes[platform].messages("help") if not one.by_app]
        assert len(notes) == len({note.text for note in notes}), "something was told twice"
        found[platform] = [
            (one, next((note for note in notes if one.text in note.text), None)) for one in said
        ]
    return found


async def all_told(origin: House) -> bool:
    return all(note for pairs in (await told(origin)).values() for _, note in pairs)


def late(pairs: dict[str, list[tuple[Seen, Seen | None]]]) -> list[float]:
    """By how many seconds each notification came later than it was due."""
    every = (pair for each in pairs.values() for pair in each)
    return [note.at - said.at - DELAY for said, note in every if note]


async def test_every_message_brings_one_notification_five_seconds_after_its_own_time(
    origin: House,
) -> None:
    origin.start("up")
    await origin.ready("worker", "scheduler")
    for number in range(6):
        await post(origin, ("ada", "grace")[number % 2], number)
        await asyncio.sleep(0.3)  # people take their time; nothing waits for this
    await origin.until(lambda: all_told(origin), "all is told")
    found = late(await told(origin))
    assert len(found) == 6 * len(origin.remotes)
    assert min(found) >= 0, "never early"
    assert max(found) < SOON
    await origin.until(lambda: origin.count(Status.OWED) == 0, "receipts are recorded")
    await asyncio.to_thread(_looked_at, origin, len(found))
    assert await origin.stop("up") < 15


def _looked_at(origin: House, sent: int) -> None:
    """Schedules and results can be looked at."""
    [sweep] = [one for one in origin.ask("schedules") if one["name"] == "sweep"]
    assert sweep["schedule"] == "every 10s"
    status = origin.ask("status")
    assert status["messages"] > sent
    assert (status["sent"], status["owed"]) == (sent, 0)
    assert (status["workers"], status["schedulers"]) == (1, 1)
    with sqlite3.connect(origin.folder / "results.sqlite") as results:
        rows = results.execute("SELECT status, count(*) FROM celery_taskmeta GROUP BY 1").fetchall()
    results.close()
    assert [one for one, _ in rows] == ["SUCCESS"]


@pytest.mark.parametrize("origin", REDIS_AND_RABBITMQ, indirect=True)
async def test_the_sweep_finds_what_lost_its_bell_before_a_worker_came(origin: House) -> None:
    origin.start("listen")
    origin.start("scheduler")
    await origin.ready("scheduler")
    texts = await post(origin, "ada", 1)
    await origin.until(lambda: origin.stored(*texts.values()), "the messages are stored")
    await origin.until(lambda: _forget(_url(origin)), "bells wait, and are lost")
    origin.start("worker")
    await origin.until(lambda: origin.alive("worker"), "a worker lives")
    joined = time.time()
    await origin.until(lambda: all_told(origin), "all is told")
    pairs = await told(origin)
    assert min(late(pairs)) >= 0
    told_at = max(note.at for each in pairs.values() for _, note in each if note)
    assert told_at < joined + DELAY + SWEEP + SOON


@pytest.mark.parametrize("origin", REDIS_AND_RABBITMQ, indirect=True)
async def test_a_broker_that_forgets_everything_while_all_run_delays_by_a_sweep_at_most(
    origin: House,
) -> None:
    origin.start("up")
    await origin.ready("worker", "scheduler")
    await post(origin, "ada", 1)
    await origin.until(lambda: all_told(origin), "the first is told")
    for number in (2, 3):
        _forget(_url(origin))
        await post(origin, "grace", number)
        await origin.until(lambda: all_told(origin), f"message {number} is told")
    found = late(await told(origin))
    assert min(found) >= 0
    assert max(found) < SWEEP + SOON
