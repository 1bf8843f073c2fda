"""How Slack's history is walked and read: the pure part."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError

from adapters.slack.convert import Context, events
from adapters.slack.failures import code, harmless
from adapters.slack.history.asking import SETTLED, Answer, Ask, place, read_at
from adapters.slack.history.shown import cut, reactions, shown
from adapters.slack.history.walk import OVERLAP, Piece, walk
from adapters.slack.names import Names
from adapters.slack.payload import delivery_key, moment, position, position_at, ts_of
from bridge.errors import PermanentError, RateLimitedError, RetryableError, UnknownOutcomeError
from bridge.messages import Deleted, Shown

NOW = datetime(2026, 6, 11, 9, 0, tzinfo=UTC)
END = position_at(NOW - SETTLED)
CONTEXT = Context("acme", Names(), "https://acme.slack.com/")
OURS = {"event_type": "chatbridge_delivery", "event_payload": {"key": "key-1"}}


def message(at: int, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "user": "U0ADA", "text": str(at), "ts": ts_of(at), **fields}


class Slack:
    """Answers as conversations.history does: newest first, `size` at most, now and then nothing."""

    def __init__(self, places: Iterable[int], size: int, *, bare: bool = False) -> None:
        self.messages = [message(at) for at in sorted(places, reverse=True)]
        self.size = size
        self.bare = bare
        self.calls = 0

    def answer(self, ask: Ask) -> Answer:
        assert ask.method == "conversations.history"
        self.calls += 1
        first, last = (position(ask.params[edge]) for edge in ("oldest", "latest"))
        assert first <= last
        found = [one for one in self.messages if first <= position(one["ts"]) <= last]
        cursor = ask.params.get("cursor")
        if self.bare and found and not cursor:
            return Answer({"messages": [], "has_more": True, **onward("0")}, NOW)
        begin = int(cursor or 0)
        page, more = found[begin : begin + self.size], len(found) > begin + self.size
        further = onward(str(begin + self.size)) if more else {}
        return Answer({"messages": page, "has_more": more, **further}, NOW)


def onward(cursor: str) -> dict[str, Any]:
    return {"response_metadata": {"next_cursor": cursor}}


def walked(slack: Slack, after: int, roots_after: int = 2**60) -> list[Piece]:
    plan = walk("C1", after, roots_after)
    pieces = []
    step: Ask | Piece | None = next(plan)
    while step:
        try:
            if isinstance(step, Ask):
                step = plan.send(slack.answer(step))
            else:
                pieces.append(step)
                step = next(plan)
        except StopIteration:
            break
    return pieces


@given(
    places=st.lists(st.integers(END - 10**9, END), unique=True, max_size=60)
    | st.lists(st.integers(END - 60, END), unique=True, max_size=60),
    size=st.integers(1, 7),
    after=st.integers(END - 10**9, END) | st.integers(END - 60, END),
    bare=st.booleans(),
)
def test_a_walk_shows_everything_once_in_order_and_makes_few_calls(
    places: list[int], size: int, after: int, *, bare: bool
) -> None:
    slack = Slack(places, size, bare=bare)
    pieces = walked(slack, after)
    seen = [place(one) for piece in pieces for one in piece.messages]
    assert seen == [at for at in sorted(places) if at >= after - OVERLAP]
    edges = [(piece.start, piece.end) for piece in pieces]
    assert edges[0][0] == after - OVERLAP
    assert edges[-1][1] == END
    assert all(end + 1 == start for (_, end), (start, _) in pairwise(edges))
    assert all(piece.start <= place(one) <= piece.end for piece in pieces for one in piece.messages)
    assert slack.calls <= (2 * (len(seen) // size) + 1) * (2 if bare else 1)


def test_nothing_is_promised_for_messages_that_a_plan_hides() -> None:
    plan = walk("C1", END - 10**9, 2**60)
    next(plan)
    shows = [message(END), message(END - 5)]
    piece = plan.send(Answer({"messages": shows, "is_limited": True}, NOW))
    assert isinstance(piece, Piece)
    assert (piece.start, piece.end) == (END - 5, END)


def test_a_page_without_messages_that_has_more_promises_nothing() -> None:
    plan = walk("C1", END - 10**9, 2**60)
    next(plan)
    piece = plan.send(Answer({"messages": [], "has_more": True}, NOW))
    assert isinstance(piece, Piece)
    assert piece.end < piece.start


def test_only_threads_with_news_are_read_and_none_whose_root_is_too_old() -> None:
    after = END - 10**9
    kinds: dict[int, dict[str, Any]] = {
        after - 10**9 - 1: {"latest_reply": ts_of(END)},
        after - 10**9: {"latest_reply": ts_of(END)},
        after - 10**8: {"latest_reply": ts_of(after - OVERLAP - 1)},
        after - 10**7 * 7: {"latest_reply": ts_of(after - OVERLAP)},
        after + 1: {},
        after + 2: {"latest_reply": "?"},
    }
    slack = Slack([], 100)
    slack.messages = [
        message(at, thread_ts=ts_of(at), **told) for at, told in sorted(kinds.items(), reverse=True)
    ]
    slack.messages[0]["thread_ts"] = ts_of(after + 1)
    plan = walk("C1", after, after - 10**9)
    step: Ask | Piece = next(plan)
    threads = []
    while True:
        try:
            if isinstance(step, Ask) and step.method == "conversations.replies":
                threads.append(position(step.params["ts"]))
                assert position(step.params["oldest"]) == after - OVERLAP
                root = message(threads[-1], thread_ts=step.params["ts"])
                step = plan.send(Answer({"messages": [root]}, NOW))
            else:
                step = plan.send(slack.answer(step)) if isinstance(step, Ask) else next(plan)
        except StopIteration:
            break
    assert threads == [after - 10**9, after - 10**7 * 7, after + 1]


@given(st.integers(0, 10**16 - 1))
def test_a_position_and_its_ts_are_the_same(at: int) -> None:
    assert position(ts_of(at)) == at


def test_a_moment_has_its_position() -> None:
    assert position_at(moment("1355517523.000005")) == 1355517523000005


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (None, 0),
        ("yesterday", 0),
        ("Thu, 11 Jun 2026 09:00:00 GMT", 0),
        ("Thu, 11 Jun 2026 09:07:00 GMT", 0),
        ("Thu, 11 Jun 2026 08:59:00 GMT", -59),
        ("Thu, 11 Jun 2026 08:59:00 -0000", 0),
    ],
)
def test_an_answer_is_no_younger_than_slacks_own_clock(date: str | None, seconds: int) -> None:
    headers = {"Date": date} if date else {}
    assert read_at(headers, NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        (OURS, "key-1"),
        (None, ""),
        ("odd", ""),
        ({}, ""),
        ({"event_type": "chatbridge_delivery", "event_payload": "odd"}, ""),
        ({"event_type": "chatbridge_delivery"}, ""),
        ({"event_type": "chatbridge_delivery", "event_payload": {"key": 7}}, ""),
        ({"event_type": "other", "event_payload": {"key": "key-1"}}, ""),
    ],
)
def test_the_key_of_our_own_message_is_read(metadata: Any, key: str) -> None:
    told = message(END, metadata=metadata, bot_id="B1")
    assert delivery_key(told) == key
    [posted] = events({**told, "channel": "C1"}, CONTEXT)
    assert getattr(posted, "key", None) == key
    stands = shown(told, CONTEXT, "C1", NOW, ())
    assert isinstance(stands, Shown)
    assert stands.message.key == key


def test_reactions_have_no_skin_tone_and_nobody_twice() -> None:
    told = message(
        END,
        reactions=[
            {"name": "+1", "users": ["U1", "U2"], "count": 2},
            {"name": "+1::skin-tone-3", "users": ["U2", "U3"], "count": 2},
        ],
    )
    assert reactions(told) == (("+1", "U1"), ("+1", "U2"), ("+1", "U3"))
    assert not cut(told)
    assert reactions(message(END)) == ()
    assert cut(message(END, reactions=[{"name": "eyes", "users": ["U1"], "count": 2}]))


def test_an_unfurled_link_is_no_edit_and_an_announcement_no_message() -> None:
    stands = shown(message(END, attachments=[{"id": 1}]), CONTEXT, "C1", NOW, None)
    assert isinstance(stands, Shown)
    assert (stands.edited_at, stands.reactions) == (None, None)
    assert shown(message(END, subtype="channel_join"), CONTEXT, "C1", NOW, ()) is None
    gone = shown(message(END, subtype="tombstone"), CONTEXT, "C1", NOW, ())
    assert gone == Deleted(CONTEXT.channel("C1"), ts_of(END), END, NOW)


@pytest.mark.parametrize(
    "fields",
    [{"user": ""}, {"edited": "x"}, {"edited": {"ts": "x"}}, {"files": 7}],
)
def test_a_malformed_message_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are many
        shown(message(END, **fields), CONTEXT, "C1", NOW, ())


def test_a_read_without_an_answer_may_be_repeated() -> None:
    unknown, limited = UnknownOutcomeError("cut"), RateLimitedError("later", 3)
    assert type(harmless(unknown)) is RetryableError
    assert harmless(limited) is limited


def test_slacks_own_code_is_kept_with_an_error() -> None:
    error = PermanentError("words")
    assert code(error) == ""
    error.__cause__ = SlackApiError("no", {"ok": False, "error": "thread_not_found"})
    assert code(error) == ""


@pytest.mark.parametrize(
    ("known", "read"),
    [
        ({}, True),
        ({"latest": END - 5, "count": 3}, False),
        ({"latest": END - 5, "count": 2}, True),
        ({"latest": END - 6, "count": 3}, True),
    ],
)
def test_a_thread_that_is_as_we_know_it_is_not_read(known: dict[str, int], read: bool) -> None:
    root = END - 100
    told = {"thread_ts": ts_of(root), "latest_reply": ts_of(END - 5), "reply_count": 3}
    threads = {ts_of(root): (known["latest"], known["count"])} if known else {}
    plan = walk("C1", END - 10, END - 10**6, threads)
    next(plan)
    plan.send(Answer({"messages": [message(root, **told)]}, NOW))
    step = next(plan, None)
    assert isinstance(step, Ask) == read
    assert step is None or (isinstance(step, Ask) and step.method == "conversations.replies")


def test_a_quiet_channel_is_read_in_one_call_however_old_its_threads_are() -> None:
    slack = Slack([END - 10**11, END - 10**10, END], 200)
    [piece] = walked(slack, END - 10, END - 10**12)
    assert [place(one) for one in piece.messages] == [END]
    assert piece.start == END - 10 - OVERLAP
    assert slack.calls == 1


@given(
    places=st.lists(st.integers(END - 10**9, END), unique=True, max_size=60),
    size=st.integers(1, 7),
    after=st.integers(END - 10**9, END),
    back=st.integers(0, 10**9),
)
def test_whatever_is_looked_through_for_threads_is_not_shown(
    places: list[int], size: int, after: int, back: int
) -> None:
    pieces = walked(Slack(places, size), after, after - back)
    seen = [place(one) for piece in pieces for one in piece.messages]
    assert seen == [at for at in sorted(places) if at >= after - OVERLAP]
    edges = [(piece.start, piece.end) for piece in pieces]
    assert (edges[0][0], edges[-1][1]) == (after - OVERLAP, END)
    assert all(end + 1 == start for (_, end), (start, _) in pairwise(edges))
