"""The books of an account's sending: laws on passed clocks, and URLs as redis-py reads them."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import parse_url
from structlog.testing import capture_logs

from bridge import budgets
from bridge.budgets import HORIZON, SECOND, Pace
from bridge.store import Store
from tasks.budget import RedisBudget, StoreBudget, redis_url

RATES = st.floats(min_value=0.01, max_value=500)
STEPS = st.lists(st.integers(min_value=0, max_value=2 * SECOND), max_size=200)


def slots(rate: float, steps: list[int]) -> list[int]:
    """The moments of all slots that are booked, asking again after each of these pauses."""
    pace, now, tat, found = Pace.of(rate), 1_000 * SECOND, 0, []
    for step in steps:
        now += step
        wait, tat = pace.book(tat, now)
        if wait <= HORIZON:
            found.append(now + wait)
    return found


@given(RATES, STEPS)
def test_no_span_of_time_holds_more_than_the_rate_and_one_burst(
    rate: float, steps: list[int]
) -> None:
    pace, found = Pace.of(rate), slots(rate, steps)
    for first, start in enumerate(found):
        for more, end in enumerate(found[first:]):
            assert more * pace.interval <= end - start + pace.tolerance


@given(RATES, STEPS)
def test_slots_are_booked_in_the_order_of_asking(rate: float, steps: list[int]) -> None:
    found = slots(rate, steps)
    assert found == sorted(found)


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1), (1, 1), (5, 1), (20, 4), (45, 9)])
def test_after_a_rest_a_fifth_of_the_rate_goes_at_once_and_one_at_least(
    rate: float, burst: int
) -> None:
    waits = [slot - 1_000 * SECOND for slot in slots(rate, [0] * (burst + 1))]
    assert [wait > 0 for wait in waits] == [False] * burst + [True][: len(waits) - burst]


def test_nobody_books_beyond_the_horizon_and_a_refusal_books_nothing() -> None:
    pace, tat, waits = Pace.of(10), 0, []
    for _ in range(100):
        wait, tat = pace.book(tat, SECOND)
        waits.append(wait)
    assert len([wait for wait in waits if wait <= HORIZON]) == 52
    assert waits[-1] == waits[-10] > HORIZON


def test_books_from_before_a_clock_was_set_back_are_void() -> None:
    wait, tat = Pace.of(10).book(3600 * SECOND, SECOND)
    assert (wait, tat) == (0, SECOND + SECOND // 10)


def test_the_store_books_like_the_pure_rule(store: Store) -> None:
    began, waits = time.monotonic(), []
    for _ in range(30):
        with store.transaction() as session:
            waits.append(budgets.book(session, "acme", 10) / SECOND)
    took = time.monotonic() - began
    assert waits[:2] == [0, 0]
    assert all((n - 1) * 0.1 - took < wait <= (n - 1) * 0.1 for n, wait in enumerate(waits) if wait)
    with store.reading() as session:
        assert 3.0 - 2 * took - 1 < budgets.ahead(session)["acme"] <= 3.0


def test_the_store_books_nothing_beyond_the_horizon(store: Store) -> None:
    waits = []
    for _ in range(10):
        with store.transaction() as session:
            waits.append(budgets.book(session, "acme", 0.1))
    assert waits[0] == 0
    assert all(HORIZON < wait <= 2 * HORIZON for wait in waits[1:])


async def test_accounts_do_not_wait_for_each_other(store: Store) -> None:
    budget = StoreBudget(store)
    first = [await budget.reserve(name, 1) for name in ("acme", "community", "acme")]
    assert first[:2] == [0.0, 0.0]
    assert 0.5 < first[2] <= 1.0
    await budget.close()
    await budget.close()


async def test_whoever_asks_beyond_the_horizon_gets_a_slot_later_and_in_turn(store: Store) -> None:
    budget, order = StoreBudget(store), []

    async def ask(number: int) -> None:
        assert await budget.reserve("acme", 20) <= 5.0
        order.append(number)

    began = time.monotonic()
    await asyncio.gather(*(ask(number) for number in range(124)))
    assert order == list(range(124))
    assert time.monotonic() - began > 0.8
    await budget.close()


async def test_without_redis_a_process_counts_alone_and_says_so_once() -> None:
    budget = RedisBudget("redis+socket:///nowhere/valkey.sock?virtual_host=0")
    with capture_logs() as lines:
        began = time.monotonic()
        waits = [await budget.reserve("acme", 10) for _ in range(20)]
    assert time.monotonic() - began < 1.0
    assert waits[:2] == [0.0, 0.0]
    assert 0.5 < waits[-1] <= 1.8
    assert [line["log_level"] for line in lines] == ["warning"]
    await budget.close()


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("redis://localhost", {"host": "localhost"}),
        (
            "redis://:p%40w@cache:6380/2?visibility_timeout=3",
            {"host": "cache", "port": 6380, "db": 2, "password": "p@w"},
        ),
        ("redis://one:1/0;redis://two:2/0", {"host": "one", "port": 1, "db": 0}),
        (
            "rediss://cache/1?ssl_cert_reqs=CERT_NONE",
            {"host": "cache", "db": 1, "ssl_cert_reqs": "none"},
        ),
        (
            "redis+socket:///var/a%20b/x.sock?virtual_host=3",
            {"path": "/var/a b/x.sock", "db": 3},
        ),
    ],
)
def test_a_brokers_url_becomes_one_of_redis_py(url: str, read: dict[str, object]) -> None:
    found = dict(parse_url(redis_url(url)))
    found.pop("connection_class", None)
    assert found == read
