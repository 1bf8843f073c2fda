"""The Slack adapter with the real SDK, over real sockets, against the stand-in."""

import asyncio
import gc
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from adapters.slack import ADAPTER, standin
from adapters.slack.listener import SlackListener
from adapters.slack.sender import SlackSender
from adapters.slack.standin.errors import RefusedError
from adapters.slack.standin.methods import METHODS
from adapters.slack.standin.methods.call import Call
from adapters.standin import CHANNELS, PEOPLE, JsonDict, Remote
from bridge.errors import (
    PermanentError,
    RateLimitedError,
    RetryableError,
    StoreError,
    UnknownOutcomeError,
)
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Event,
    Gap,
    Outbound,
    PersonNamed,
    Posted,
    Reacted,
)
from bridge.richtext import Heading, Link, Note, Paragraph, Quote, Text

ACCOUNT = "acme"
PATIENCE = 10.0
Kind = TypeVar("Kind", bound=Event)


class Received:
    """A `receive` that keeps what came, may fail, and can be waited on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failures: list[Exception] = []
        self._changed = asyncio.Event()

    async def __call__(self, event: Event) -> None:
        unasked = isinstance(event, ChannelNamed | PersonNamed | Gap)
        if self.failures and not unasked:
            raise self.failures.pop()
        self.events.append(event)
        self._changed.set()

    async def first(self, kind: type[Kind], fits: Callable[[Kind], bool] = lambda _: True) -> Kind:
        """The first event of a kind that fits, as soon as it is there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.events:
                    if isinstance(event, kind) and fits(event):
                        return event
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def far() -> AsyncIterator[standin.SlackStandin]:
    server = await standin.start(0, limits=False)
    yield server
    await server.stop()


@pytest.fixture
async def remote(far: standin.SlackStandin) -> AsyncIterator[Remote]:
    async with Remote(far.url) as client:
        yield client


def settings(far: standin.SlackStandin, **changes: str) -> Any:
    return ADAPTER.settings.model_validate({**far.account(), **changes})


@asynccontextmanager
async def listening(
    far: standin.SlackStandin, received: Received, **options: float
) -> AsyncIterator[asyncio.Task[None]]:
    """A listener that is connected."""
    listener = SlackListener(ACCOUNT, settings(far), **options)
    task = asyncio.create_task(listener.listen(received))
    try:
        await connected(far, task)
        yield task
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def connected(far: standin.SlackStandin, task: asyncio.Task[None]) -> None:
    await until(lambda: task.done() or bool(far.state.sockets._connections))
    if task.done():
        task.result()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something in the stand-in that tells nobody when it happens."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def sender(far: standin.SlackStandin) -> AsyncIterator[SlackSender]:
    made = ADAPTER.sender(ACCOUNT, settings(far))
    assert isinstance(made, SlackSender)
    yield made
    await made.close()
    await made.close()


def outbound(far: standin.SlackStandin, channel: str = "help", text: str = "hello") -> Outbound:
    ref = ChannelRef(ACCOUNT, far.state.channel_ids.get(channel, channel))
    return Outbound(ref, "key-1", (Paragraph((Text(text),)),))


async def test_a_post_by_a_person_arrives_as_posted(
    far: standin.SlackStandin, remote: Remote
) -> None:
    received = Received()
    async with listening(far, received):
        ts = await remote.post(
            "ada", "help", "@grace see https://example.com/a?b=1&c=2 in #oncall, @here <b>"
        )
        posted = await received.first(Posted)
    ids, people = far.state.channel_ids, far.state.user_ids
    seconds, micros = ts.split(".")
    sent_at = datetime.fromtimestamp(int(seconds), UTC).replace(microsecond=int(micros))
    assert posted == Posted(
        channel=ChannelRef(ACCOUNT, ids["help"]),
        native_id=ts,
        position=int(ts.replace(".", "")),
        author=people["ada"],
        author_name="ada",
        text="@grace see https://example.com/a?b=1&c=2 in #oncall, @here <b>",
        sent_at=sent_at,
        mentions=(people["grace"], "here"),
        links=("https://example.com/a?b=1&c=2",),
        link=posted.link,
    )
    assert re.fullmatch(rf"https?://.+/archives/{ids['help']}/p{seconds}{micros}", posted.link)


async def test_a_private_post_is_private_and_direct_messages_are_too(
    far: standin.SlackStandin, remote: Remote
) -> None:
    received = Received()
    async with listening(far, received):
        await remote.post("ada", "secret", "psst")
        await remote.post("ada", "dm:ada", "remind me")
        secret = await received.first(Posted, lambda one: one.text == "psst")
        direct = await received.first(Posted, lambda one: one.text == "remind me")
    assert secret.private
    assert direct.private


async def test_a_reply_names_its_thread(far: standin.SlackStandin, remote: Remote) -> None:
    received = Received()
    async with listening(far, received):
        root = await remote.post("ada", "help", "question?")
        await remote.post("grace", "help", "answer!", thread=root)
        reply = await received.first(Posted, lambda one: one.text == "answer!")
        asked = await received.first(Posted, lambda one: one.text == "question?")
    assert reply.thread == root
    assert asked.thread == ""
    assert reply.link.endswith(f"?thread_ts={root}&cid={reply.channel.id}")


async def test_an_edit_arrives_with_the_message_as_it_reads_now(
    far: standin.SlackStandin, remote: Remote
) -> None:
    received = Received()
    async with listening(far, received):
        ts = await remote.post("ada", "help", "helo")
        await remote.act("edit", person="ada", message=ts, channel="help", text="hello")
        edited = await received.first(Edited)
    assert (edited.message.native_id, edited.message.text) == (ts, "hello")
    assert edited.edited_at > edited.message.sent_at


async def test_a_delete_arrives(far: standin.SlackStandin, remote: Remote) -> None:
    received = Received()
    async with listening(far, received):
        ts = await remote.post("ada", "help", "oops")
        await remote.act("delete", person="ada", message=ts, channel="help")
        deleted = await received.first(Deleted)
    assert (deleted.native_id, deleted.position) == (ts, int(ts.replace(".", "")))


async def test_the_root_of_a_thread_that_lives_on_is_deleted_too(
    far: standin.SlackStandin, remote: Remote
) -> None:
    received = Received()
    async with listening(far, received):
        ts = await remote.post("ada", "help", "question?")
        await remote.post("grace", "help", "answer!", thread=ts)
        await remote.act("delete", person="ada", message=ts, channel="help")
        assert (await received.first(Deleted)).native_id == ts


async def test_reactions_come_and_go(far: standin.SlackStandin, remote: Remote) -> None:
    received = Received()
    async with listening(far, received):
        ts = await remote.post("ada", "help", "done?")
        doing = {"person": "grace", "message": ts, "channel": "help", "emoji": "white_check_mark"}
        await remote.act("react", **doing)
        await remote.act("unreact", **doing)
        added = await received.first(Reacted, lambda one: one.added)
        taken = await received.first(Reacted, lambda one: not one.added)
    assert (added.native_id, added.person) == (ts, far.state.user_ids["grace"])
    assert added.emoji == taken.emoji == "white_check_mark"
    assert added.at < taken.at


async def test_names_of_all_channels_and_people_are_reported(far: standin.SlackStandin) -> None:
    received = Received()
    async with listening(far, received):
        secret = await received.first(ChannelNamed, lambda one: one.name == "secret")
        ada = await received.first(PersonNamed, lambda one: one.name == "ada")
        await received.first(PersonNamed, lambda one: one.name == "dennis")
    assert secret.private
    assert ada == PersonNamed(ACCOUNT, far.state.user_ids["ada"], "ada", zone="Europe/London")
    named = {one.name for one in received.events if isinstance(one, ChannelNamed)}
    assert named >= set(CHANNELS)


async def test_an_event_before_the_names_is_stored_and_its_author_looked_up(
    far: standin.SlackStandin, remote: Remote
) -> None:
    await remote.fault("conversations.list", "latency", seconds=60)
    received = Received()
    async with listening(far, received, grace=0):
        await remote.post("ada", "help", "early")
        posted = await received.first(Posted)
        person = await received.first(PersonNamed)
        channel = await received.first(ChannelNamed)
    assert posted.author_name == ""
    assert (person.person, person.name) == (posted.author, "ada")
    assert (channel.channel, channel.name) == (posted.channel, "help")


async def test_without_the_scope_for_names_events_still_arrive(
    far: standin.SlackStandin, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Call) -> JsonDict:
        raise RefusedError("missing_scope", needed="channels:read", provided="chat:write")

    method = replace(METHODS["conversations.list"], run=refuse)
    monkeypatch.setitem(METHODS, "conversations.list", method)
    received = Received()
    async with listening(far, received):
        await remote.post("ada", "help", "hello")
        assert (await received.first(Posted)).text == "hello"


async def test_an_event_that_was_not_stored_is_not_acknowledged_and_comes_again(
    far: standin.SlackStandin, remote: Remote
) -> None:
    far.state.sockets.patience = 0.2
    for failure in (StoreError("the disk is full"), RuntimeError("a bug")):
        received = Received()
        received.failures = [failure]
        async with listening(far, received):
            await remote.post("ada", "help", "keep me")
            assert (await received.first(Posted)).text == "keep me"
        assert not received.failures


async def test_what_was_stored_is_acknowledged_and_comes_once(
    far: standin.SlackStandin, remote: Remote
) -> None:
    far.state.sockets.patience = 0.2
    received = Received()
    async with listening(far, received):
        await remote.post("ada", "help", "one")
        await remote.act("channel", person="ada", channel="lounge")
        far.state.sockets.push("slash_commands", {"command": "/remind", "text": "me"})
        far.state.emit(None, {"type": "message", "channel": "C1", "ts": "what"})
        await received.first(Posted)
        await until(lambda: not far.state.sockets._owed)
    assert len([one for one in received.events if isinstance(one, Posted)]) == 1


async def test_a_malformed_event_is_counted_and_acknowledged(far: standin.SlackStandin) -> None:
    listener = SlackListener(ACCOUNT, settings(far))
    task = asyncio.create_task(listener.listen(Received()))
    await connected(far, task)
    far.state.emit(None, {"type": "message", "channel": "C1", "ts": "what"})
    await until(lambda: bool(listener.malformed) and not far.state.sockets._owed)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert listener.malformed == 1


async def test_our_own_message_comes_back(far: standin.SlackStandin, sender: SlackSender) -> None:
    received = Received()
    async with listening(far, received):
        receipt = await sender.send(outbound(far))
        echo = await received.first(Posted)
    identity = await identify(far)
    assert (echo.native_id, echo.position) == (receipt.native_id, receipt.position)
    assert (echo.author, echo.by_bot, echo.text) == (identity, True, "hello")


async def identify(far: standin.SlackStandin) -> str:
    directory = ADAPTER.directory(ACCOUNT, settings(far))
    try:
        return (await directory.identify()).person
    finally:
        await directory.close()


@pytest.mark.parametrize("how", ["close", "fresh", "abort"])
async def test_a_cut_connection_is_replaced(
    far: standin.SlackStandin, remote: Remote, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack.connection.PING_SECONDS", 0.2)
    received = Received()
    async with listening(far, received) as task:
        await remote.disconnect(how)
        await connected(far, task)
        await remote.post("ada", "help", "still there?")
        assert (await received.first(Posted)).text == "still there?"


async def test_a_connection_that_cannot_be_restored_ends_the_listener(
    far: standin.SlackStandin, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack.connection.RESTORE_SECONDS", 0.1)
    monkeypatch.setattr("adapters.slack.connection.WATCH_SECONDS", 0.05)
    async with listening(far, Received()) as task:
        await remote.fault("apps.connections.open", "status", status=503, times=-1)
        await remote.disconnect("abort")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(task, PATIENCE)


@pytest.mark.parametrize("changes", [{"bot_token": "xoxb-wrong"}, {"app_token": "xapp-wrong"}])
async def test_a_wrong_token_ends_the_listener_with_what_to_do(
    far: standin.SlackStandin, changes: dict[str, str]
) -> None:
    listener = ADAPTER.listener(ACCOUNT, settings(far, **changes))
    with pytest.raises(PermanentError, match=r"invalid_auth|not_allowed_token_type"):
        await asyncio.wait_for(listener.listen(Received()), PATIENCE)


async def test_cancelling_leaves_no_task_and_no_connection(far: standin.SlackStandin) -> None:
    before = asyncio.all_tasks()
    async with listening(far, Received()):
        pass
    await until(lambda: not far.state.sockets._connections)
    mine = {task for task in asyncio.all_tasks() - before if "slack" in repr(task.get_coro())}
    assert not mine
    gc.collect()


async def test_cancelling_does_not_wait_for_a_store_that_hangs(
    far: standin.SlackStandin, remote: Remote
) -> None:
    begun = asyncio.Event()

    async def hang(event: Event) -> None:
        if isinstance(event, Posted):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(ADAPTER.listener(ACCOUNT, settings(far)).listen(hang))
    await connected(far, task)
    await remote.post("ada", "help", "hello")
    await asyncio.wait_for(begun.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)


async def test_bolts_own_environment_variables_change_nothing(
    far: standin.SlackStandin, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"):
        monkeypatch.setenv(name, "of something else")
    received = Received()
    async with listening(far, received):
        await remote.post("ada", "help", "hello")
        assert (await received.first(Posted)).text == "hello"


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    far: standin.SlackStandin,
    remote: Remote,
    sender: SlackSender,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    received = Received()
    async with listening(far, received):
        await sender.send(outbound(far))
        assert (await received.first(Posted)).text == "hello"
    assert len(await remote.messages("help")) == 1


async def test_many_posts_arrive_in_their_order(far: standin.SlackStandin, remote: Remote) -> None:
    received = Received()
    async with listening(far, received):
        for number in range(100):
            await remote.post("ada", "help", str(number))
        await received.first(Posted, lambda one: one.text == "99")
    said = [one.text for one in received.events if isinstance(one, Posted)]
    assert said == [str(number) for number in range(100)]


async def test_a_sent_message_is_there_under_its_receipt(
    far: standin.SlackStandin, remote: Remote, sender: SlackSender
) -> None:
    document = (
        Heading("Digest & more"),
        Paragraph((Text("<!channel> *not bold* "), Link("https://example.com/?a=1&b=2", "a link"))),
        Quote((Text("said <@U123>\nand more"),)),
        Note((Text("small "), Link("https://example.com", "print"))),
    )
    receipt = await sender.send(replace(outbound(far), document=document))
    (seen,) = await remote.messages("help")
    assert (seen.id, seen.by_app) == (receipt.native_id, True)
    assert receipt.position == int(receipt.native_id.replace(".", ""))
    assert seen.text == (
        "Digest & more\n<!channel> *not bold* a link\n> said <@U123>\n> and more\nsmall print"
    )
    assert "<!channel>" not in seen.raw["text"]
    metadata = far.state.messages[receipt.native_id].metadata
    assert metadata == {"event_type": "chatbridge_delivery", "event_payload": {"key": "key-1"}}


async def test_a_reply_and_a_direct_message_are_sent(
    far: standin.SlackStandin, remote: Remote, sender: SlackSender
) -> None:
    root = await remote.post("ada", "help", "question?")
    await sender.send(replace(outbound(far, text="answer"), thread=root))
    assert (await remote.messages("help"))[-1].thread == root
    direct = ChannelRef(ACCOUNT, "dm:" + far.state.user_ids["ada"])
    for text in ("psst", "again"):
        await sender.send(replace(outbound(far, text=text), channel=direct))
    assert [one.text for one in await remote.messages("dm:ada")] == ["psst", "again"]


async def test_fifty_messages_at_once_share_a_sender(
    far: standin.SlackStandin, remote: Remote, sender: SlackSender
) -> None:
    sending = [sender.send(outbound(far, text=str(number))) for number in range(50)]
    receipts = await asyncio.gather(*sending)
    assert len({receipt.native_id for receipt in receipts}) == 50
    assert len(await remote.messages("help")) == 50


@pytest.mark.parametrize(
    ("fault", "error", "arrived"),
    [
        ({"kind": "ratelimit", "seconds": 7}, RateLimitedError, 0),
        ({"kind": "status", "status": 500}, UnknownOutcomeError, 0),
        ({"kind": "status", "status": 503}, UnknownOutcomeError, 0),
        ({"kind": "status_after", "status": 502}, UnknownOutcomeError, 1),
        ({"kind": "drop_before"}, UnknownOutcomeError, 0),
        ({"kind": "drop_after"}, UnknownOutcomeError, 1),
    ],
)
async def test_an_error_says_what_may_have_happened(
    far: standin.SlackStandin,
    remote: Remote,
    sender: SlackSender,
    *,
    fault: dict[str, Any],
    error: type[Exception],
    arrived: int,
) -> None:
    await remote.fault("chat.postMessage", **fault)
    with pytest.raises(error) as caught:
        await sender.send(outbound(far))
    assert type(caught.value) is error
    assert "xoxb" not in str(caught.value)
    assert len(await remote.messages("help")) == arrived
    if isinstance(caught.value, RateLimitedError):
        assert (caught.value.retry_after, caught.value.scope) == (7, "lane")


async def test_an_answer_that_takes_too_long_is_cut_and_unknown(
    far: standin.SlackStandin,
    remote: Remote,
    sender: SlackSender,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapters.slack.sender.CALL_SECONDS", 0.1)
    await remote.fault("chat.postMessage", "latency", seconds=60)
    began = time.monotonic()
    with pytest.raises(UnknownOutcomeError):
        await sender.send(outbound(far))
    assert time.monotonic() - began < 2
    await remote.fault("conversations.open", "latency", seconds=60)
    direct = ChannelRef(ACCOUNT, "dm:" + far.state.user_ids["ada"])
    with pytest.raises(RetryableError):
        await sender.send(replace(outbound(far), channel=direct))


async def test_a_refused_connection_is_worth_another_try(far: standin.SlackStandin) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/api/"
        sender = SlackSender(ACCOUNT, settings(far, api_url=nobody))
        with pytest.raises(RetryableError):
            await sender.send(outbound(far))
        await sender.close()


async def test_a_refusal_says_what_to_do(far: standin.SlackStandin, sender: SlackSender) -> None:
    with pytest.raises(PermanentError, match="channel_not_found: check the channel"):
        await sender.send(outbound(far, "C0NOSUCH"))
    wrong = SlackSender(ACCOUNT, settings(far, bot_token="xoxb-wrong"))
    with pytest.raises(PermanentError, match="invalid_auth: reinstall the app") as caught:
        await wrong.send(outbound(far))
    assert "xoxb-wrong" not in str(caught.value)
    await wrong.close()


async def test_the_directory_knows_us_and_everybody(
    far: standin.SlackStandin, remote: Remote
) -> None:
    directory = ADAPTER.directory(ACCOUNT, settings(far))
    await remote.fault("users.list", "ratelimit", seconds=0)
    try:
        identity = await directory.identify()
        entries = await directory.entries()
    finally:
        await directory.close()
        await directory.close()
    assert identity.person == far.state.app.user.id
    assert identity.workspace == "Stand-in"
    people = {one.name: one for one in entries if isinstance(one, PersonNamed)}
    assert people.keys() >= set(PEOPLE)
    assert [one.name for one in people.values() if one.bot]
    channels = {one.name: one.private for one in entries if isinstance(one, ChannelNamed)}
    assert channels["secret"]
    assert not channels["general"]


async def test_a_directory_with_a_bad_token_is_refused(far: standin.SlackStandin) -> None:
    directory = ADAPTER.directory(ACCOUNT, settings(far, bot_token="xoxb-wrong"))
    with pytest.raises(PermanentError, match="invalid_auth"):
        await directory.identify()
    await directory.close()
