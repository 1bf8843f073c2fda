"""PostgreSQL that restarts, and processes that stop in the middle of a transaction."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import func, select

from bridge.errors import StoreError
from bridge.models import Message
from bridge.rules import When
from bridge.store import Store
from tests.integration.databases import Postgres, run_postgres
from tests.integration.servers import until
from tests.values import NOW, intake, posted, rule

ROOT = Path(__file__).parents[2]
EVERY = rule(when=When(), after="0s")


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that nobody else uses, so that it may be stopped."""
    with run_postgres() as server:
        yield server


def count(store: Store) -> int:
    with store.reading() as session:
        return session.exec(select(func.count()).select_from(Message)).one()


def test_a_server_that_restarts_costs_a_clear_error_at_the_most(own_postgres: Postgres) -> None:
    store = Store(own_postgres.fresh())
    taking = intake(store, EVERY)
    taking.take([posted(1)], NOW)
    own_postgres.stop()
    with pytest.raises(StoreError) as raised:
        taking.take([posted(2)], NOW)
    assert "\n" not in str(raised.value)
    with pytest.raises(StoreError):
        count(store)
    own_postgres.start()
    assert taking.take([posted(2)], NOW).stored == 1, "old connections are found out first"
    assert count(store) == 2
    store.close()


def test_a_restart_between_two_transactions_is_not_noticed(own_postgres: Postgres) -> None:
    store = Store(own_postgres.fresh())
    taking = intake(store, EVERY)
    taking.take([posted(1)], NOW)
    assert count(store) == 1
    own_postgres.stop()
    own_postgres.start()
    assert count(store) == 1
    assert taking.take([posted(2)], NOW).stored == 1
    store.close()


def test_a_connection_that_is_cut_in_a_transaction_undoes_it_whole(postgres_url: str) -> None:
    store, other = Store(postgres_url), Store(postgres_url)
    taking = intake(store, EVERY)

    def cut_meanwhile() -> None:
        with store.transaction() as session:
            session.add(
                Message(
                    account="a",
                    channel="c",
                    native_id="1",
                    author="x",
                    sent_at=NOW,
                    received_at=NOW,
                )
            )
            session.flush()
            _cut_all_others(other)
            session.execute(text("SELECT 1"))

    with pytest.raises(StoreError):
        cut_meanwhile()
    assert count(store) == 0
    assert taking.take([posted(1)], NOW).stored == 1
    store.close()
    other.close()


def _cut_all_others(store: Store) -> None:
    with store.transaction() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds where a real store takes ten."""
    monkeypatch.setattr(
        "bridge.store._STALLED",
        (
            "SET SESSION idle_in_transaction_session_timeout = '2s'",
            "SET SESSION lock_timeout = '1s'",
        ),
    )


@pytest.mark.usefixtures("impatient")
def test_a_wait_for_a_lock_has_an_end_and_a_clear_error(postgres_url: str) -> None:
    store, other = Store(postgres_url), Store(postgres_url)
    taking = intake(store, EVERY)
    with other.transaction() as session:
        session.execute(text("LOCK TABLE message IN EXCLUSIVE MODE"))
        with pytest.raises(StoreError, match="lock timeout"):
            taking.take([posted(1)], NOW)
        session.execute(text("SELECT 1"))
    assert taking.take([posted(1)], NOW).stored == 1
    store.close()
    other.close()


_STALLED = """
import sys, time
import bridge.store
bridge.store._STALLED = ("SET SESSION idle_in_transaction_session_timeout = '2s'",)
from sqlalchemy import text
from bridge.errors import StoreError
store = bridge.store.Store(sys.argv[1])
try:
    with store.transaction() as session:
        session.execute(text("LOCK TABLE message IN EXCLUSIVE MODE"))
        print("locked", flush=True)
        sys.stdin.readline()
        session.execute(text("SELECT 1"))
except StoreError as error:
    print(error, flush=True)
"""


def test_a_process_that_is_stopped_in_a_transaction_holds_nobody_up_for_ever(
    postgres_url: str,
) -> None:
    store = Store(postgres_url)
    taking = intake(store, EVERY)
    process = subprocess.Popen(
        [sys.executable, "-c", _STALLED, postgres_url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdin
    try:
        assert process.stdout.readline() == "locked\n"
        os.kill(process.pid, signal.SIGSTOP)

        def taken() -> bool:
            with contextlib.suppress(StoreError):
                return bool(taking.take([posted(1)], NOW).stored)
            return False

        until(taken, "its transaction is ended by the server", 20)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        told = process.communicate("go on\n", 30)[0]
    assert "idle" in told or "terminat" in told or "closed" in told, told
    store.close()


def test_every_connection_has_its_limits(postgres_url: str) -> None:
    store = Store(postgres_url)
    with store.reading() as session:
        for setting in ("idle_in_transaction_session_timeout", "lock_timeout"):
            assert session.execute(text(f"SHOW {setting}")).scalar() == "10s"
    store.close()
