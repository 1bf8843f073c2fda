"""Single moments in which two writers meet, played step by step; nobody blocks anybody for good."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import text
from sqlmodel import Session, func, select

from bridge import outbox, workers
from bridge.delivery import Turn, turn
from bridge.lanes import due_lanes, lease
from bridge.messages import ChannelNamed
from bridge.models import Channel, Delivery, Lane, Status, Worker
from bridge.store import Store
from tests.integration.servers import until
from tests.values import HELP, NOW, ONCALL, STAFF, intake, posted, rule, seconds

LATER = NOW + seconds(7200)


@pytest.fixture
def shared(postgres_url: str) -> Iterator[Store]:
    """Two questions, each owed to two lanes; workers one and two live."""
    made = Store(postgres_url)
    with made.transaction() as session:
        for name in ("one", "two"):
            workers.register(session, Worker(id=name, started_at=NOW))
    intake(made, rule(to=(ONCALL, STAFF))).take([posted(1), posted(2)], NOW)
    yield made
    made.close()


@pytest.fixture
def two(shared: Store) -> Iterator[tuple[Session, Session]]:
    """Two transactions at once; one that has to wait for the other fails."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(shared.transaction()) for _ in range(2))
        for session in (first, second):
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
        yield first, second


def lanes(store: Store) -> list[int]:
    with store.reading() as session:
        return [one for one in session.exec(select(Lane.id).order_by(Lane.id)) if one]


def statuses(store: Store) -> list[Status]:
    with store.reading() as session:
        return [Status(one) for one in session.exec(select(Delivery.status).order_by(Delivery.id))]


def test_workers_that_take_each_other_for_dead_while_both_beat_both_live(
    shared: Store, two: tuple[Session, Session]
) -> None:
    first, second = two
    assert workers.beat(first, "one")
    assert workers.beat(second, "two")
    workers.bury(first, {"two": 0})
    workers.bury(second, {"one": 0})
    first.commit()
    second.commit()
    with shared.reading() as session:
        assert workers.beats(session) == {"one": 1, "two": 1}


def test_a_lane_that_its_holder_is_writing_is_not_waited_for(
    shared: Store, two: tuple[Session, Session]
) -> None:
    with shared.transaction() as session:
        lease(session, "one", lanes(shared))
    first, second = two
    lane = lanes(shared)[0]
    pause = outbox.Refusal(1, lane, 1, LATER, "busy", unknown=False, counts=True)
    outbox.retry(first, [pause])
    assert lease(second, "two", lanes(shared)) == set()


def test_a_row_that_is_being_claimed_is_not_waited_for_by_who_would_cancel_it(
    shared: Store, two: tuple[Session, Session]
) -> None:
    first, second = two
    done = turn(first, "one", [], lanes(shared), [], LATER)
    reasons = [(job.id, "answered") for job in done.jobs]
    assert outbox.cancel(second, reasons, NOW) == 0


def test_a_row_that_is_cancelled_between_look_and_claim_is_not_sent(shared: Store) -> None:
    def take_turn() -> Turn:
        with shared.transaction() as session:
            return turn(session, "one", [], lanes(shared), [], LATER)

    with ThreadPoolExecutor(1) as pool:
        with shared.transaction() as session:
            assert outbox.cancel(session, [(1, "answered"), (2, "answered")], NOW) == 2
            turning = pool.submit(take_turn)
            until(lambda: _somebody_waits(shared), "the turn waits for the cancelled rows")
        done = turning.result(30)
    assert not {1, 2} & {job.id for job in done.jobs}
    assert statuses(shared)[:2] == [Status.CANCELLED] * 2
    with shared.reading() as session:
        swept = {lane for lane, _ in due_lanes(session, LATER, LATER)}
    assert swept == done.freed | {job.lane for job in done.jobs}, "what comes next is not lost"


def _somebody_waits(store: Store) -> bool:
    with store.reading() as session:
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(session.execute(waiting).scalar())


def test_a_reader_sees_one_moment(store_on: Store) -> None:
    taking = intake(store_on)
    taking.take([ChannelNamed(HELP, "help")], NOW)
    count = select(func.count()).select_from(Channel)
    with store_on.reading() as session:
        before = session.exec(count).one()
        taking.take([ChannelNamed(ONCALL, "oncall")], NOW)
        assert session.exec(count).one() == before
    with store_on.reading() as session:
        assert session.exec(count).one() == before + 1
