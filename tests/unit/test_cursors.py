"""Gaps: what is behind is stored but not judged, and what was missed is read up in order."""

from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlmodel import select

from bridge import archive, cursors, workers
from bridge.attempt import Looked
from bridge.cursors import Behind, Reading, Start
from bridge.delivery import Settlement, Turn, turn
from bridge.intake import MOST_JUDGED, Intake
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Gap,
    Page,
    Posted,
    Reacted,
    Shown,
)
from bridge.models import Channel, Delivery, Lane, Message, Reaction, Status, Worker
from bridge.rules import When
from bridge.store import Store
from tests.values import HELP, NOW, intake, posted, reply, rule, seconds

OTHER = ChannelRef("acme", "C-other")
ELSEWHERE = ChannelRef("community", "D-help")
GAP_AT = NOW + timedelta(minutes=1)
LATER = NOW + timedelta(minutes=5)
TICK = "white_check_mark"
FROM_OTHERS = rule(when=When(), channels=(HELP, OTHER, ELSEWHERE))


def gap(at: datetime = GAP_AT, position: int = 1000, account: str = "acme") -> Gap:
    return Gap(account, position, at)


def channel(store: Store, ref: ChannelRef = HELP) -> Channel:
    with store.reading() as session:
        return session.exec(
            select(Channel).where(Channel.account == ref.account, Channel.id == ref.id)
        ).one()


def behind(store: Store, account: str = "acme") -> list[Behind]:
    with store.reading() as session:
        return cursors.behind(session, account)


def messages(store: Store) -> list[Message]:
    with store.reading() as session:
        return list(session.exec(select(Message).order_by(Message.position)))


def deliveries(store: Store) -> list[Delivery]:
    with store.reading() as session:
        return list(session.exec(select(Delivery).order_by(Delivery.due_at, Delivery.id)))


def owed_links(store: Store) -> list[str]:
    """The native ids that something is owed for, in the order of the rows' numbers."""
    names = {one.id: one.native_id for one in messages(store)}
    rows = sorted(deliveries(store), key=lambda row: row.id or 0)
    return [names[row.message] for row in rows if row.status == Status.OWED]


def shown(post: Posted, at: datetime = LATER, **fields: object) -> Shown:
    return Shown(post, at, **{"reactions": (), **fields})


def page(*events: Shown | Deleted, start: int | None = None, end: int | None = None) -> Page:
    """A page from its first event to its last, unless said otherwise."""
    places = [one.position if isinstance(one, Deleted) else one.message.position for one in events]
    first, last = (places[0], places[-1]) if places else (0, -1)
    return Page(events, first if start is None else start, last if end is None else end)


def replies(*events: Shown) -> Page:
    return Page(events, 1, 0)


def read_up(taking: Intake, *pages: Page, at: datetime = LATER, which: Behind | None = None) -> int:
    """Read a channel's pages and let the rules judge; returns how many transactions that took."""
    [first] = [which] if which else behind(taking.store)[:1]
    reading = Reading(at)
    for one in pages:
        taking.read_up(first.channel, one, at)
        reading.note(one)
    return judge(taking, first, reading, at)


def judge(taking: Intake, which: Behind, reading: Reading, at: datetime = LATER) -> int:
    turns, done = 0, False
    while not done:
        _, done = taking.catch_up(which, reading, at)
        turns += 1
    return turns


def take_turn(store: Store, *settled: Settlement, now: datetime) -> Turn:
    with store.reading() as session:
        lanes = [one for one in session.exec(select(Lane.id)) if one]
    with store.transaction() as session:
        return turn(session, "one", settled, lanes, [], now)


@pytest.fixture
def taking(store: Store) -> Intake:
    """A rule on every message; message 1 was heard, then came a gap; worker one lives."""
    made = intake(store, FROM_OTHERS)
    made.take([posted(1)], NOW)
    made.take([gap()], GAP_AT)
    with store.transaction() as session:
        workers.register(session, Worker(id="one", started_at=NOW))
    return made


def test_a_channel_that_was_never_heard_of_starts_at_now(store: Store) -> None:
    made = intake(store)
    made.take([ChannelNamed(HELP, "help"), ChannelNamed(ELSEWHERE, "help")], NOW)
    made.take([gap()], GAP_AT)
    here = channel(store)
    assert (here.cursor, here.behind, here.gap_at) == (1000, False, None)
    assert channel(store, ELSEWHERE).cursor is None
    assert behind(store) == []


def test_a_channel_first_seen_by_a_live_post_starts_there(store: Store) -> None:
    intake(store).take([posted(7)], NOW)
    assert (channel(store).cursor, channel(store).behind) == (7, False)


def test_a_gap_of_unknown_position_leaves_a_new_channel_without_a_mark(store: Store) -> None:
    made = intake(store)
    made.take([ChannelNamed(HELP, "help")], NOW)
    made.take([gap(position=0)], GAP_AT)
    assert channel(store).cursor is None


def test_what_came_before_a_gap_in_one_batch_was_heard_before_it(store: Store) -> None:
    made = intake(store, FROM_OTHERS)
    taken = made.take([posted(7), gap(), posted(9)], GAP_AT)
    assert (taken.stored, len(taken.owed)) == (2, 1)
    assert (channel(store).behind, channel(store).cursor) == (True, 7)


def test_live_posts_move_the_cursor_only_forwards(store: Store) -> None:
    made = intake(store)
    for number in (5, 3, 9, 4):
        made.take([posted(number)], NOW)
    assert channel(store).cursor == 9


def test_a_gap_puts_every_channel_of_its_account_behind_and_no_other(taking: Intake) -> None:
    taking.take([posted(2, channel=ELSEWHERE)], NOW)
    taking.take([posted(3, channel=OTHER)], NOW)
    taking.take([gap(GAP_AT + seconds(1))], GAP_AT)
    assert {one.channel for one in behind(taking.store)} == {HELP, OTHER}
    assert behind(taking.store, "community") == []


def test_while_behind_live_events_are_stored_but_move_nothing_and_owe_nothing(
    taking: Intake,
) -> None:
    taken = taking.take([posted(9)], GAP_AT)
    assert (taken.stored, taken.owed) == (1, ())
    assert [one.judged for one in messages(taking.store)] == [True, False]
    assert channel(taking.store).cursor == 1


def test_another_account_goes_on_as_usual_meanwhile(taking: Intake) -> None:
    assert len(taking.take([posted(9, channel=ELSEWHERE)], GAP_AT).owed) == 1


def test_what_was_missed_is_judged_in_the_platforms_order_together_with_what_was_heard(
    taking: Intake,
) -> None:
    taking.take([posted(9, sent_at=NOW), posted(8, sent_at=NOW)], GAP_AT)
    read_up(taking, page(*(shown(posted(n, sent_at=NOW)) for n in (5, 6, 7, 8))))
    assert owed_links(taking.store) == ["1", "5", "6", "7", "8", "9"]
    here = channel(taking.store)
    assert (here.behind, here.cursor) == (False, 8)


def test_reading_the_same_twice_owes_once(taking: Intake) -> None:
    pages = [page(shown(posted(2)), shown(posted(3)))]
    [which] = behind(taking.store)
    read_up(taking, *pages, which=which)
    read_up(taking, *pages, which=which)
    assert owed_links(taking.store) == ["1", "2", "3"]


def test_after_the_backfill_live_events_are_judged_and_move_the_cursor_again(
    taking: Intake,
) -> None:
    read_up(taking, page(shown(posted(2))))
    assert len(taking.take([posted(9)], LATER).owed) == 1
    assert channel(taking.store).cursor == 9


def test_many_are_judged_chunk_by_chunk_and_all_of_them(taking: Intake) -> None:
    taking.own = frozenset({"U-us"}).__contains__
    numbers = range(2, 2 * MOST_JUDGED + 52)
    pages = [page(*(shown(posted(n, author="U-us" if n % 3 else "U-ada")) for n in numbers))]
    assert read_up(taking, *pages) == 3
    assert all(one.judged for one in messages(taking.store))
    assert owed_links(taking.store) == ["1", *(str(n) for n in numbers if n % 3 == 0)]


def test_a_crash_between_two_chunks_leaves_the_rest_to_be_judged(taking: Intake) -> None:
    numbers = range(2, MOST_JUDGED + 12)
    [which] = behind(taking.store)
    one = page(*(shown(posted(n)) for n in numbers))
    taking.read_up(HELP, one, LATER)
    assert not taking.catch_up(which, Reading(LATER), LATER)[1]
    anew = intake(taking.store, FROM_OTHERS)
    assert channel(taking.store).behind
    read_up(anew, one)
    assert owed_links(taking.store) == ["1", *map(str, numbers)]


def test_the_cursor_stays_until_replies_are_read_as_well(taking: Intake) -> None:
    taking.read_up(HELP, page(shown(posted(2)), shown(posted(50))), LATER)
    assert channel(taking.store).cursor == 1, "a crash now must read the replies again"
    read_up(taking, page(shown(posted(2)), shown(posted(50))), replies(shown(reply(30, 2))))
    assert channel(taking.store).cursor == 50


def test_a_gap_during_the_backfill_keeps_the_channel_behind(taking: Intake) -> None:
    [which] = behind(taking.store)
    taking.read_up(HELP, page(shown(posted(2))), LATER)
    taking.take([gap(GAP_AT + seconds(30))], GAP_AT)
    judge(taking, which, Reading(LATER, 2))
    here = channel(taking.store)
    assert (here.behind, here.cursor) == (True, 2)


def test_what_was_heard_after_another_gap_waits_for_its_backfill(taking: Intake) -> None:
    [which] = behind(taking.store)
    taking.take([gap(GAP_AT + seconds(30))], GAP_AT)
    taking.take([posted(9)], LATER)
    taking.read_up(HELP, page(shown(posted(2))), LATER)
    judge(taking, which, Reading(LATER, 2))
    assert owed_links(taking.store) == ["1", "2"]
    read_up(taking, page(shown(posted(5)), shown(posted(9))))
    assert owed_links(taking.store) == ["1", "2", "5", "9"]


def test_history_that_is_closed_to_us_holds_nothing_up(taking: Intake) -> None:
    taking.take([posted(9)], LATER)
    read_up(taking)
    assert owed_links(taking.store) == ["1", "9"]
    assert (channel(taking.store).behind, channel(taking.store).cursor) == (False, 1)


def test_our_own_echo_in_history_settles_what_was_tried(taking: Intake) -> None:
    due = NOW + timedelta(hours=1)
    [job] = take_turn(taking.store, now=due).jobs
    if job.must_look:
        looked = Looked(job.id, GAP_AT)
        [job] = take_turn(taking.store, Settlement(job, looked), now=due).jobs
    echo = posted(70, "said", author="U-us", key=job.key)
    taking.read_up(HELP, page(shown(echo)), LATER)
    [row] = deliveries(taking.store)
    assert (Status(row.status), row.receipt) == (Status.SENT, "70")


# ---- from where on to read


def test_reading_starts_at_the_cursor_or_at_the_oldest_message_that_owes(taking: Intake) -> None:
    taking.take([posted(40, channel=OTHER, text="x")], NOW)
    with taking.store.reading() as session:
        [which] = [one for one in cursors.behind(session, "acme") if one.channel == HELP]
        assert cursors.reading_from(session, which, LATER) == Start(0, 0)
    with taking.store.transaction() as session:
        archive.apply_deletes(session, [], NOW)
    taking.take([Deleted(HELP, "1", 1, NOW)], NOW)
    with taking.store.reading() as session:
        assert cursors.reading_from(session, which, LATER) == Start(1, 0)


def test_roots_older_than_seven_days_are_not_read_for_replies(store: Store) -> None:
    made = intake(store)
    made.take([posted(3, sent_at=NOW - timedelta(days=8)), posted(90), posted(95)], NOW)
    made.take([gap()], GAP_AT)
    with store.reading() as session:
        [which] = cursors.behind(session, "acme")
        assert cursors.reading_from(session, which, NOW) == Start(95, 89)


def test_a_gap_in_one_channel_leaves_the_others_as_they_are(taking: Intake) -> None:
    taking.take([posted(40, channel=OTHER), Gap("acme", 0, GAP_AT, HELP.id)], GAP_AT)
    assert [one.channel for one in behind(taking.store)] == [HELP]


def test_a_channel_whose_first_message_could_not_be_stored_starts_before_it(store: Store) -> None:
    made = intake(store)
    made.take([Gap("acme", 69, GAP_AT, HELP.id)], GAP_AT)
    made.take([posted(80)], GAP_AT)
    [which] = behind(store)
    assert (which.channel, which.cursor, which.waiting) == (HELP, 69, True)


def test_what_is_known_of_threads_counts_the_replies_that_are_there(store: Store) -> None:
    made = intake(store)
    replies = [posted(number, thread="1") for number in (2, 3, 4)]
    made.take([posted(1), *replies, Deleted(HELP, "4", 4, NOW), gap()], GAP_AT)
    with store.reading() as session:
        [which] = cursors.behind(session, "acme")
        assert cursors.reading_from(session, which, NOW).threads == {"1": (3, 2)}


def test_a_channel_says_whether_messages_wait_in_it(taking: Intake) -> None:
    assert [one.waiting for one in behind(taking.store)] == [False]
    taking.take([posted(70)], GAP_AT)
    assert [one.waiting for one in behind(taking.store)] == [True]


def test_the_most_recently_active_channel_is_read_first(taking: Intake) -> None:
    taking.take([posted(300, channel=OTHER)], NOW)
    taking.take([gap(GAP_AT + seconds(1))], GAP_AT)
    assert [one.channel for one in behind(taking.store)] == [OTHER, HELP]


# ---- what happened meanwhile to what is owed


def pending_only(store: Store) -> Intake:
    """Messages 10, 20 and 30 were heard and owe; then came a gap."""
    made = intake(store, rule(when=When(), unless=("reply", f"reaction:{TICK}")))
    made.take([posted(10), posted(20), posted(30)], NOW)
    made.take([gap()], GAP_AT)
    return made


def test_edits_deletes_reactions_and_replies_of_the_gap_cancel(store: Store) -> None:
    made = intake(store, rule(unless=("reply", f"reaction:{TICK}")))
    made.take([posted(number) for number in (10, 20, 30, 40, 50)], NOW)
    made.take([gap()], GAP_AT)
    read_up(
        made,
        page(
            shown(posted(10, "Never mind."), edited_at=GAP_AT),
            Deleted(HELP, "20", 20, GAP_AT),
            shown(posted(30), reactions=((TICK, "U-grace"),)),
            shown(posted(40)),
            shown(posted(50)),
            start=5,
        ),
        replies(shown(reply(60, 40))),
    )
    assert owed_links(store) == ["50"]


def test_what_history_does_not_show_within_a_pages_range_was_deleted(store: Store) -> None:
    made = pending_only(store)
    taken = made.read_up(HELP, page(shown(posted(10)), shown(posted(30)), start=5, end=30), LATER)
    assert taken.cancelled == 1
    [gone] = [one for one in messages(store) if one.deleted_at]
    assert (gone.native_id, gone.deleted_at) == ("20", LATER)


@pytest.mark.parametrize(
    "read",
    [
        page(shown(posted(30)), start=25, end=30),
        page(shown(posted(10)), start=5, end=19),
        page(shown(posted(10)), start=21, end=29),
        page(),
        replies(shown(reply(60, 10))),
    ],
    ids=["before the page", "after the page", "beside it", "an empty page", "a page of replies"],
)
def test_outside_of_a_pages_range_nothing_is_taken_for_deleted(store: Store, read: Page) -> None:
    made = pending_only(store)
    made.read_up(HELP, read, LATER)
    assert not [one for one in messages(store) if one.deleted_at]


def test_replies_and_messages_of_other_channels_are_not_taken_for_deleted(store: Store) -> None:
    made = intake(store)
    made.take([posted(10), reply(11, 10), posted(12, channel=OTHER)], NOW)
    made.take([Edited(posted(13), NOW)], NOW)  # only its edit was heard
    made.take([gap()], GAP_AT)
    made.read_up(HELP, page(shown(posted(10)), start=5, end=20), LATER)
    assert not [one for one in messages(store) if one.deleted_at]


def test_an_answer_of_the_gap_cancels_before_anything_could_be_sent(store: Store) -> None:
    made = pending_only(store)
    read_up(made, page(*(shown(posted(n)) for n in (10, 20, 30))), replies(shown(reply(60, 10))))
    with store.transaction() as session:
        workers.register(session, Worker(id="one", started_at=NOW))
    [job] = take_turn(store, now=NOW + timedelta(minutes=31)).jobs
    assert job.link.endswith("/20")


def test_a_question_and_its_answer_of_one_gap_owe_nothing(taking: Intake) -> None:
    read_up(taking, page(shown(posted(20)), start=2), replies(shown(reply(60, 20))))
    assert [row.status for row in deliveries(taking.store)] == [
        Status.OWED,
        Status.CANCELLED,
        Status.OWED,
    ]


# ---- is it necessary to look once more, right before sending?


def due_job(store: Store) -> tuple[bool, str]:
    [job] = take_turn(store, now=NOW + timedelta(minutes=31)).jobs
    return job.must_look, job.link.rpartition("/")[2]


def test_after_a_gap_a_delivery_must_be_looked_at(taking: Intake) -> None:
    assert due_job(taking.store) == (True, "1")


def test_half_a_backfill_does_not_spare_the_look(taking: Intake) -> None:
    taking.read_up(HELP, page(shown(posted(1))), LATER)
    assert due_job(taking.store) == (True, "1"), "the replies are not read yet"


def test_what_was_read_whole_with_its_replies_need_not_be_looked_at(taking: Intake) -> None:
    read_up(taking, page(shown(posted(1))))
    assert due_job(taking.store) == (False, "1")


def test_what_was_shown_without_its_reactions_must_be_looked_at(taking: Intake) -> None:
    read_up(taking, page(shown(posted(1), reactions=None)))
    assert due_job(taking.store) == (True, "1")


def test_a_gap_since_the_reading_makes_us_look_again(taking: Intake) -> None:
    [which] = behind(taking.store)
    taking.read_up(HELP, page(shown(posted(1))), LATER)
    reading = Reading(LATER)
    reading.note(page(shown(posted(1))))
    taking.take([gap(LATER + seconds(1))], LATER)
    judge(taking, which, reading)
    assert due_job(taking.store) == (True, "1")


@pytest.mark.parametrize("reactions", [(), None], ids=["whole", "without its reactions"])
def test_what_came_in_by_the_backfill_itself_is_looked_at_only_if_it_was_not_whole(
    taking: Intake, reactions: tuple[()] | None
) -> None:
    taking.take([Deleted(HELP, "1", 1, NOW)], NOW)
    read_up(taking, page(shown(posted(2), reactions=reactions), start=2))
    assert due_job(taking.store) == (reactions is None, "2")


def test_looking_stores_what_it_sees_and_judges_anew(taking: Intake) -> None:
    [job] = take_turn(taking.store, now=NOW + timedelta(minutes=31)).jobs
    seen = (shown(posted(1)), shown(reply(5, 1), reactions=None))
    looked = Looked(job.id, LATER, seen)
    done = take_turn(taking.store, Settlement(job, looked), now=NOW + timedelta(minutes=31))
    assert (done.jobs, done.cancelled) == ((), 1)
    [row] = deliveries(taking.store)
    assert (Status(row.status), row.reason, row.attempts) == (
        Status.CANCELLED,
        "somebody replied",
        0,
    )


def test_a_post_that_was_first_seen_by_a_look_is_judged_once_it_is_heard(taking: Intake) -> None:
    read_up(taking)
    [job] = take_turn(taking.store, now=NOW + timedelta(minutes=31)).jobs
    answer = reply(5, 1)
    seen = Looked(job.id, LATER, (shown(posted(1)), shown(answer, reactions=None)))
    take_turn(taking.store, Settlement(job, seen), now=NOW + timedelta(minutes=31))
    taken = taking.take([answer], LATER)
    assert (taken.stored, len(taken.owed)) == (1, 1)


# ---- what history shows is exact


def shows(store: Store) -> set[tuple[str, str]]:
    with store.reading() as session:
        return {(row.emoji, row.person) for row in session.exec(select(Reaction)) if row.active}


def test_shown_reactions_replace_what_was_known(taking: Intake) -> None:
    known = [("eyes", "U-grace"), (TICK, "U-linus")]
    taking.take(
        [Reacted(HELP, "1", person, emoji, added=True, at=NOW) for emoji, person in known], NOW
    )
    taking.take([shown(posted(1), reactions=(("eyes", "U-grace"), ("tada", "U-ada")))], LATER)
    assert shows(taking.store) == {("eyes", "U-grace"), ("tada", "U-ada")}


def test_reactions_that_were_not_read_stay_as_they_were(taking: Intake) -> None:
    taking.take([Reacted(HELP, "1", "U-grace", "eyes", added=True, at=NOW)], NOW)
    taking.take([shown(posted(1), reactions=None)], LATER)
    assert shows(taking.store) == {("eyes", "U-grace")}


def test_a_reaction_that_came_after_the_reading_stays(taking: Intake) -> None:
    newer = Reacted(HELP, "1", "U-grace", "eyes", added=True, at=LATER + seconds(1))
    taking.take([newer], LATER)
    taking.take([shown(posted(1), LATER, reactions=())], LATER)
    assert shows(taking.store) == {("eyes", "U-grace")}


def test_an_edit_that_came_after_the_one_shown_stays(taking: Intake) -> None:
    taking.take([Edited(posted(1, "newer"), LATER)], LATER)
    taking.take([shown(posted(1, "older"), edited_at=GAP_AT)], LATER)
    assert [one.text for one in messages(taking.store)] == ["newer"]


# ---- two listeners of one account


def test_two_listeners_that_read_up_the_same_gap_owe_everything_once(store: Store) -> None:
    first, second = (intake(store, FROM_OTHERS) for _ in range(2))
    first.take([posted(1)], NOW)
    second.take([gap()], GAP_AT)
    [which] = behind(store)
    pages = [page(shown(posted(2)), shown(posted(3))), page(shown(posted(4)), start=4)]
    readings = [Reading(LATER), Reading(LATER)]
    for one in pages:
        for taking, reading in zip((first, second), readings, strict=True):
            taking.read_up(HELP, one, LATER)
            reading.note(one)
    for taking, reading in zip((first, second), readings, strict=True):
        judge(taking, which, reading)
    first.take([posted(5)], LATER)
    second.take([posted(5)], LATER)
    assert owed_links(store) == ["1", "2", "3", "4", "5"]
    assert not channel(store).behind


def test_one_listener_hears_what_the_other_is_reading_up(store: Store) -> None:
    first, second = (intake(store, FROM_OTHERS) for _ in range(2))
    first.take([posted(1)], NOW)
    second.take([gap()], GAP_AT)
    [which] = behind(store)
    hear = partial(first.take, now=LATER)
    hear([posted(4)])
    second.read_up(HELP, page(shown(posted(2)), shown(posted(4))), LATER)
    hear([posted(6)])
    judge(second, which, Reading(LATER, 4))
    hear([posted(7)])
    assert owed_links(store) == ["1", "2", "4", "6", "7"]
