"""Lanes and turns: who may send what, when, and what is recorded."""

import pytest
from sqlmodel import select

from bridge import workers
from bridge.delivery import Settlement, turn
from bridge.lanes import due_lanes, lease
from bridge.messages import Deleted, Receipt
from bridge.models import Delivery, Lane, Status, Worker
from bridge.pending import next_rows
from bridge.retry import MOST_TRIES, Again, GiveUp
from bridge.store import Store
from tests.values import HELP, NOW, ONCALL, STAFF, intake, posted, reply, rule, seconds

LATER = NOW + seconds(7200)


def join(store: Store, name: str) -> None:
    with store.transaction() as session:
        workers.register(session, Worker(id=name, started_at=NOW))


def take_turn(store: Store, worker="one", settled=(), rung=(), held=(), now=LATER):
    with store.transaction() as session:
        return turn(session, worker, settled, rung, held, now)


def deliveries(store: Store) -> list[Delivery]:
    with store.reading() as session:
        return list(session.exec(select(Delivery).order_by(Delivery.id)))


def lanes(store: Store) -> dict[str, Lane]:
    with store.reading() as session:
        return {lane.channel: lane for lane in session.exec(select(Lane))}


@pytest.fixture
def owing(store: Store) -> Store:
    """Two questions, each owed to two lanes; workers one and two live."""
    intake(store, rule(to=(ONCALL, STAFF))).take([posted(1), posted(2)], NOW)
    join(store, "one")
    join(store, "two")
    return store


def ids(store: Store) -> set[int]:
    return {lane.id for lane in lanes(store).values()}


def test_a_turn_claims_one_row_per_lane_in_order(owing: Store) -> None:
    done = take_turn(owing, rung=ids(owing))
    assert len(done.jobs) == 2
    assert {job.facts.text for job in done.jobs} == {"How does it work?"}
    assert {job.due_at for job in done.jobs} == {NOW + seconds(1801)}
    assert [row.attempts for row in deliveries(owing)] == [1, 1, 0, 0]


def test_rows_that_are_due_together_leave_in_the_order_of_their_messages(store: Store) -> None:
    batch = [posted(number, sent_at=NOW) for number in (12, 9, 10, 8, 11)]
    intake(store, rule()).take(batch, NOW)
    join(store, "one")
    [job], links = take_turn(store, rung=ids(store)).jobs, []
    while job:
        links.append(job.link)
        [job] = take_turn(store, settled=[Settlement(job, Receipt("9", 9))]).jobs or [None]
    assert [link.rpartition("/")[2] for link in links] == ["8", "9", "10", "11", "12"]


def test_a_lane_that_a_living_worker_holds_is_left_to_it(owing: Store) -> None:
    take_turn(owing, "one", rung=ids(owing))
    done = take_turn(owing, "two", rung=ids(owing))
    assert done.jobs == ()


def test_nothing_is_sent_before_it_is_due(owing: Store) -> None:
    done = take_turn(owing, rung=ids(owing), now=NOW + seconds(1800))
    assert (done.jobs, len(done.freed)) == ((), 2)


def test_a_receipt_settles_and_brings_the_next_row(owing: Store) -> None:
    job, *_ = take_turn(owing, rung=ids(owing)).jobs
    done = take_turn(owing, settled=[Settlement(job, Receipt("99", 99))])
    assert [one.lane for one in done.jobs] == [job.lane]
    [row] = [row for row in deliveries(owing) if row.id == job.id]
    assert (Status(row.status), row.receipt) == (Status.SENT, "99")


def test_a_refusal_pauses_its_lane_alone_and_the_sweep_leaves_it_out(owing: Store) -> None:
    first, second = take_turn(owing, rung=ids(owing)).jobs
    until = LATER + seconds(30)
    done = take_turn(owing, settled=[Settlement(first, Again(until, "busy"))])
    assert done.waiting == ((first.lane, until),)
    assert take_turn(owing, rung=[first.lane], now=LATER + seconds(29)).jobs == ()
    with owing.reading() as session:
        swept = dict(due_lanes(session, LATER, LATER))
        later = dict(due_lanes(session, until + seconds(1), LATER))
    assert first.lane not in swept
    assert later[first.lane] == until
    assert take_turn(owing, rung=[first.lane], now=until).jobs[0].id == first.id
    assert second.lane in swept


def test_a_rate_limit_counts_as_no_attempt(owing: Store) -> None:
    job, *_ = take_turn(owing, rung=ids(owing)).jobs
    take_turn(owing, settled=[Settlement(job, Again(LATER, "429", counts=False))])
    assert [row.attempts for row in deliveries(owing) if row.id == job.id] == [1]


def test_what_is_given_up_is_kept_and_the_lane_goes_on(owing: Store) -> None:
    job, *_ = take_turn(owing, rung=ids(owing)).jobs
    done = take_turn(owing, settled=[Settlement(job, GiveUp("archived"))])
    assert [one.lane for one in done.jobs] == [job.lane]
    [row] = [row for row in deliveries(owing) if row.id == job.id]
    assert (Status(row.status), row.reason) == (Status.DEAD, "archived")


def test_the_claim_itself_cancels_what_no_longer_matters(owing: Store) -> None:
    with owing.transaction() as session:  # as another listener would, without tidying
        from bridge import archive

        archive.add_posts(session, [reply(3, 1)], NOW, lambda _: False)
    done = take_turn(owing, rung=ids(owing))
    assert done.cancelled == 2
    assert {job.due_at for job in done.jobs} == {NOW + seconds(1802)}


def test_a_cancellation_during_an_attempt_leaves_the_decision_to_the_holder(owing: Store) -> None:
    job, *_ = take_turn(owing, rung=ids(owing)).jobs
    taking = intake(owing, rule(to=(ONCALL, STAFF)))
    taking.take([Deleted(HELP, "1", 1, NOW)], NOW)
    [row] = [row for row in deliveries(owing) if row.id == job.id]
    assert (Status(row.status), row.cancel_wanted) == (Status.OWED, True)
    take_turn(owing, settled=[Settlement(job, Receipt("99", 99))])
    [row] = [row for row in deliveries(owing) if row.id == job.id]
    assert Status(row.status) is Status.SENT


def test_a_failed_attempt_of_what_no_longer_matters_is_not_repeated(owing: Store) -> None:
    job, *_ = take_turn(owing, rung=ids(owing)).jobs
    intake(owing, rule(to=(ONCALL, STAFF))).take([Deleted(HELP, "1", 1, NOW)], NOW)
    take_turn(owing, settled=[Settlement(job, Again(LATER, "refused"))])
    [row] = [row for row in deliveries(owing) if row.id == job.id]
    assert Status(row.status) is Status.CANCELLED


def test_the_lanes_of_a_buried_worker_are_free_and_its_failures_void(owing: Store) -> None:
    job, *_ = take_turn(owing, "one", rung=ids(owing)).jobs
    with owing.transaction() as session:
        workers.bury(session, {"one": 0})
    [again] = take_turn(owing, "two", rung=[job.lane]).jobs
    assert (again.id, again.trying, again.epoch) == (job.id, job.epoch, job.epoch + 1)
    take_turn(owing, "one", settled=[Settlement(job, GiveUp("too late"))])
    assert Status(deliveries(owing)[0].status) is Status.OWED
    take_turn(owing, "one", settled=[Settlement(job, Receipt("99", 99))])
    [row] = [row for row in deliveries(owing) if row.id == job.id]
    assert Status(row.status) is Status.SENT, "a receipt is always recorded"


def test_a_delivery_that_kills_its_sender_ends_as_dead(owing: Store) -> None:
    lane = min(ids(owing))
    for attempt in range(MOST_TRIES):
        worker = f"doomed-{attempt}"
        join(owing, worker)
        [job] = take_turn(owing, worker, rung=[lane]).jobs
        with owing.transaction() as session:
            workers.bury(session, {worker: 0})
    done = take_turn(owing, "two", rung=[lane])
    assert done.dead == 1
    assert [one.id for one in done.jobs] != [job.id], "the lane goes on with the next"


def test_a_beat_that_moved_meanwhile_saves_a_worker(owing: Store) -> None:
    with owing.transaction() as session:
        assert workers.beat(session, "one")
        workers.bury(session, {"one": 0})
        assert workers.beat(session, "one")


def test_an_observer_calls_dead_only_what_stood_still_for_the_ttl() -> None:
    observer = workers.Observer(ttl=6)
    assert observer.dead({"a": 1, "b": 1}, clock=0) == {}
    assert observer.dead({"a": 2, "b": 1}, clock=3) == {}
    assert observer.dead({"a": 2, "b": 1}, clock=6) == {"b": 1}


def test_an_observer_that_did_not_look_for_long_calls_nobody_dead() -> None:
    observer = workers.Observer(ttl=6)
    assert observer.dead({"a": 1}, clock=0) == {}
    assert observer.dead({"a": 1}, clock=8) == {}, "the store may have been away"
    assert observer.dead({"a": 1}, clock=11) == {}
    assert observer.dead({"a": 1}, clock=14) == {"a": 1}


def test_one_leads_and_another_takes_over_when_it_is_gone(owing: Store) -> None:
    with owing.transaction() as session:
        assert workers.lead(session, "scheduler", "one")
        assert not workers.lead(session, "scheduler", "two")
        workers.leave(session, "one")
        assert workers.lead(session, "scheduler", "two")


def test_the_hot_statements_use_their_indexes(owing: Store) -> None:
    plans = []
    from sqlalchemy import event

    def explain(connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT") and "delivery" in statement:
            driver = connection.connection.dbapi_connection
            plans.extend(
                row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            )

    event.listen(owing.engine, "before_cursor_execute", explain)
    with owing.transaction() as session:
        taken = lease(session, "one", ids(owing))
        next_rows(session, "one", taken, LATER)
        due_lanes(session, LATER, LATER)
    event.remove(owing.engine, "before_cursor_execute", explain)
    text = "\n".join(plans)
    assert "USING COVERING INDEX delivery_lane" in text or "USING INDEX delivery_lane" in text
    assert "delivery_due" in text
    assert "message_thread" in text
    assert "message_reply" in text
    assert "SCAN delivery\n" not in text


def test_what_is_given_up_is_told_to_the_admins_once_an_hour_and_lane(owing: Store) -> None:
    from bridge.lanes import ensure_lanes
    from bridge.messages import ChannelRef

    with owing.transaction() as session:
        admin = ChannelRef("acme", "C-admin")
        admin_lane = ensure_lanes(session, [admin])[admin]
    jobs = take_turn(owing, rung=ids(owing)).jobs
    while jobs:
        gone = [Settlement(job, GiveUp("archived")) for job in jobs if job.lane != admin_lane]
        with owing.transaction() as session:
            jobs = turn(session, "one", gone, [], [], LATER, admin_lane=admin_lane).jobs
    notices = [row for row in deliveries(owing) if row.kind == "notice"]
    assert [row.lane for row in notices] == [admin_lane, admin_lane]
    assert all("archived" in row.body for row in notices)
