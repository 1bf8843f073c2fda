"""Conversations, however replies hang together."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bridge.digest.contents import Counts, Said, counts_of, threads_of
from bridge.messages import ChannelRef

HELP = ChannelRef("acme", "C1")
OTHER = ChannelRef("community", "C1")
NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)


def said(
    native_id: str,
    author: str = "ada",
    *,
    thread: str = "",
    reply_to: str = "",
    channel: ChannelRef = HELP,
    reactions: int = 0,
) -> Said:
    return Said(
        channel=channel,
        native_id=native_id,
        author=author,
        name=author,
        text=f"text {native_id}",
        sent_at=NOON + timedelta(minutes=int(native_id)),
        thread=thread,
        reply_to=reply_to,
        reactions=reactions,
    )


def test_replies_in_a_thread_and_answers_to_answers_are_one_conversation() -> None:
    root = said("1", reactions=1)
    replies = (
        said("2", "grace", thread="1", reactions=2),
        said("3", "linus", reply_to="1"),
        said("4", "ada", reply_to="3"),
    )
    (thread,) = threads_of([root, *replies], {})
    assert thread.root == root
    assert thread.replies == replies
    assert [one.author for one in thread.people] == ["ada", "grace", "linus"]
    assert thread.reactions == 3


def test_a_root_from_before_the_window_is_quoted() -> None:
    root, reply = said("1"), said("2", "grace", thread="1")
    (thread,) = threads_of([reply], {root.key: root})
    assert thread.first == root
    assert len(thread.people) == 2


def test_where_the_root_is_gone_the_first_reply_is_quoted() -> None:
    first, second = said("2", thread="1", reactions=1), said("3", thread="1")
    (thread,) = threads_of([first, second], {})
    assert thread.root is None
    assert thread.first == first
    assert thread.reactions == 1


def test_alike_ids_of_two_accounts_are_different_conversations() -> None:
    here, there = said("2", thread="1"), said("2", thread="1", channel=OTHER)
    assert len(threads_of([here, there], {})) == 2


def test_a_message_that_names_itself_as_its_thread_starts_one() -> None:
    assert threads_of([said("1", thread="1")], {}) == []


def test_messages_that_answer_each_other_do_not_hang() -> None:
    circle = [said("1", reply_to="2"), said("2", reply_to="1")]
    (thread,) = threads_of(circle, {})
    assert len(thread.replies) == 2


def test_a_long_chain_of_answers_is_one_conversation() -> None:
    chain = [said("1")] + [said(str(n), reply_to=str(n - 1)) for n in range(2, 5_000)]
    (thread,) = threads_of(reversed(chain), {})
    assert len(thread.replies) == 4_998


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.booleans()), max_size=12))
def test_every_reply_is_in_exactly_one_conversation(drawn: list[tuple[int, int, bool]]) -> None:
    messages = {
        number: said(
            str(number),
            thread=str(parent) if parent and threaded else "",
            reply_to=str(parent) if parent and not threaded else "",
        )
        for number, parent, threaded in drawn
    }
    replies = [one for thread in threads_of(messages.values(), {}) for one in thread.replies]
    wanted = [one for one in messages.values() if one.parent]
    assert sorted(one.native_id for one in replies) == sorted(one.native_id for one in wanted)


def test_people_are_counted_once_per_account() -> None:
    messages = [said("1"), said("2"), said("3", channel=OTHER), said("4", "grace", thread="1")]
    assert counts_of(messages, {}) == Counts(messages=4, people=3, threads=1)
