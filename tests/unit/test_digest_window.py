"""Closing digest windows in a real store: everything once, nothing by half."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event
from sqlmodel import SQLModel, select

from bridge import migrations, richtext
from bridge.digest import SETTLE, Closed, DigestRule, close_due, preview
from bridge.digest.source import read
from bridge.messages import ChannelRef
from bridge.models import (
    Channel,
    Delivery,
    Digest,
    DigestWindow,
    Lane,
    Message,
    Person,
    Reaction,
)
from bridge.pending import pending_for
from bridge.store import Store
from bridge.times import Window, every

HELP = ChannelRef("acme", "C1")
SUPPORT = ChannelRef("community", "77")
OUT = ChannelRef("acme", "C9")
ADA = ChannelRef("acme", "dm:U1")
T0 = datetime(2026, 6, 10, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
TEN = datetime(2026, 6, 10, 10, tzinfo=UTC)
COMMIT = timedelta(seconds=0.9)
ALWAYS = Window(T0 + 99 * HOUR, T0 + 99 * HOUR)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("digest") / "store.db"
    made = Store(f"sqlite:///{path}", synchronous="normal")
    migrations.upgrade(made)
    yield made
    made.close()


@pytest.fixture
def store(shared_store: Store) -> Store:
    empty(shared_store)
    return shared_store


def empty(store: Store) -> None:
    with store.transaction() as session:
        for table in (Channel, Delivery, Digest, DigestWindow, Lane, Message, Person, Reaction):
            session.connection().execute(delete(table))


def rule(**changes: Any) -> DigestRule:
    usual: dict[str, Any] = {
        "name": "hourly",
        "channels": (HELP,),
        "to": (OUT,),
        "schedule": every("1h"),
        "zone": ZoneInfo("Europe/Berlin"),
    }
    return DigestRule(**usual | changes)


numbers = count(1)


def message(sent_at: datetime, channel: ChannelRef = HELP, **more: Any) -> Message:
    number = next(numbers)
    usual: dict[str, Any] = {
        "account": channel.account,
        "channel": channel.id,
        "native_id": f"m{number}",
        "position": number,
        "author": "U1",
        "author_name": "Ada",
        "text": f"text {number}",
        "sent_at": sent_at,
        "received_at": sent_at,
    }
    return Message(**usual | more)


def put(store: Store, *rows: SQLModel) -> None:
    with store.transaction() as session:
        session.add_all(rows)


def close(store: Store, now: datetime, which: DigestRule | None = None) -> Closed:
    with store.transaction() as session:
        return close_due(session, which or rule(), now)


def bodies(store: Store) -> list[str]:
    """What is owed, as text, oldest first."""
    with store.reading() as session:
        found = session.exec(select(Delivery).order_by(Delivery.id))  # type: ignore[arg-type]
        return [richtext.plain(richtext.load(one.body)) for one in found]


def windows(store: Store) -> list[tuple[datetime, datetime, int]]:
    with store.reading() as session:
        found = session.exec(select(DigestWindow).order_by(DigestWindow.end_at))  # type: ignore[arg-type]
        return [(one.start_at, one.end_at, one.messages) for one in found]


def test_a_digest_that_is_seen_for_the_first_time_starts_now(store: Store) -> None:
    put(store, message(T0 - timedelta(minutes=1)))
    assert close(store, T0) == Closed()
    assert close(store, TEN + SETTLE).windows == 1
    assert windows(store) == [(T0, TEN, 0)]
    assert bodies(store) == []


def test_a_window_is_told_to_every_destination_and_its_lane_is_rung(store: Store) -> None:
    both = rule(to=(OUT, ADA))
    close(store, T0, both)
    put(store, message(T0), message(TEN))
    closed = close(store, TEN + SETTLE, both)
    assert closed.windows == 1
    with store.reading() as session:
        owed = session.exec(select(Delivery)).all()
        lanes = {one.id: ChannelRef(one.account, one.channel) for one in session.exec(select(Lane))}
    assert closed.lanes == tuple(sorted(one for one in lanes if one))
    assert {lanes[one.lane] for one in owed} == {OUT, ADA}
    assert {(one.kind, one.due_at, one.message) for one in owed} == {("digest", TEN + SETTLE, None)}
    assert all(len(one.key) == 24 for one in owed)
    assert windows(store) == [(T0, TEN, 1)]


def test_a_window_settles_before_it_is_closed(store: Store) -> None:
    close(store, T0)
    assert close(store, TEN + SETTLE - timedelta(microseconds=1)) == Closed()
    assert close(store, TEN + SETTLE).windows == 1


def test_closing_again_changes_nothing(store: Store) -> None:
    close(store, T0)
    put(store, message(T0))
    close(store, TEN + SETTLE)
    assert close(store, TEN + SETTLE) == Closed()
    assert close(store, TEN + HOUR) == Closed()
    assert len(bodies(store)) == 1


def test_a_window_that_was_told_before_is_not_told_twice(store: Store) -> None:
    close(store, T0)
    put(store, message(T0))
    close(store, TEN + SETTLE)
    with store.transaction() as session:
        session.exec(select(Digest)).one().watermark = T0
    close(store, TEN + SETTLE)
    assert len(bodies(store)) == 1
    assert len(windows(store)) == 1


def test_a_transaction_that_fails_leaves_the_window_open(store: Store) -> None:
    close(store, T0)
    put(store, message(T0))

    def fail() -> None:
        with store.transaction() as session:
            close_due(session, rule(), TEN + SETTLE)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (bodies(store), windows(store)) == ([], [])
    close(store, TEN + SETTLE)
    assert len(bodies(store)) == 1


def test_a_clock_that_is_set_back_tells_nothing_twice(store: Store) -> None:
    close(store, T0)
    put(store, message(T0))
    close(store, TEN + SETTLE)
    assert close(store, T0 - HOUR) == Closed()
    assert len(windows(store)) == 1


def test_missed_windows_are_told_together_by_default(store: Store) -> None:
    close(store, T0)
    put(store, message(T0), message(TEN))
    assert close(store, TEN + 3 * HOUR + SETTLE).windows == 1
    assert windows(store) == [(T0, TEN + 3 * HOUR, 2)]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("all", [(T0, TEN, 1), (TEN, TEN + HOUR, 1), (TEN + HOUR, TEN + 2 * HOUR, 0)]),
        ("latest", [(TEN + HOUR, TEN + 2 * HOUR, 0)]),
        ("skip", []),
    ],
)
def test_missed_windows_are_caught_up_as_the_rule_says(
    store: Store, catch_up: str, expected: list[tuple[datetime, datetime, int]]
) -> None:
    missed = rule(catch_up=catch_up)
    close(store, T0, missed)
    put(store, message(T0), message(TEN))
    close(store, TEN + 2 * HOUR + SETTLE, missed)
    assert windows(store) == expected
    with store.reading() as session:
        assert session.exec(select(Digest.watermark)).one() == TEN + 2 * HOUR


def test_what_was_skipped_does_not_come_back_as_late(store: Store) -> None:
    skipping = rule(catch_up="latest")
    close(store, T0, skipping)
    close(store, TEN + SETTLE, skipping)
    put(store, message(TEN, received_at=TEN + timedelta(minutes=5)))
    close(store, TEN + 2 * HOUR + SETTLE, skipping)
    assert [held for _, _, held in windows(store)] == [0, 0]


def test_what_comes_in_late_is_told_with_the_next_window_and_says_so(store: Store) -> None:
    close(store, T0)
    close(store, TEN + timedelta(seconds=30))
    put(store, message(TEN - timedelta(seconds=1), received_at=TEN + timedelta(minutes=1)))
    close(store, TEN + HOUR + SETTLE)
    close(store, TEN + 2 * HOUR + SETTLE)
    assert [held for _, _, held in windows(store)] == [0, 1, 0]
    (body,) = bodies(store)
    assert "1 of the messages came in late" in body


def test_what_was_there_when_a_window_closed_late_is_told_with_it(store: Store) -> None:
    close(store, T0)
    put(store, message(T0, received_at=TEN + timedelta(minutes=5)))
    close(store, TEN + timedelta(minutes=10))
    close(store, TEN + HOUR + SETTLE)
    assert [held for _, _, held in windows(store)] == [1, 0]


def test_an_empty_window_is_told_only_where_the_rule_says_so(store: Store) -> None:
    telling = rule(say_empty=True)
    close(store, T0, telling)
    close(store, TEN + SETTLE, telling)
    (body,) = bodies(store)
    assert body.startswith("hourly: nothing new, 2026-06-10 11:30 CEST")


moments = st.integers(0, 300).map(lambda minutes: T0 + timedelta(minutes=minutes))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(moments, st.integers(0, 200)), max_size=8),
    st.lists(st.tuples(moments, st.integers(0, 5)), max_size=12),
    st.sampled_from(["coalesce", "all"]),
)
def test_every_message_is_in_exactly_one_window(
    store: Store,
    sent: list[tuple[datetime, int]],
    closings: list[tuple[datetime, int]],
    catch_up: str,
) -> None:
    empty(store)
    which = rule(catch_up=catch_up)
    rows = [message(at, received_at=at + timedelta(seconds=lag * lag)) for at, lag in sent]
    came: list[tuple[datetime, str, Message | None]] = [
        (row.received_at + COMMIT, "message", row) for row in rows
    ]
    looks: list[tuple[datetime, str, Message | None]] = [
        (at + timedelta(seconds=late), "close", None) for at, late in closings
    ]
    close(store, T0, which)
    for at, what, row in sorted(came + looks, key=lambda one: one[:2]):
        if what == "close":
            close(store, at, which)
        elif row:
            put(store, row)
    close(store, T0 + 24 * HOUR, which)
    close(store, T0 + 48 * HOUR, which)
    found = windows(store)
    assert sum(held for _, _, held in found) == len(rows)
    assert all(first[1] == second[0] for first, second in pairwise(found))


def test_only_what_people_said_and_did_not_take_back_counts(store: Store) -> None:
    close(store, T0)
    put(
        store,
        message(T0, text="kept"),
        message(T0, by_bot=True),
        message(T0, own=True),
        message(T0, posted=False),
        message(T0, deleted_at=T0),
        message(T0, ChannelRef("acme", "C2")),
        message(T0, ChannelRef("other", "C1")),
    )
    close(store, TEN + SETTLE)
    assert windows(store) == [(T0, TEN, 1)]


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, 1),
        ({"allow_private": True}, 3),
        ({"to": (HELP,)}, 2),
        ({"to": (HELP, OUT)}, 1),
    ],
)
def test_private_words_stay_where_they_are(
    store: Store, changes: dict[str, Any], held: int
) -> None:
    secret = ChannelRef("acme", "G1")
    which = rule(channels=(HELP, secret), **changes)
    close(store, T0, which)
    put(store, message(T0), message(T0, private=True), message(T0, secret, private=True))
    close(store, TEN + SETTLE, which)
    assert windows(store) == [(T0, TEN, held)]


def test_a_channel_that_became_private_is_not_quoted(store: Store) -> None:
    close(store, T0)
    put(store, message(T0), Channel(account="acme", id="C1", name="help", private=True))
    close(store, TEN + SETTLE)
    assert windows(store) == [(T0, TEN, 0)]


def test_a_private_root_is_not_quoted_either(store: Store) -> None:
    close(store, T0)
    root = message(T0 - HOUR, text="hidden", private=True)
    put(store, root, message(T0, thread=root.native_id, text="seen"))
    close(store, TEN + SETTLE)
    (body,) = bodies(store)
    assert "hidden" not in body
    assert "Ada: seen" in body


def test_roots_reactions_and_names_are_joined_in(store: Store) -> None:
    which = rule(channels=(HELP, SUPPORT), sections=("threads",))
    close(store, T0, which)
    root = message(T0 - 30 * HOUR, SUPPORT, text="old root", author="U2", author_name="", link="x")
    here: dict[str, Any] = {
        "account": "community",
        "channel": "77",
        "native_id": root.native_id,
        "at": T0,
    }
    put(
        store,
        root,
        message(T0, SUPPORT, reply_to=root.native_id),
        Person(account="community", id="U2", name="Grace"),
        Channel(account="community", id="77", name="support"),
        Reaction(**here, person="U1", emoji="eyes"),
        Reaction(**here, person="U1", emoji="tada"),
        Reaction(**here, person="U2", emoji="tada", active=False),
    )
    close(store, TEN + SETTLE, which)
    (body,) = bodies(store)
    assert body.split("\n")[-1] == (
        "• Grace in #support: old root · 2 people (Grace, Ada), 1 reply, 2 reactions"
    )


def test_a_root_by_a_bot_is_quoted_and_a_deleted_one_is_not(store: Store) -> None:
    close(store, T0)
    alarm = message(T0, text="alarm", by_bot=True, author="B1", author_name="Monitor")
    gone = message(T0, text="gone", deleted_at=TEN)
    put(
        store,
        alarm,
        gone,
        message(T0, thread=alarm.native_id, text="on it"),
        message(T0, thread=gone.native_id, text="what was that"),
    )
    close(store, TEN + SETTLE)
    (body,) = bodies(store)
    assert "Monitor: alarm" in body
    assert "Ada: what was that" in body
    assert "gone" not in body


def test_numbers_are_compared_with_the_stretch_before(store: Store) -> None:
    close(store, T0)
    put(store, message(T0 - timedelta(minutes=30)), message(T0 - timedelta(minutes=31)))
    put(store, message(T0), message(T0, author="U2"))
    close(store, TEN + SETTLE)
    assert "2 messages (+1), 2 people (+1), 0 threads" in bodies(store)[0]


def test_two_channels_of_one_name_are_told_apart_by_their_account(store: Store) -> None:
    which = rule(channels=(HELP, SUPPORT), sections=("unanswered",))
    close(store, T0, which)
    put(
        store,
        message(T0, text="who?"),
        message(T0, SUPPORT, text="who?"),
        Channel(account="acme", id="C1", name="help"),
        Channel(account="community", id="77", name="help"),
    )
    close(store, TEN + SETTLE, which)
    (body,) = bodies(store)
    assert "in acme:#help: who?" in body
    assert "in community:#help: who?" in body


def test_an_answer_after_the_window_still_counts_as_one(store: Store) -> None:
    which = rule(sections=("unanswered",))
    close(store, T0, which)
    question = message(T0, text="who?")
    put(store, question, message(TEN, thread=question.native_id, author="U2"))
    close(store, TEN + SETTLE, which)
    assert bodies(store) == []


replies = st.lists(
    st.fixed_dictionaries(
        {
            "author": st.sampled_from(["U1", "U2"]),
            "by_bot": st.booleans(),
            "own": st.booleans(),
            "deleted_at": st.sampled_from([None, TEN]),
            "posted": st.booleans(),
            "position": st.sampled_from([-1, 10**9]),
            "threaded": st.booleans(),
        }
    ),
    max_size=2,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(replies)
def test_answered_means_the_same_as_for_a_notification(
    store: Store, drawn: list[dict[str, Any]]
) -> None:
    empty(store)
    question = message(T0, text="who?")
    put(store, question, Lane(id=1, account="acme", channel="C9"))
    put(store, Delivery(key="k", lane=1, message=question.id, due_at=T0, owed_at=T0))
    for one in drawn:
        threaded = one.pop("threaded")
        one["thread" if threaded else "reply_to"] = question.native_id
        put(store, message(TEN, **one))
    with store.reading() as session:
        (pending,) = pending_for(session, [question.id or 0])
        contents = read(session, rule(), Window(T0, TEN), ALWAYS)
    assert [one.answered for one in contents.said] == [pending.facts.answered]


def test_a_preview_tells_what_is_there_and_writes_nothing(store: Store) -> None:
    put(store, message(T0, text="who?"))
    with store.reading() as session:
        made = preview(session, rule(), Window(T0, TEN))
        assert preview(session, rule(), Window(TEN, TEN + HOUR)) is None
    assert made is not None
    assert "Ada: who?" in richtext.plain(made)
    assert bodies(store) == []


@pytest.mark.parametrize("channels", [(HELP,), (HELP, SUPPORT)])
def test_a_window_is_read_by_index_in_a_few_statements(
    store: Store, channels: tuple[ChannelRef, ...]
) -> None:
    which = rule(channels=channels)
    close(store, T0, which)
    root = message(T0)
    put(store, root, *(message(T0, thread=root.native_id) for _ in range(50)))
    close(store, TEN + SETTLE, which)
    put(store, *(message(TEN, channel, thread=root.native_id) for channel in channels))
    seen: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        seen.append((sql, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        close(store, TEN + HOUR + SETTLE, which)
    finally:
        event.remove(store.engine, "before_cursor_execute", note)
    assert len(seen) < 15
    reads = [(sql, more) for sql, more in seen if "FROM message" in sql]
    assert len(reads) == 3
    with store.reading() as session:
        for sql, more in reads:
            plan = session.connection().exec_driver_sql("EXPLAIN QUERY PLAN " + sql, more)
            steps = [row[3] for row in plan]
            assert "sent_at >=" not in sql or any("message_sent" in step for step in steps), steps
            assert not [step for step in steps if step.startswith("SCAN message")], steps
