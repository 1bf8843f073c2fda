"""The hot statements find their rows by index, in stores large enough for that to matter."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, insert, text
from sqlmodel import Session, col, select

from bridge import workers
from bridge.digest import DigestRule
from bridge.digest.source import read
from bridge.lanes import due_lanes, lanes_with_due, lease
from bridge.messages import ChannelRef
from bridge.migrations import upgrade
from bridge.models import Delivery, Lane, Message, Reaction, Worker
from bridge.pending import next_rows, pending_for
from bridge.store import Store
from bridge.times import Window, every
from tests.integration.databases import STORES
from tests.values import NOW, seconds

MANY = 20_000
LANES = 200
CHANNELS = tuple(ChannelRef("acme", f"C{number}") for number in range(20))
SOON = NOW + seconds(300)

_LARGE = "delivery|first|message|in_thread|in_reply|reaction"
_SCANS = re.compile(rf"SCAN ({_LARGE})\b|Seq Scan on ({_LARGE})\b")


@pytest.fixture(scope="module", params=STORES)
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Many messages in twenty channels; each is owed to one of many lanes, most of them later."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('full') / 'store.db'}"
    else:
        url = request.getfixturevalue("postgres").fresh()
    store = Store(url, synchronous="normal")
    upgrade(store)
    fill(store)
    yield store
    store.close()


def fill(store: Store) -> None:
    with store.transaction() as session:
        workers.register(session, Worker(id="one", started_at=NOW))
        lanes = [{"account": "acme", "channel": f"T{number}"} for number in range(LANES)]
        session.execute(insert(Lane), lanes)
        session.execute(insert(Message), [_message(number) for number in range(MANY)])
        session.execute(insert(Reaction), [_reaction(number) for number in range(MANY)])
        lane_ids, message_ids = ids(session, Lane), ids(session, Message)
        owed = [
            _delivery(number, lane_ids[number % LANES], message)
            for number, message in enumerate(message_ids)
        ]
        session.execute(insert(Delivery), owed)
    with store.transaction() as session:
        session.execute(text("ANALYZE"))


def ids(session: Session, table: type[Lane | Message]) -> list[int]:
    return [one for one in session.exec(select(table.id).order_by(col(table.id))) if one]


def _message(number: int) -> dict[str, object]:
    channel = CHANNELS[number % len(CHANNELS)]
    answers = str(number - len(CHANNELS)) if number % 3 == 0 else ""
    return {
        "account": channel.account,
        "channel": channel.id,
        "native_id": str(number),
        "position": number,
        "author": f"U{number % 7}",
        "sent_at": NOW + seconds(number),
        "received_at": NOW + seconds(number),
        "thread": answers if number % 2 else "",
        "reply_to": "" if number % 2 else answers,
    }


def _reaction(number: int) -> dict[str, object]:
    channel = CHANNELS[number % len(CHANNELS)]
    return {
        "account": channel.account,
        "channel": channel.id,
        "native_id": str(number),
        "person": "U1",
        "emoji": "eyes",
        "at": NOW,
    }


def _delivery(number: int, lane: int, message: int) -> dict[str, object]:
    return {
        "key": str(number),
        "lane": lane,
        "message": message,
        "due_at": NOW + seconds(number),
        "owed_at": NOW,
        "status": 0 if number % 7 else 1,
    }


@contextmanager
def plans(store: Store) -> Iterator[list[str]]:
    """How the store goes about each statement of a block, one text per statement."""
    found: list[str] = []
    how = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"

    def explain(connection, _cursor, statement, parameters, *_) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            cursor = connection.connection.dbapi_connection.cursor()
            cursor.execute(f"{how} {statement}", parameters)
            found.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
            cursor.close()

    event.listen(store.engine, "before_cursor_execute", explain)
    yield found
    event.remove(store.engine, "before_cursor_execute", explain)


def check(found: list[str], *wanted: str) -> None:
    """No large table is read whole, and each of these indexes is used."""
    whole = "\n\n".join(found)
    assert found
    assert not _SCANS.search(whole), whole
    assert [index for index in wanted if index not in whole] == [], whole


def test_a_claim_reads_the_first_row_of_each_lane_and_what_was_answered(full: Store) -> None:
    with full.transaction() as session, plans(full) as found:
        lanes = ids(session, Lane)[:100]
        taken = lease(session, "one", lanes)
        rows = next_rows(session, "one", taken, SOON)
        session.rollback()
    assert len(rows) == 100
    check(found, "delivery_lane", "message_thread", "message_reply", "reaction")


def test_a_sweep_reads_what_is_due_and_nothing_else(full: Store) -> None:
    with full.reading() as session, plans(full) as found:
        due = due_lanes(session, SOON, NOW)
    assert len(due) == len({number % LANES for number in range(301) if number % 7})
    check(found, "delivery_due")


def test_a_second_look_at_lanes_that_were_let_go_of_reads_by_index(full: Store) -> None:
    with full.reading() as session, plans(full) as found:
        assert lanes_with_due(session, ids(session, Lane)[:100], SOON)
    check(found)


def test_tidying_up_after_an_event_reads_what_its_message_owes(full: Store) -> None:
    with full.reading() as session, plans(full) as found:
        assert len(pending_for(session, [2, 3, 4, 5])) == 4
    check(found, "delivery_message", "message_thread", "message_reply")


def test_a_digest_reads_its_window_by_index(full: Store) -> None:
    window = Window(NOW + seconds(7200), NOW + seconds(10800))
    digest = DigestRule(
        name="two",
        channels=CHANNELS[:2],
        to=(CHANNELS[2],),
        schedule=every("1h"),
        zone=ZoneInfo("UTC"),
        sections=("numbers", "threads", "unanswered", "links"),
    )
    with full.reading() as session, plans(full) as found:
        contents = read(session, digest, window, window)
    assert len(contents.said) == 360
    check(found, "message_sent")


def test_a_sweep_on_sqlite_costs_nothing_while_all_that_is_pending_is_far_away(
    tmp_path: Path,
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", synchronous="normal")
    upgrade(store)
    with store.transaction() as session:
        session.execute(insert(Lane), [{"account": "acme", "channel": "T"}])
        session.execute(insert(Delivery), [_delivery(number, 1, 1) for number in range(MANY)])
    hundreds: list[None] = []
    with store.reading() as session:
        driver = session.connection().connection.dbapi_connection
        driver.set_progress_handler(lambda: hundreds.append(None), 100)
        assert due_lanes(session, NOW - seconds(1), NOW) == []
        driver.set_progress_handler(None, 0)
    store.close()
    assert len(hundreds) <= 2, "hundreds of steps of SQLite's machine"
