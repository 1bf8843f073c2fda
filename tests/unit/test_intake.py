"""A batch of events and what it leaves in the store."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from bridge.errors import StoreError
from bridge.messages import ChannelNamed, ChannelRef, Deleted, Edited, PersonNamed, Reacted
from bridge.models import Channel, Delivery, Message, Person, Quarantine, Reaction, Status
from bridge.rules import When
from bridge.store import Store
from tests.values import HELP, NOW, ONCALL, STAFF, intake, posted, reply, rule, seconds


def rows(store, table):
    with store.reading() as session:
        return session.exec(select(table)).all()


def statuses(store):
    return [Status(row.status) for row in sorted(rows(store, Delivery), key=lambda row: row.id)]


def test_a_post_is_stored_and_owes_one_delivery_per_destination(store: Store) -> None:
    taken = intake(store, rule(to=(ONCALL, STAFF))).take([posted()], NOW)
    assert (taken.stored, len(taken.owed)) == (1, 2)
    [message] = rows(store, Message)
    assert (message.text, message.author_name, message.received_at) == (
        "How does it work?",
        "ada",
        NOW,
    )
    due = {row.due_at for row in rows(store, Delivery)}
    assert due == {message.sent_at + seconds(1800)}


def test_the_same_post_again_changes_nothing(store: Store) -> None:
    taking = intake(store, rule())
    taking.take([posted(), posted()], NOW)
    again = taking.take([posted(), posted(2)], NOW)
    assert again.stored == 1
    assert len(rows(store, Message)) == len(rows(store, Delivery)) == 2


def test_due_is_the_moment_of_the_message_and_not_of_its_receipt(store: Store) -> None:
    intake(store, rule(after="5s", when=When())).take([posted(7)], NOW + seconds(3600))
    [delivery] = rows(store, Delivery)
    assert delivery.due_at == NOW + seconds(12)


def test_a_reply_by_somebody_else_cancels_early(store: Store) -> None:
    taking = intake(store, rule())
    taking.take([posted(1)], NOW)
    assert taking.take([reply(2, 1)], NOW).cancelled == 1
    assert statuses(store) == [Status.CANCELLED]


def test_a_reply_in_the_same_batch_cancels_as_well(store: Store) -> None:
    taken = intake(store, rule()).take([reply(2, 1), posted(1)], NOW)
    assert taken.cancelled == 1


@pytest.mark.parametrize(
    "answer",
    [
        reply(2, 1, author="U-ada"),
        reply(2, 1, by_bot=True),
        posted(2, "An unrelated remark."),
    ],
    ids=["by the author", "by a bot", "outside of the thread"],
)
def test_what_is_no_answer_cancels_nothing(store: Store, answer) -> None:
    taken = intake(store, rule()).take([posted(1), answer], NOW)
    assert taken.cancelled == 0
    assert statuses(store) == [Status.OWED]


def test_a_reply_outside_of_threads_counts(store: Store) -> None:
    answer = posted(2, "Like this.", author="U-grace", reply_to="1")
    assert intake(store, rule()).take([posted(1), answer], NOW).cancelled == 1


def test_only_the_named_reaction_cancels(store: Store) -> None:
    taking = intake(store, rule())
    eyes = Reacted(HELP, "1", "U-grace", "eyes", added=True, at=NOW)
    assert taking.take([posted(1), eyes], NOW).cancelled == 0
    tick = Reacted(HELP, "1", "U-grace", "white_check_mark", added=True, at=NOW)
    assert taking.take([tick], NOW).cancelled == 1


def test_a_reaction_taken_back_later_wins_whatever_the_order_of_arrival(store: Store) -> None:
    taking = intake(store, rule())
    added = Reacted(HELP, "1", "U-grace", "white_check_mark", added=True, at=NOW)
    removed = replace(added, added=False, at=NOW + seconds(1))
    taking.take([removed], NOW)
    taken = taking.take([added, posted(1)], NOW)
    assert taken.cancelled == 0
    assert [row.active for row in rows(store, Reaction)] == [False]


def test_deleting_or_editing_the_question_away_cancels(store: Store) -> None:
    taking = intake(store, rule())
    taking.take([posted(1), posted(2)], NOW)
    edit = Edited(posted(1, "Never mind."), NOW + seconds(9))
    delete = Deleted(HELP, "2", 2, NOW + seconds(9))
    assert taking.take([edit, delete], NOW).cancelled == 2


def test_an_edit_that_leaves_a_question_keeps_it_owed_and_never_owes_again(store: Store) -> None:
    taking = intake(store, rule())
    taking.take([posted(1)], NOW)
    taken = taking.take([Edited(posted(1, "How does it really work?"), NOW + seconds(9))], NOW)
    assert (taken.cancelled, taken.owed) == (0, ())
    assert rows(store, Message)[0].text == "How does it really work?"


def test_an_edit_before_its_post_still_lets_the_post_owe(store: Store) -> None:
    taking = intake(store, rule())
    assert taking.take([Edited(posted(1, "How now?"), NOW + seconds(9))], NOW).owed == ()
    taken = taking.take([posted(1)], NOW)
    assert len(taken.owed) == 1
    assert rows(store, Message)[0].text == "How now?"


def test_an_edit_of_what_was_never_posted_to_us_owes_nothing(store: Store) -> None:
    taken = intake(store, rule()).take([Edited(posted(1), NOW + seconds(9))], NOW)
    assert (taken.stored, taken.owed) == (0, ())


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_post_edit_and_delete_lead_to_the_same_row_in_any_order(store: Store, order) -> None:
    events = [
        posted(1),
        Edited(posted(1, "Never mind."), NOW + seconds(5)),
        Deleted(HELP, "1", 1, NOW + seconds(9)),
    ]
    taking = intake(store, rule())
    for index in order:
        taking.take([events[index]], NOW)
    [message] = rows(store, Message)
    assert (message.text, message.deleted_at, message.author, message.posted) == (
        "Never mind.",
        NOW + seconds(9),
        "U-ada",
        True,
    )
    assert Status.OWED not in statuses(store)


def test_messages_of_our_own_accounts_match_no_rule(store: Store) -> None:
    taking = intake(store, rule(when=When(bots=True)), own=frozenset({"U-bridge"}))
    taken = taking.take(
        [posted(1, author="U-bridge"), posted(2, author="B-other", by_bot=True)], NOW
    )
    assert (taken.stored, len(taken.owed)) == (2, 1)
    assert [row.own for row in rows(store, Message)] == [True, False]


def test_words_from_a_private_channel_stay_there(store: Store) -> None:
    home = rule(name="home", to=(HELP, ONCALL), to_author=True)
    allowed = rule(name="allowed", to=(ONCALL,), allow_private=True)
    taken = intake(store, home, allowed).take([posted(1, private=True)], NOW)
    assert len(taken.owed) == 3


def test_names_are_kept_and_replaced(store: Store) -> None:
    taking = intake(store)
    here = ChannelRef("acme", "C1")
    taking.take(
        [ChannelNamed(here, "old"), PersonNamed("acme", "U1", "ada", zone="Europe/Paris")], NOW
    )
    taking.take([ChannelNamed(here, "new"), PersonNamed("acme", "U1", "Ada")], NOW)
    assert [row.name for row in rows(store, Channel)] == ["new"]
    assert [(row.name, row.zone) for row in rows(store, Person)] == [("Ada", "Europe/Paris")]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(), max_size=60))
def test_any_text_is_stored_with_what_a_store_cannot_hold_replaced(store: Store, text: str) -> None:
    number = abs(hash(text)) % 10**7
    intake(store, rule()).take([posted(number, text + "\ud800\0", author_name=text)], NOW)
    kept = next(row for row in rows(store, Message) if row.native_id == str(number))
    assert kept.text.endswith("\ufffd\ufffd")
    assert len(kept.text) == len(text) + 2


def test_one_bad_row_never_fails_its_batch(store: Store) -> None:
    bad = posted(2, position=2**70)
    taken = intake(store, rule()).take([posted(1), bad, posted(3)], NOW)
    assert (taken.stored, taken.quarantined) == (2, 1)
    [kept] = rows(store, Quarantine)
    assert "native_id='2'" in kept.event


def test_a_store_that_is_away_is_a_clear_error_and_nothing_is_half_done(tmp_path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        intake(Store(f"sqlite:///{tmp_path}/none/store.db"), rule())


def test_a_batch_of_a_hundred_posts_takes_few_statements(store: Store) -> None:
    taking = intake(store, rule())
    taking.take([posted(1)], NOW)
    batch = [posted(number) for number in range(2, 102)]
    with counting(store) as statements:
        taking.take(batch, NOW)
    assert len(statements) <= 4, statements


def counting(store):
    """The statements that run in a block."""
    from contextlib import contextmanager

    from sqlalchemy import event

    @contextmanager
    def counted():
        seen: list[str] = []

        def note(_c, _cursor, statement, *_):
            if not statement.startswith("BEGIN"):
                seen.append(statement)

        event.listen(store.engine, "before_cursor_execute", note)
        yield seen
        event.remove(store.engine, "before_cursor_execute", note)

    return counted()
