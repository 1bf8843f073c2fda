"""What waits, by account and lane; and that reading it stays cheap."""

from sqlalchemy import insert
from sqlmodel import col, select

from bridge.models import Channel, Delivery, Lane, Worker
from bridge.store import Store
from tasks.depths import due_by_lane, pending, read_depths
from tests.values import NOW, seconds


def fill(store: Store) -> None:
    rows = [
        {
            "key": f"{lane}-{number}",
            "lane": lane,
            "due_at": NOW + seconds(number - 5 * lane),
            "owed_at": NOW,
        }
        for lane in (1, 2)
        for number in range(20)
    ]
    with store.transaction() as session:
        session.add(Lane(id=1, account="acme", channel="C1"))
        session.add(Lane(id=2, account="community", channel="D1"))
        session.add(Channel(account="acme", id="C1", name="a", behind=True))
        session.add(Channel(account="acme", id="C2", name="b"))
        session.add(Worker(id="w", role="worker", started_at=NOW))
        session.add(Delivery(key="done", lane=1, due_at=NOW, owed_at=NOW, status=1))
        session.flush()
        session.execute(insert(Delivery), rows)


def test_depths_are_told_by_account_lane_and_role(store: Store) -> None:
    fill(store)
    with store.reading() as session:
        found = read_depths(session, NOW)
    assert found.pending == 40
    assert found.due == {("acme",): 6, ("community",): 11}
    assert found.oldest_seconds == {("acme",): 5.0, ("community",): 10.0}
    assert list(found.deepest.items()) == [(("community", "D1"), 11), (("acme", "C1"), 6)]
    assert found.behind == {("acme",): 1}
    assert found.processes == {("worker",): 1}


def test_an_empty_store_has_no_depths(store: Store) -> None:
    with store.reading() as session:
        found = read_depths(session, NOW)
    assert (found.pending, found.due, found.deepest, found.behind) == (0, {}, {}, {})


def test_both_statements_go_by_the_index_on_what_is_owed(store: Store) -> None:
    fill(store)
    with store.reading() as session:
        for statement in (due_by_lane(NOW), pending()):
            text = statement.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
            reads = [row[3] for row in plan if "delivery" in row[3]]
            assert reads
            assert all("INDEX delivery_" in one for one in reads), plan
        assert session.exec(select(col(Delivery.id)).limit(1)).one()
