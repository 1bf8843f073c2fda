"""One budget, many workers: together they keep the rate, and each gets its share."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.migrations import upgrade
from bridge.store import Store
from tasks.broker import EmbeddedBroker
from tasks.budget import Budget, RedisBudget, StoreBudget, booked
from tasks.wiring import open_house
from tests.integration.databases import STORES
from tests.integration.servers import until

WORKERS = 4
RATE = 40.0
BURST = 8
KINDS = ("valkey", "embedded", *STORES)

Make = Callable[[], Budget]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes one more budget of the same account, as another process would."""
    if request.param == "valkey":
        url = request.getfixturevalue("valkey")
        yield lambda: RedisBudget(url)
    elif request.param == "embedded":
        server = EmbeddedBroker(tmp_path)
        server.enter()
        yield lambda: RedisBudget(server.url)
        server.leave()
    else:
        store_url = (
            f"sqlite:///{tmp_path / 'store.db'}"
            if request.param == "sqlite"
            else request.getfixturevalue("postgres_url")
        )
        yield from _on_store(store_url)


def _on_store(url: str) -> Iterator[Make]:
    stores = [Store(url) for _ in range(WORKERS)]
    upgrade(stores[0])
    spare = iter(stores)
    yield lambda: StoreBudget(next(spare))
    for store in stores:
        store.close()


def together(make: Make, work: Callable[[int, Budget], object]) -> None:
    """Run `work(number, budget)` in as many threads as there are workers, each with its loop."""
    errors: list[Exception] = []
    ready = threading.Barrier(WORKERS)

    async def worker(number: int) -> None:
        budget = made[number]
        try:
            await budget.reserve("warm", 1000)
            ready.wait(30)
            await work(number, budget)
        finally:
            await budget.close()

    def run(number: int) -> None:
        try:
            asyncio.run(worker(number))
        except Exception as error:
            errors.append(error)
            ready.abort()

    made = [make() for _ in range(WORKERS)]
    threads = [threading.Thread(target=run, args=[number]) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_what_all_workers_book_is_the_rate_within_five_percent(make: Make, account: str) -> None:
    # a slot lies between these two moments, however long this thread was held up
    earliest: list[float] = []
    latest: list[float] = []

    async def book(_: int, budget: Budget) -> None:
        for _ in range(30):
            before = time.monotonic()
            wait = await budget.reserve(account, RATE)
            earliest.append(before + wait)
            latest.append(time.monotonic() + wait)

    together(make, book)
    expected = (len(earliest) - BURST) / RATE
    assert expected <= 1.05 * (max(latest) - min(earliest))
    assert expected >= 0.95 * (max(earliest) - min(latest))


def test_each_worker_gets_its_share_while_all_want_more(make: Make, account: str) -> None:
    sent: Counter[int] = Counter()
    began = time.monotonic()

    async def send(number: int, budget: Budget) -> None:
        while time.monotonic() - began < 3:
            await asyncio.sleep(await budget.reserve(account, RATE))
            sent[number] += 1

    together(make, send)
    took = time.monotonic() - began
    assert sum(sent.values()) <= (RATE * took + BURST) * 1.05
    fair = sum(sent.values()) / WORKERS
    assert all(abs(share - fair) <= fair / 2 for share in sent.values()), sent


async def test_a_server_that_comes_back_counts_again(tmp_path: Path) -> None:
    server = EmbeddedBroker(tmp_path)
    server.enter()
    budget = RedisBudget(server.url)
    try:
        assert await budget.reserve("acme", 1) == 0.0
        server.leave()
        with capture_logs() as lines:
            began = time.monotonic()
            assert await budget.reserve("acme", 1) == 0.0
            assert time.monotonic() - began < 1.0
            await asyncio.to_thread(server.enter)
            await asyncio.to_thread(until, lambda: len(lines) > 1, "it counts in Valkey again")
        assert await budget.reserve("acme", 1) <= 1.0
        assert [line["log_level"] for line in lines] == ["warning", "info"]
    finally:
        await budget.close()
        server.leave()


async def test_a_server_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    path = str(tmp_path / "silent.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()  # the kernel accepts, and nobody answers
        budget = RedisBudget(f"redis+socket://{path}?virtual_host=0")
        began = time.monotonic()
        assert await budget.reserve("acme", 1) == 0.0
        assert time.monotonic() - began < 1.0
        began = time.monotonic()
        waits = [await budget.reserve("acme", 1) for _ in range(5)]
        assert time.monotonic() - began < 1.0
        assert waits == sorted(waits)
        await budget.close()


async def test_status_sees_how_far_an_account_is_booked(tmp_path: Path, valkey: str) -> None:
    account = '[accounts.{}]\nplatform = "slack"\nbot_token = "xoxb-1"\napp_token = "xapp-1"\n'
    sections = account.format("booked") + account.format("idle")
    config = tmp_path / "config.toml"
    config.write_text(f'[broker]\nurl = "{valkey}"\n{sections}')
    house = open_house(str(config), {})
    upgrade(house.store)
    budget = RedisBudget(valkey)
    for _ in range(20):
        await budget.reserve("booked", 10)
    await budget.close()
    with house.store.reading() as session:
        found = booked(house, session)
        config.write_text(f'[broker]\nurl = "embedded"\n{sections}')
        assert booked(open_house(str(config), {}), session) == {}, "it starts nothing"
        config.write_text(f'[broker]\nurl = "amqp://localhost//"\n{sections}')
        assert booked(open_house(str(config), {}), session) == {}
    assert found.keys() == {"booked"}
    assert 0.5 < found["booked"] <= 2.0
    house.store.close()


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    """An account that no other test uses: they share a server."""
    return str(request.node.name)
