"""Slack's history, and the gaps that make it needed, with the real SDK against the stand-in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from adapters.slack import ADAPTER, standin
from adapters.slack.history import SlackHistory
from adapters.slack.history.asking import PAGE
from adapters.slack.listener import SlackListener
from adapters.slack.sender import SlackSender
from adapters.slack.standin.channels import MOST_REACTING, Message
from adapters.standin import Remote
from bridge.errors import (
    PermanentError,
    RateLimitedError,
    RetryableError,
    StoreError,
    UnknownOutcomeError,
)
from bridge.messages import (
    ChannelRef,
    Deleted,
    Event,
    Gap,
    Outbound,
    Page,
    Posted,
    Receipt,
    Shown,
)
from bridge.richtext import Paragraph, Text

ACCOUNT = "acme"
PATIENCE = 30.0
WEEK = 7 * 24 * 3600 * 1_000_000
MINUTE = 60 * 1_000_000


@pytest.fixture
async def far() -> AsyncIterator[standin.SlackStandin]:
    server = await standin.start(0, limits=False)
    yield server
    await server.stop()


@pytest.fixture
async def remote(far: standin.SlackStandin) -> AsyncIterator[Remote]:
    async with Remote(far.url) as client:
        yield client


@pytest.fixture
async def history(far: standin.SlackStandin) -> AsyncIterator[SlackHistory]:
    made = ADAPTER.history(ACCOUNT, settings(far))
    assert isinstance(made, SlackHistory)
    yield made
    await made.close()
    await made.close()


@pytest.fixture
async def sender(far: standin.SlackStandin) -> AsyncIterator[SlackSender]:
    made = SlackSender(ACCOUNT, settings(far))
    yield made
    await made.close()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """History shows everything at once, and the adapter may count on it."""
    monkeypatch.setattr("adapters.slack.history.asking.SETTLED", timedelta(0))


def settings(far: standin.SlackStandin) -> Any:
    return ADAPTER.settings.model_validate(far.account())


def channel(far: standin.SlackStandin, name: str = "help") -> ChannelRef:
    return ChannelRef(ACCOUNT, far.state.channel_ids[name])


def direct(far: standin.SlackStandin) -> ChannelRef:
    return ChannelRef(ACCOUNT, "dm:" + far.state.user_ids["ada"])


def outbound(to: ChannelRef, key: str = "key-1", text: str = "hello", **fields: Any) -> Outbound:
    return Outbound(to, key, (Paragraph((Text(text),)),), **fields)


def place(ts: str) -> int:
    return int(ts.replace(".", ""))


def said(far: standin.SlackStandin, text: str, **fields: Any) -> Message:
    """A post by ada, without the detour over HTTP."""
    state = far.state
    body = {"user": state.user_ids["ada"], "text": text}
    help_, ada = state.find_channel("help"), state.find_person("ada")
    return state.post(help_, ada, body, **fields)


async def read(
    history: SlackHistory, to: ChannelRef, after: int = 0, roots_after: int = 0
) -> list[Page]:
    return [page async for page in history.missed(to, after, roots_after)]


def texts(pages: Sequence[Page]) -> list[str]:
    return [e.message.text for page in pages for e in page.events if isinstance(e, Shown)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


# find


@pytest.mark.parametrize("where", ["channel", "thread", "direct"])
@pytest.mark.parametrize(("fault", "there"), [("drop_after", True), ("drop_before", False)])
async def test_an_attempt_without_an_answer_is_found_if_it_arrived(
    far: standin.SlackStandin,
    remote: Remote,
    sender: SlackSender,
    history: SlackHistory,
    where: str,
    fault: str,
    there: bool,
) -> None:
    root = await remote.post("ada", "help", "question?")
    message = outbound(direct(far) if where == "direct" else channel(far))
    message = replace(message, thread=root if where == "thread" else "")
    earlier = await sender.send(replace(message, key="earlier"))
    await remote.fault("chat.postMessage", fault)
    with pytest.raises(UnknownOutcomeError):
        await sender.send(message)
    found = await history.find(message, earlier.native_id)
    name = "dm:ada" if where == "direct" else "help"
    [*_, last] = await remote.messages(name)
    assert found == (Receipt(last.id, place(last.id)) if there else None)
    assert (last.id != earlier.native_id) is there


async def test_history_that_lags_shows_an_attempt_later(
    far: standin.SlackStandin, remote: Remote, sender: SlackSender, history: SlackHistory
) -> None:
    root = await remote.post("ada", "help", "question?")
    for thread in ("", root):
        message = outbound(channel(far), f"key {thread}", thread=thread)
        receipt = await sender.send(message)
        await remote.knobs(history_lag=3600)
        assert await history.find(message, "") is None
        await remote.knobs(history_lag=0)
        assert await history.find(message, "") == receipt


async def test_only_the_delivery_itself_counts_and_only_later_ones(
    far: standin.SlackStandin, remote: Remote, sender: SlackSender, history: SlackHistory
) -> None:
    first = await sender.send(outbound(channel(far), "key-1"))
    same_text = await sender.send(outbound(channel(far), "key-2"))
    wanted = outbound(channel(far), "key-3")
    assert await history.find(wanted, "") is None
    assert await history.find(replace(wanted, key="key-1"), first.native_id) is None
    assert await history.find(replace(wanted, key="key-2"), first.native_id) == same_text
    await remote.post("ada", "help", "hello")
    assert await history.find(wanted, first.native_id) is None


async def test_somebody_elses_message_with_our_key_is_not_ours(
    far: standin.SlackStandin, history: SlackHistory
) -> None:
    said(
        far,
        "hello",
        metadata={"event_type": "chatbridge_delivery", "event_payload": {"key": "key-1"}},
    )
    assert await history.find(outbound(channel(far)), "") is None


async def test_an_attempt_is_found_below_many_later_messages(
    far: standin.SlackStandin, sender: SlackSender, history: SlackHistory
) -> None:
    root = said(far, "question?")
    in_channel = await sender.send(outbound(channel(far), "key-1"))
    in_thread = await sender.send(outbound(channel(far), "key-2", thread=root.ts))
    for number in range(2 * PAGE + 5):
        said(far, str(number))
        said(far, str(number), root=root)
    assert await history.find(outbound(channel(far), "key-1"), "") == in_channel
    threaded = outbound(channel(far), "key-2", thread=root.ts)
    assert await history.find(threaded, "") == in_thread
    assert await history.find(replace(threaded, key="key-3"), "") is None


async def test_a_thread_that_is_gone_holds_no_attempt(
    far: standin.SlackStandin, history: SlackHistory
) -> None:
    message = outbound(channel(far), thread="1700000000.000100")
    assert await history.find(message, "") is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "ratelimit", "seconds": 7}, RateLimitedError),
        ({"kind": "status", "status": 500}, RetryableError),
        # aiohttp itself asks a second time where a GET met a closed connection
        ({"kind": "drop_before", "times": 2}, RetryableError),
    ],
)
@pytest.mark.parametrize(
    "method", ["auth.test", "conversations.open", "conversations.history", "conversations.info"]
)
async def test_reading_that_fails_may_be_repeated(
    far: standin.SlackStandin,
    remote: Remote,
    history: SlackHistory,
    method: str,
    fault: dict[str, Any],
    error: type[Exception],
) -> None:
    await remote.fault(method, **fault)
    reading: Coroutine[Any, Any, Any] = history.find(outbound(direct(far)), "")
    if method == "conversations.info":
        reading.close()
        reading = read(history, channel(far))
    with pytest.raises(error) as caught:
        await reading
    assert type(caught.value) is error
    assert "xoxb" not in str(caught.value)
    if isinstance(caught.value, RateLimitedError):
        assert caught.value.retry_after == 7
    await remote.mend()
    assert await history.find(outbound(direct(far)), "") is None


async def test_an_answer_that_takes_too_long_is_cut(
    far: standin.SlackStandin,
    remote: Remote,
    history: SlackHistory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapters.slack.history.asking.CALL_SECONDS", 0.1)
    await remote.fault("conversations.history", "latency", seconds=60)
    with pytest.raises(RetryableError):
        await asyncio.wait_for(history.find(outbound(channel(far)), ""), PATIENCE)


async def test_a_channel_that_is_not_there_is_permanent(history: SlackHistory) -> None:
    nowhere = ChannelRef(ACCOUNT, "C0NOSUCH")
    with pytest.raises(PermanentError, match="channel_not_found"):
        await history.find(outbound(nowhere), "")
    with pytest.raises(PermanentError, match="channel_not_found"):
        await read(history, nowhere)
    with pytest.raises(PermanentError, match="channel_not_found"):
        await history.look(nowhere, "1700000000.000100", "")


# look


async def test_a_look_shows_a_message_its_reactions_and_its_replies(
    far: standin.SlackStandin, remote: Remote, history: SlackHistory
) -> None:
    root = await remote.post("ada", "help", "question?")
    await remote.post("grace", "help", "another matter")
    await remote.act("react", person="grace", message=root, emoji="white_check_mark")
    await remote.act("react", person="linus", message=root, emoji="+1::skin-tone-4")
    replies = [await remote.post("grace", "help", f"answer {n}", thread=root) for n in range(3)]
    began = datetime.now(UTC)
    asked, *answers = await history.look(channel(far), root, "")
    assert isinstance(asked, Shown)
    assert (asked.message.native_id, asked.message.text) == (root, "question?")
    assert (asked.message.author_name, asked.message.private) == ("ada", False)
    people = far.state.user_ids
    assert asked.reactions == (("white_check_mark", people["grace"]), ("+1", people["linus"]))
    assert asked.edited_at is None
    assert abs(asked.at - began) < timedelta(seconds=2)
    assert [(e.message.native_id, e.message.thread) for e in answers if isinstance(e, Shown)] == [
        (reply, root) for reply in replies
    ]


async def test_a_look_at_a_reply_shows_it_alone(
    far: standin.SlackStandin, remote: Remote, history: SlackHistory
) -> None:
    root = await remote.post("ada", "help", "question?")
    replies = [await remote.post("grace", "help", f"answer {n}", thread=root) for n in range(3)]
    await remote.act("edit", person="grace", channel="help", message=replies[1], text="42")
    [stands] = await history.look(channel(far), replies[1], root)
    assert isinstance(stands, Shown)
    assert (stands.message.text, stands.message.thread) == ("42", root)
    assert stands.edited_at
    assert stands.edited_at > stands.message.sent_at


@pytest.mark.usefixtures("settled")
async def test_a_look_at_what_is_gone_says_deleted(
    far: standin.SlackStandin, remote: Remote, history: SlackHistory
) -> None:
    root = await remote.post("ada", "help", "question?")
    reply = await remote.post("grace", "help", "answer", thread=root)
    alone = await remote.post("ada", "help", "oops")
    for ts in (root, alone):
        await remote.act("delete", person="ada", channel="help", message=ts)
    [gone] = await history.look(channel(far), alone, "")
    assert isinstance(gone, Deleted)
    assert (gone.channel, gone.native_id, gone.position) == (channel(far), alone, place(alone))
    tombstone, answer = await history.look(channel(far), root, "")
    assert isinstance(tombstone, Deleted)
    assert tombstone.native_id == root
    assert isinstance(answer, Shown)
    await remote.act("delete", person="grace", channel="help", message=reply)
    [lost] = await history.look(channel(far), reply, root)
    assert isinstance(lost, Deleted)
    assert lost.native_id == reply


async def test_what_is_too_young_for_history_is_not_called_deleted(
    far: standin.SlackStandin, remote: Remote, history: SlackHistory
) -> None:
    root = await remote.post("ada", "help", "question?")
    await remote.knobs(history_lag=3600)
    with pytest.raises(RetryableError, match="may not show"):
        await history.look(channel(far), root, "")
    await remote.knobs(history_lag=0)
    [stands] = await history.look(channel(far), root, "")
    assert isinstance(stands, Shown)


async def test_a_look_into_direct_messages_by_person(
    far: standin.SlackStandin, sender: SlackSender, history: SlackHistory
) -> None:
    receipt = await sender.send(outbound(direct(far)))
    [stands] = await history.look(direct(far), receipt.native_id, "")
    assert isinstance(stands, Shown)
    post = stands.message
    assert post.channel == channel(far, "dm:ada")
    assert (post.author, post.by_bot, post.private) == (far.state.app.user.id, True, True)
    assert post.key == "key-1"


async def test_a_long_list_of_reactions_is_read_whole(
    far: standin.SlackStandin, remote: Remote, history: SlackHistory
) -> None:
    ts = await remote.post("ada", "help", "who comes?")
    for number in range(MOST_REACTING + 2):
        await remote.act("person", person=f"guest{number}")
        await remote.act("react", person=f"guest{number}", message=ts, emoji="eyes")
    [stands] = await history.look(channel(far), ts, "")
    [page] = await read(history, channel(far))
    for one in (stands, *page.events):
        assert isinstance(one, Shown)
        assert one.reactions
        assert len(one.reactions) == MOST_REACTING + 2


# missed


@pytest.mark.usefixtures("settled")
async def test_everything_missed_comes_in_order_and_without_holes(
    far: standin.SlackStandin, history: SlackHistory
) -> None:
    many = [said(far, str(number)) for number in range(3 * PAGE + 7)]
    pages = await read(history, channel(far), after=many[0].at)
    assert texts(pages) == [str(number) for number in range(3 * PAGE + 7)]
    assert pages[0].start == many[0].at - MINUTE
    claims = [(page.start, page.end) for page in pages if page.start <= page.end]
    assert claims == sorted(claims)
    assert all(end + 1 == start for (_, end), (start, _) in pairwise(claims))
    assert claims[-1][1] >= many[-1].at
    for page in pages:
        assert len(page.events) <= PAGE
        places = [one.message.position for one in page.events if isinstance(one, Shown)]
        assert all(page.start <= one <= page.end for one in places)


@pytest.mark.usefixtures("settled")
async def test_a_walk_is_resumed_from_the_end_of_any_page(
    far: standin.SlackStandin, history: SlackHistory
) -> None:
    for number in range(2 * PAGE + 7):
        said(far, str(number))
    pages = await read(history, channel(far))
    for number, page in enumerate(pages):
        again = await read(history, channel(far), after=page.end + MINUTE + 1)
        assert texts(again) == texts(pages[number + 1 :])


async def test_a_walk_goes_on_after_a_rate_limit_or_a_cut(
    far: standin.SlackStandin, remote: Remote, history: SlackHistory
) -> None:
    old = said(far, "old root")
    for number in range(2 * PAGE):
        said(far, str(number))
    said(far, "reply", root=old)
    walk = history.missed(channel(far), old.at, 0)
    seen: list[str] = []
    failures = 0
    methods = ["conversations.info", "users.info", "conversations.history"]
    for method in [*methods, "conversations.history", "conversations.replies"]:
        await remote.fault(method, "ratelimit", seconds=1)
    await remote.fault("conversations.history", "drop_after", times=2)
    while True:
        try:
            seen += texts([await anext(walk)])
        except StopAsyncIteration:
            break
        except RetryableError:
            failures += 1
    assert seen == ["old root", *map(str, range(2 * PAGE)), "reply"]
    # a name that cannot be had is done without
    assert failures == 5


async def test_replies_to_older_threads_are_missed_too(
    far: standin.SlackStandin, history: SlackHistory
) -> None:
    ancient, old = said(far, "ancient root"), said(far, "old root")
    quiet = said(far, "quiet root")
    said(far, "long ago", root=quiet)
    fillers = [said(far, f"filler {number}") for number in range(PAGE + 5)]
    for message in far.state.messages.values():
        message.at -= 10 * MINUTE
    far.state.messages = {one.ts: one for one in far.state.messages.values()}
    for one in (ancient, old, quiet, *fillers, *quiet.replies):
        one.body["ts"] = one.ts
    quiet.replies[0].body["thread_ts"] = quiet.ts
    fresh = said(far, "fresh root")
    for root in (ancient, old, fresh):
        for number in range(PAGE + 2):
            said(far, f"reply {number} to {root.text}", root=root)
    pages = await read(history, channel(far), after=fresh.at, roots_after=old.at)
    assert texts(pages) == ["fresh root"] + [
        f"reply {number} to {root}" for root in ("old root", "fresh root") for number in range(202)
    ]
    replies = [page for page in pages if page.end < page.start]
    assert {one.message.thread for page in replies for one in page.events} == {old.ts, fresh.ts}  # type: ignore[union-attr]


async def test_a_page_shows_edits_reactions_and_what_is_left_of_a_root(
    far: standin.SlackStandin, remote: Remote, sender: SlackSender, history: SlackHistory
) -> None:
    edited = await remote.post("ada", "help", "helo")
    await remote.act("edit", person="ada", channel="help", message=edited, text="hello")
    await remote.act("react", person="grace", message=edited, emoji="eyes")
    root = await remote.post("ada", "help", "question?")
    await remote.post("grace", "help", "answer", thread=root, broadcast=True)
    await remote.act("delete", person="ada", channel="help", message=root)
    joined = said(far, "ada has joined the channel")
    joined.body["subtype"] = "channel_join"
    broken = said(far, "nobody said this")
    del broken.body["user"]
    receipt = await sender.send(outbound(channel(far)))
    page, replies = await read(history, channel(far))
    change, tombstone, broadcast, own = page.events
    assert isinstance(change, Shown)
    assert change.edited_at
    assert change.reactions == (("eyes", far.state.user_ids["grace"]),)
    assert isinstance(tombstone, Deleted)
    assert tombstone.native_id == root
    assert isinstance(broadcast, Shown)
    assert broadcast.message.thread == root
    assert isinstance(own, Shown)
    assert (own.message.native_id, own.message.key) == (receipt.native_id, "key-1")
    assert (own.message.author, own.message.by_bot) == (far.state.app.user.id, True)
    assert own.reactions == ()
    assert texts([replies]) == ["answer"]


async def test_history_reads_what_a_listener_hears(
    far: standin.SlackStandin, remote: Remote, history: SlackHistory
) -> None:
    heard = Heard()
    async with listening(far, heard):
        for name in ("help", "secret", "dm:ada"):
            await remote.post("ada", name, "@grace see https://x.example/a in #oncall, @here")
        root = await remote.post("ada", "help", "question?")
        await remote.post("grace", "help", "answer", thread=root)
        await until(lambda: len(heard.posts) == 5)
    names = ("help", "secret", "dm:ada")
    walks = [await read(history, channel(far, name)) for name in names]
    shown = {e.message for pages in walks for page in pages for e in page.events}  # type: ignore[union-attr]
    assert shown == set(heard.posts)


async def test_a_page_promises_nothing_for_the_last_seconds(
    far: standin.SlackStandin, history: SlackHistory
) -> None:
    young = said(far, "young")
    [page] = await read(history, channel(far))
    assert texts([page]) == ["young"]
    assert young.at - 20_000_000 < page.end < young.at - 5_000_000


async def test_without_names_a_page_still_comes(
    far: standin.SlackStandin, remote: Remote, history: SlackHistory
) -> None:
    said(far, "hello <#C0NOSUCH1> <@U0NOSUCH1>")
    await remote.fault("users.info", "status", status=500, times=-1)
    [page] = await read(history, channel(far))
    [stands] = page.events
    assert isinstance(stands, Shown)
    assert stands.message.author_name == ""
    assert stands.message.text == "hello #C0NOSUCH1 @U0NOSUCH1"


async def test_an_empty_channel_is_one_empty_page(
    far: standin.SlackStandin, history: SlackHistory
) -> None:
    now = int(datetime.now(UTC).timestamp() * 1e6)
    [page] = await read(history, channel(far), after=now, roots_after=now - WEEK)
    assert page.events == ()
    assert page.start == now - MINUTE


# gaps


class Heard:
    """A `receive` that takes its time over gaps when told to, and may fail at them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.go = asyncio.Event()
        self.go.set()
        self.waiting = 0
        self.failure: Exception | None = None

    async def __call__(self, event: Event) -> None:
        if isinstance(event, Gap):
            self.waiting += 1
            await self.go.wait()
            self.waiting -= 1
            failure, self.failure = self.failure, None
            if failure:
                raise failure
        self.events.append(event)

    @property
    def gaps(self) -> list[Gap]:
        return [one for one in self.events if isinstance(one, Gap)]

    @property
    def posts(self) -> list[Posted]:
        return [one for one in self.events if isinstance(one, Posted)]


@asynccontextmanager
async def listening(far: standin.SlackStandin, heard: Heard) -> AsyncIterator[asyncio.Task[None]]:
    """A listener that has been greeted."""
    listener = SlackListener(ACCOUNT, settings(far))
    task = asyncio.create_task(listener.listen(heard))
    try:
        await until(lambda: task.done() or bool(heard.gaps) or bool(heard.waiting))
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, StoreError, RuntimeError):
            await task


async def connected(far: standin.SlackStandin) -> None:
    await until(lambda: far.state.sockets.connected > 0)


async def test_a_listener_begins_with_a_gap(far: standin.SlackStandin, remote: Remote) -> None:
    before = datetime.now(UTC)
    heard = Heard()
    async with listening(far, heard):
        await remote.post("ada", "help", "hello")
        await until(lambda: bool(heard.posts))
    [gap] = heard.gaps
    assert gap.account == ACCOUNT
    assert before <= gap.at <= datetime.now(UTC)
    assert gap.position == int(gap.at.timestamp()) * 1_000_000 + gap.at.microsecond
    assert gap.position < heard.posts[0].position
    assert heard.events.index(gap) < heard.events.index(heard.posts[0])


@pytest.mark.parametrize("how", ["close", "fresh", "abort"])
async def test_every_new_connection_is_a_gap(
    far: standin.SlackStandin, remote: Remote, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack.connection.PING_SECONDS", 0.2)
    heard = Heard()
    async with listening(far, heard) as task:
        for number in range(3):
            await remote.post("ada", "help", str(number))
            await until(lambda number=number: len(heard.posts) == number + 1)
            cut_at = datetime.now(UTC)
            await remote.disconnect(how)
            # on a close frame as well as on what announces it the SDK connects anew
            await until(lambda cut_at=cut_at: heard.gaps[-1].at > cut_at)
            await connected(far)
        assert not task.done()


async def test_events_wait_until_the_gap_before_them_is_stored(
    far: standin.SlackStandin, remote: Remote
) -> None:
    heard = Heard()
    heard.go.clear()
    async with listening(far, heard):
        for number in range(3):
            await remote.post("ada", "help", str(number))
        await until(lambda: len(far.state.sockets._owed) == 3)
        await asyncio.sleep(0)
        assert not heard.posts
        heard.go.set()
        await until(lambda: len(heard.posts) == 3)
    told = [e for e in heard.events if isinstance(e, Gap | Posted)]
    assert isinstance(told[0], Gap)
    assert [one.text for one in heard.posts] == ["0", "1", "2"]


@pytest.mark.parametrize("failure", [StoreError("the disk is full"), RuntimeError("a bug")])
async def test_a_gap_that_cannot_be_stored_ends_the_listener(
    far: standin.SlackStandin, remote: Remote, failure: Exception
) -> None:
    heard = Heard()
    heard.go.clear()
    heard.failure = failure
    async with listening(far, heard) as task:
        await remote.post("ada", "help", "hello")
        await until(lambda: bool(far.state.sockets._owed))
        heard.go.set()
        with pytest.raises(type(failure)):
            await asyncio.wait_for(task, PATIENCE)
    assert not heard.posts
    assert far.state.sockets.owed + len(far.state.sockets._parked) == 1
