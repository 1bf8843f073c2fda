"""What people change by command, on both stores, beside workers that write the same rows."""

from datetime import UTC, datetime

import pytest
from sqlmodel import col, select

from bridge import outbox
from bridge.models import Delivery, Lane, Status
from bridge.store import Store
from tests.values import NOW, seconds


@pytest.fixture
def ids(store_on: Store) -> dict[Status, int]:
    """A delivery of each status."""
    with store_on.transaction() as session:
        session.add(Lane(id=1, account="acme", channel="C1"))
        session.flush()
        rows = {
            status: Delivery(
                key=status.name, lane=1, due_at=NOW, owed_at=NOW, status=status, attempts=8
            )
            for status in Status
        }
        session.add_all(rows.values())
    return {status: row.id or 0 for status, row in rows.items()}


def statuses(store: Store) -> dict[str, Status]:
    with store.reading() as session:
        rows = session.exec(select(Delivery).order_by(col(Delivery.id))).all()
    return {row.key: Status(row.status) for row in rows}


def test_only_what_is_dead_or_held_is_revived(store_on: Store, ids: dict[Status, int]) -> None:
    later = NOW + seconds(3600)
    with store_on.transaction() as session:
        revived = outbox.revive(session, [*ids.values(), 999], later)
    assert revived == sorted([ids[Status.DEAD], ids[Status.HELD]])
    assert statuses(store_on) == {
        "OWED": Status.OWED,
        "SENT": Status.SENT,
        "CANCELLED": Status.CANCELLED,
        "DEAD": Status.OWED,
        "HELD": Status.OWED,
    }
    with store_on.transaction() as session:
        assert outbox.revive(session, list(ids.values()), later) == []


def test_only_what_is_owed_or_held_is_withdrawn(store_on: Store, ids: dict[Status, int]) -> None:
    with store_on.transaction() as session:
        outbox.withdraw(session, [*ids.values(), 999], datetime.now(UTC))
    assert statuses(store_on) == {
        "OWED": Status.CANCELLED,
        "SENT": Status.SENT,
        "CANCELLED": Status.CANCELLED,
        "DEAD": Status.DEAD,
        "HELD": Status.CANCELLED,
    }


def test_a_row_that_is_being_written_is_passed_over_and_not_waited_for(
    store_on: Store, ids: dict[Status, int]
) -> None:
    if store_on.is_sqlite:
        pytest.skip("one writer at a time")
    with store_on.transaction() as writer:
        row = select(Delivery).where(col(Delivery.id) == ids[Status.OWED])
        writer.exec(row.with_for_update()).one()
        with store_on.transaction() as session:
            outbox.withdraw(session, [ids[Status.OWED]], datetime.now(UTC))
    assert statuses(store_on)["OWED"] == Status.OWED
