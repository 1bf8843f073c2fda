"""No stale burst: many late notifications of one lane leave as one message, whatever happens."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlmodel import select

from adapters.discord import markup as discord
from adapters.slack import markup as slack
from bridge import archive, outbox, workers
from bridge.attempt import Looked, Moot, outbound
from bridge.delivery import Settlement, Turn, turn
from bridge.lanes import ensure_lanes
from bridge.messages import ChannelRef, Deleted, Receipt
from bridge.models import Delivery, Lane, Status, Worker
from bridge.pending import Pending
from bridge.render import fitting
from bridge.retry import Again, GiveUp, Hold
from bridge.rules import When
from bridge.store import Store
from tests.values import HELP, NOW, ONCALL, STAFF, intake, posted, reply, rule, seconds

RULE = rule(when=When(), after="0s", to=(ONCALL,))
LATE = NOW + timedelta(hours=1)
SENT = Receipt("900", 900)


def take_turn(
    store: Store, *settled: Settlement, now: datetime = LATE, worker: str = "one"
) -> Turn:
    with store.reading() as session:
        lanes = [one for one in session.exec(select(Lane.id)) if one]
    with store.transaction() as session:
        return turn(session, worker, settled, lanes, [], now)


def join(store: Store, worker: str) -> None:
    with store.transaction() as session:
        workers.register(session, Worker(id=worker, started_at=NOW))


def bury(store: Store, worker: str) -> None:
    with store.transaction() as session:
        workers.bury(session, {worker: 0})


def rows(store: Store) -> list[Delivery]:
    with store.reading() as session:
        return list(session.exec(select(Delivery).order_by(Delivery.due_at, Delivery.id)))


def statuses(store: Store) -> list[Status]:
    return [Status(row.status) for row in rows(store)]


def owe(store: Store, numbers: range, *, to: tuple[ChannelRef, ...] = (ONCALL,)) -> None:
    intake(store, replace(RULE, to=to)).take([posted(number) for number in numbers], NOW)


def links(job: Pending) -> list[int]:
    """The numbers of the messages that leave in this one, in order."""
    return [int(one.link.rpartition("/")[2]) for one in (job, *job.others)]


@pytest.fixture
def late(store: Store) -> Store:
    """Seven notifications to one lane, all an hour late; worker one lives."""
    owe(store, range(1, 8))
    join(store, "one")
    return store


def test_six_that_are_late_leave_as_one_in_order(store: Store) -> None:
    owe(store, range(1, 7))
    join(store, "one")
    [job] = take_turn(store).jobs
    assert links(job) == [1, 2, 3, 4, 5, 6]
    assert take_turn(store, Settlement(job, SENT)).jobs == ()
    assert statuses(store) == [Status.SENT] * 6
    assert {row.receipt for row in rows(store)} == {"900"}


def test_five_that_are_late_leave_one_by_one(store: Store) -> None:
    owe(store, range(1, 6))
    join(store, "one")
    [job] = take_turn(store).jobs
    assert links(job) == [1]


def test_ten_minutes_are_not_late(store: Store) -> None:
    owe(store, range(1, 11))
    join(store, "one")
    just_in_time = NOW + timedelta(minutes=10, seconds=1)
    [job] = take_turn(store, now=just_in_time).jobs
    assert links(job) == [1]
    [job] = take_turn(store, now=just_in_time + seconds(7)).jobs or [None]
    assert job is None, "the first is under way"


def test_only_what_is_late_itself_joins(store: Store) -> None:
    owe(store, range(1, 8))
    intake(store, RULE).take([posted(20, sent_at=LATE - timedelta(minutes=1))], LATE)
    join(store, "one")
    [job] = take_turn(store).jobs
    assert links(job) == list(range(1, 8))
    [job] = take_turn(store, Settlement(job, SENT)).jobs
    assert links(job) == [20]


def test_lanes_are_bundled_apart(store: Store) -> None:
    owe(store, range(1, 8), to=(ONCALL, STAFF))
    join(store, "one")
    jobs = take_turn(store).jobs
    assert len(jobs) == 2
    assert all(links(job) == list(range(1, 8)) for job in jobs)


def test_a_bundle_tells_every_true_time(late: Store) -> None:
    [job] = take_turn(late).jobs
    told = str(outbound(job).document)
    assert "7 notifications" in told
    assert all(str(one.due_at) in told or repr(one.due_at) in told for one in (job, *job.others))


def test_other_kinds_are_not_bundled_and_keep_their_place(store: Store) -> None:
    owe(store, range(1, 9))
    with store.transaction() as session:
        lane = ensure_lanes(session, [ONCALL])[ONCALL]
        digests = [(f"digest-{number}", lane, "[]") for number in range(8)]
        outbox.owe_bodies(session, digests, "digest", NOW + seconds(7.5))
    join(store, "one")
    [job] = take_turn(store).jobs
    assert links(job) == list(range(1, 8))
    kinds = []
    for _ in range(9):
        [job] = take_turn(store, Settlement(job, SENT)).jobs
        kinds.append((job.body, len(job.others)))
    assert kinds == [("[]", 0)] * 8 + [("", 0)]


def test_no_more_leave_at_once_than_a_message_has_room_for(store: Store) -> None:
    long = "*" * 400
    batch = [
        posted(number, long, author_name="*" * 90, link=f"https://a.example/{number}/{'x' * 90}")
        for number in range(100, 170)
    ]
    intake(store, RULE).take(batch, NOW)
    join(store, "one")
    [job] = take_turn(store).jobs
    seen: list[str] = []
    while job:
        cards = discord.embeds(outbound(job).document)
        on_discord = "\n".join(card["description"] for card in cards)
        on_slack = str(slack.render(outbound(job).document).blocks)
        for one in (job, *job.others):
            assert one.link in on_discord
            assert one.link in on_slack
            seen.append(one.link)
        [job] = take_turn(store, Settlement(job, SENT)).jobs or [None]
    assert seen == [one.link for one in batch]


def test_ordinary_ones_leave_by_the_dozen(store: Store) -> None:
    owe(store, range(1, 61))
    join(store, "one")
    [job] = take_turn(store).jobs
    assert len(links(job)) >= 12
    assert fitting((job, *job.others)) == len(links(job))


def test_what_no_longer_matters_is_left_out(late: Store) -> None:
    with late.transaction() as session:  # as another listener would, without tidying
        archive.apply_deletes(session, [Deleted(HELP, "3", 3, NOW)], NOW)
    [job] = take_turn(late).jobs
    assert links(job) == [1, 2, 4, 5, 6, 7]
    take_turn(late, Settlement(job, SENT))
    assert statuses(late)[2] is Status.CANCELLED


def test_a_refused_bundle_is_judged_anew_and_keeps_its_other_members(late: Store) -> None:
    [job] = take_turn(late).jobs
    take_turn(late, Settlement(job, Again(LATE + seconds(5), "429", counts=False)))
    with late.transaction() as session:
        archive.apply_deletes(session, [Deleted(HELP, "3", 3, NOW)], NOW)
    join(late, "two")
    bury(late, "one")
    [again] = take_turn(late, worker="two", now=LATE + seconds(5)).jobs
    assert links(again) == [1, 2, 4, 5, 6, 7]


def test_after_a_crash_the_same_members_leave_whatever_was_said_meanwhile(late: Store) -> None:
    [job] = take_turn(late).jobs
    join(late, "two")
    bury(late, "one")
    intake(late, RULE).take([Deleted(HELP, "3", 3, NOW), posted(8)], NOW)
    [again] = take_turn(late, worker="two").jobs
    assert (again.id, again.trying) == (job.id, job.epoch)
    assert outbound(again) == outbound(job), "or it would not be found again by its content"
    assert statuses(late)[2] is Status.OWED, "it may have gone out: its holder decides"
    take_turn(late, Settlement(again, SENT), worker="two")
    assert statuses(late)[:7] == [Status.SENT] * 7


def test_a_cancellation_while_a_bundle_is_under_way_is_left_to_its_holder(late: Store) -> None:
    [job] = take_turn(late).jobs
    intake(late, RULE).take([Deleted(HELP, "5", 5, NOW)], NOW)
    [row] = [row for row in rows(late) if row.due_at == NOW + seconds(5)]
    assert (Status(row.status), row.cancel_wanted) == (Status.OWED, True)
    take_turn(late, Settlement(job, SENT))
    assert statuses(late) == [Status.SENT] * 7


@pytest.mark.parametrize(
    ("verdict", "status"), [(GiveUp("archived"), Status.DEAD), (Hold("who knows"), Status.HELD)]
)
def test_all_members_end_together(late: Store, verdict: GiveUp | Hold, status: Status) -> None:
    [job] = take_turn(late).jobs
    take_turn(late, Settlement(job, verdict))
    assert statuses(late) == [status] * 7


@pytest.mark.parametrize("verdict", [GiveUp("archived"), Hold("who knows"), Moot("deleted")])
def test_a_holder_of_long_ago_ends_nothing(late: Store, verdict: GiveUp | Hold | Moot) -> None:
    [job] = take_turn(late).jobs
    join(late, "two")
    bury(late, "one")
    take_turn(late, worker="two")
    take_turn(late, Settlement(job, verdict))
    assert statuses(late) == [Status.OWED] * 7


def test_the_echo_of_a_bundle_settles_all_members(late: Store) -> None:
    [job] = take_turn(late).jobs
    join(late, "two")
    bury(late, "one")
    echo = posted(800, "7 notifications", channel=ONCALL, author="U-us", key=job.key)
    intake(late, RULE, own=frozenset({"U-us"})).take([echo], LATE)
    assert statuses(late) == [Status.SENT] * 7
    assert {row.receipt for row in rows(late)} == {"800"}
    assert take_turn(late, worker="two").jobs == ()


def test_a_first_member_that_turns_moot_leaves_the_others_owed_and_they_leave_as_one(
    late: Store,
) -> None:
    [job] = take_turn(late).jobs
    done = take_turn(late, Settlement(job, Moot("deleted")))
    [job] = done.jobs
    assert links(job) == [2, 3, 4, 5, 6, 7]
    take_turn(late, Settlement(job, SENT))
    assert statuses(late) == [Status.CANCELLED, *[Status.SENT] * 6]


def test_a_first_member_that_is_cancelled_between_tries_leaves_the_others_owed(
    late: Store,
) -> None:
    [job] = take_turn(late).jobs
    take_turn(late, Settlement(job, Again(LATE + seconds(5), "busy")))
    intake(late, RULE).take([reply(50, 1)], NOW)
    [again] = take_turn(late, now=LATE + seconds(5)).jobs
    assert links(again) == [2, 3, 4, 5, 6, 7, 50]


def test_a_member_that_was_read_anew_is_judged_again_before_anything_leaves(late: Store) -> None:
    [job] = take_turn(late).jobs
    third = job.others[1]
    looked = Looked(third.id, LATE, (Deleted(HELP, "3", 3, NOW),))
    [again] = take_turn(late, Settlement(job, looked)).jobs
    assert (again.id, again.trying, links(again)) == (job.id, 0, [1, 2, 4, 5, 6, 7])
    assert rows(late)[2].looked_at == LATE
    assert [row.attempts for row in rows(late)] == [1, 0, 0, 0, 0, 0, 0]
