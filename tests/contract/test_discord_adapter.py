"""The Discord adapter with the real SDK against the stand-in, over real sockets."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from adapters import load
from adapters.discord import standin
from adapters.discord.directory import DiscordDirectory
from adapters.discord.listener import DiscordListener
from adapters.discord.sender import DiscordSender
from adapters.discord.settings import DiscordSettings
from adapters.standin import Remote
from bridge.errors import (
    BridgeError,
    ConfigError,
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
from bridge.ports import Receive
from bridge.richtext import Document, Heading, Link, Moment, Paragraph, Text

CREATE = "POST /channels/*/messages"
PATIENCE = 5.0

Found = TypeVar("Found")


@dataclass
class Far:
    """A stand-in, its control client, and what an account of it needs."""

    standin: standin.DiscordStandin
    remote: Remote

    @property
    def settings(self) -> DiscordSettings:
        return DiscordSettings.model_validate(self.standin.account())

    def channel(self, name: str) -> ChannelRef:
        return ChannelRef("club", self.standin.workspace.channel(name).id)

    def person(self, name: str) -> str:
        return self.standin.workspace.person(name).id


@dataclass
class Heard:
    """A store that keeps what it receives, and can be waited on."""

    events: list[Event] = field(default_factory=list)
    failing: bool = False
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, event: Event) -> None:
        if self.failing:
            raise StoreError("the disk is full")
        async with self.more:
            self.events.append(event)
            self.more.notify_all()

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event that fits, as soon as it is there."""
        async with asyncio.timeout(PATIENCE), self.more:
            while True:
                for event in self.events:
                    if wanted(event):
                        return event
                await self.more.wait()

    async def first(self, kind: type[Found], fits: Callable[[Found], bool] = bool) -> Found:
        event = await self.until(lambda event: isinstance(event, kind) and fits(event))
        assert isinstance(event, kind)
        return event

    async def posted(self, text: str) -> Posted:
        return await self.first(Posted, lambda event: event.text == text)

    async def ready(self) -> None:
        """Once a guild's last person is named, its messages come."""
        await self.first(PersonNamed, lambda event: event.name == "chatbridge" or event.bot)


@asynccontextmanager
async def far_side(*, limits: bool = False) -> AsyncIterator[Far]:
    started = await standin.start(0, limits=limits)
    try:
        async with Remote(started.url) as remote:
            yield Far(started, remote)
    finally:
        await started.stop()


@asynccontextmanager
async def listening(
    listener: DiscordListener, receive: Receive
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(listener.listen(receive))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, BridgeError):
            await task


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    async with far_side() as side:
        yield side


@pytest.fixture
async def sender(far: Far) -> AsyncIterator[DiscordSender]:
    made = DiscordSender("club", far.settings)
    yield made
    await made.close()


@pytest.fixture
async def heard(far: Far) -> AsyncIterator[Heard]:
    hearer = Heard()
    async with listening(DiscordListener("club", far.settings), hearer.receive) as task:
        ready = asyncio.create_task(hearer.ready())
        await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
        await ready
        yield hearer


def say(text: str) -> Document:
    return (Paragraph((Text(text),)),)


def outbound(channel: ChannelRef, text: str = "hello", key: str = "k1", **more: Any) -> Outbound:
    return Outbound(channel, key, say(text), **more)


# -- in


async def test_channels_and_people_are_named_at_the_start(far: Far, heard: Heard) -> None:
    named = {event.name: event for event in heard.events if isinstance(event, ChannelNamed)}
    assert named["general"] == ChannelNamed(far.channel("general"), "general")
    assert named["secret"].private
    await far.remote.post("ada", "help", "hello")
    ada = await heard.first(PersonNamed, lambda event: event.person == far.person("ada"))
    assert (ada.name, ada.bot) == ("ada", False)


async def test_a_post_its_edit_its_reaction_and_its_end_arrive(far: Far, heard: Heard) -> None:
    native_id = await far.remote.post("ada", "help", "the build is red")
    posted = await heard.posted("the build is red")
    assert (posted.native_id, posted.author) == (native_id, far.person("ada"))
    assert posted.channel == far.channel("help")
    assert not posted.private

    await far.remote.act("edit", person="ada", message=native_id, text="the build is green")
    edited = await heard.first(Edited)
    assert edited.message.text == "the build is green"

    await far.remote.act("react", person="grace", message=native_id, emoji="eyes")
    added = await heard.first(Reacted)
    assert (added.emoji, added.person, added.added) == ("eyes", far.person("grace"), True)
    await far.remote.act("unreact", person="grace", message=native_id, emoji="eyes")
    await heard.first(Reacted, lambda event: not event.added)

    await far.remote.act("delete", message=native_id)
    assert (await heard.first(Deleted)).native_id == native_id


async def test_replies_and_threads_name_their_roots(far: Far, heard: Heard) -> None:
    root = await far.remote.post("ada", "help", "who can help?")
    await far.remote.post("grace", "help", "me", reply_to=root)
    assert (await heard.posted("me")).reply_to == root
    await far.remote.post("linus", "help", "in the thread", thread=root)
    threaded = await heard.posted("in the thread")
    assert (threaded.channel, threaded.thread) == (far.channel("help"), root)
    assert not threaded.private


async def test_what_only_some_can_read_is_private(far: Far, heard: Heard) -> None:
    await far.remote.post("ada", "secret", "hush")
    assert (await heard.posted("hush")).private
    await far.remote.post("ada", "dm:ada", "just us")
    assert (await heard.posted("just us")).private


async def test_mentions_and_channels_come_as_names(far: Far, heard: Heard) -> None:
    grace, general = far.person("grace"), far.channel("general").id
    await far.remote.post("ada", "help", f"<@{grace}> see <#{general}>")
    posted = await heard.first(Posted)
    assert posted.mentions == (grace,)
    assert "<" not in posted.text
    assert posted.text.endswith("see #general")


async def test_many_posts_arrive_in_order(far: Far, heard: Heard) -> None:
    for n in range(50):
        await far.remote.post("ada", "help", f"number {n}")
    await heard.posted("number 49")
    texts = [event.text for event in heard.events if isinstance(event, Posted)]
    assert texts == [f"number {n}" for n in range(50)]


@pytest.mark.parametrize("how", ["close", "abort", "reconnect"])
async def test_what_happened_while_the_line_was_cut_arrives_after_it(
    far: Far, heard: Heard, how: str
) -> None:
    await far.remote.post("ada", "help", "before")
    await heard.posted("before")
    await far.remote.disconnect(how)
    await far.remote.post("ada", "help", "meanwhile")
    await heard.posted("meanwhile")
    assert sum(isinstance(event, Posted) for event in heard.events) == 2


async def test_a_session_that_is_over_ends_the_listener(far: Far) -> None:
    heard = Heard()
    async with listening(DiscordListener("club", far.settings), heard.receive) as task:
        await heard.ready()
        await far.remote.disconnect("fresh")
        with pytest.raises(RetryableError, match="session"):
            await asyncio.wait_for(task, PATIENCE)


async def test_a_malformed_dispatch_is_logged_counted_and_passed_over(
    far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    heard, listener = Heard(), DiscordListener("club", far.settings)
    async with listening(listener, heard.receive):
        await heard.ready()
        with caplog.at_level(logging.ERROR, "adapters.discord.listener"):
            await far.remote.act("raw", t="MESSAGE_CREATE", d={"id": "77", "channel_id": "5"})
            await far.remote.act("raw", t="MESSAGE_DELETE", d=[1])
            await far.remote.post("ada", "help", "still here")
            await heard.posted("still here")
    assert listener.malformed == 2
    assert "MESSAGE_CREATE cannot be read (id=77 channel_id=5): author is missing" in caplog.text


async def test_an_event_that_was_not_stored_ends_the_listener(far: Far) -> None:
    heard = Heard()
    async with listening(DiscordListener("club", far.settings), heard.receive) as task:
        await heard.ready()
        heard.failing = True
        await far.remote.post("ada", "help", "lost?")
        with pytest.raises(StoreError):
            await asyncio.wait_for(task, PATIENCE)


async def test_events_are_handed_over_in_order_without_waiting_for_commits(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.discord.listener.MOST_WAITING", 20)
    entered, commit = Heard(), asyncio.Event()

    async def receive(event: Event) -> None:
        await entered.receive(event)
        if isinstance(event, Posted):
            await commit.wait()

    listener = DiscordListener("club", far.settings)
    async with listening(listener, receive):
        await entered.ready()
        for n in range(40):
            await far.remote.post("grace", "help", f"number {n}")
        await entered.posted("number 18")
        assert not any(getattr(event, "text", "") == "number 30" for event in entered.events)
        commit.set()
        await entered.posted("number 39")
    texts = [event.text for event in entered.events if isinstance(event, Posted)]
    assert texts == [f"number {n}" for n in range(40)]


async def test_a_cancelled_listener_leaves_no_thread_behind(far: Far) -> None:
    heard = Heard()
    async with listening(DiscordListener("club", far.settings), heard.receive):
        await heard.ready()
        beating = [one for one in threading.enumerate() if "keep-alive" in one.name]
        assert beating
    for thread in beating:
        await asyncio.to_thread(thread.join, PATIENCE)
        assert not thread.is_alive()


async def test_intents_that_are_off_are_told_with_the_switch_to_turn(far: Far) -> None:
    await far.remote.act("privileged", intents=0)
    with pytest.raises(PermanentError, match="Server Members Intent"):
        await DiscordListener("club", far.settings).listen(Heard().receive)


async def test_a_bad_token_is_permanent_everywhere(far: Far) -> None:
    settings = far.settings.model_copy(
        update={"token": DiscordSettings(platform="discord", token="wr.ong").token}
    )
    sender, directory = DiscordSender("club", settings), DiscordDirectory("club", settings)
    for trying in (
        DiscordListener("club", settings).listen(Heard().receive),
        sender.send(outbound(far.channel("help"))),
        directory.identify(),
    ):
        with pytest.raises(PermanentError, match="refuses the token") as caught:
            await trying
        assert "wr.ong" not in str(caught.value)


async def test_a_listener_of_another_server_hears_nothing_of_this_one(far: Far) -> None:
    heard = Heard()
    settings = far.settings.model_copy(update={"guild": "Elsewhere"})
    async with listening(DiscordListener("club", settings), heard.receive):
        await far.remote.happened()
        while not far.standin.hub.identified:
            await asyncio.sleep(0)
        await far.remote.post("ada", "help", "not for you")
        await far.remote.post("ada", "dm:ada", "but this")
        await heard.posted("but this")
    kinds = [type(event) for event in heard.events if not isinstance(event, PersonNamed)]
    assert kinds == [Gap, Posted]


async def test_a_far_side_that_is_not_there_can_be_tried_again() -> None:
    async with far_side() as side:
        settings = side.settings
        channel = side.channel("help")
    sender = DiscordSender("club", settings)
    with pytest.raises(RetryableError, match="cannot connect"):
        await sender.send(outbound(channel))
    with pytest.raises(RetryableError, match="cannot connect"):
        await DiscordListener("club", settings).listen(Heard().receive)


# -- out


async def test_a_message_is_sent_and_its_receipt_is_its_id(far: Far, sender: DiscordSender) -> None:
    receipt = await sender.send(outbound(far.channel("help"), "it is *due*"))
    [seen] = await far.remote.messages("help")
    assert (seen.id, seen.by_app) == (receipt.native_id, True)
    assert receipt.position == int(receipt.native_id)
    assert seen.raw["content"] == r"it is \*due\*"


async def test_the_same_key_twice_is_one_message(far: Far, sender: DiscordSender) -> None:
    first = await sender.send(outbound(far.channel("help")))
    assert await sender.send(outbound(far.channel("help"))) == first
    assert len(await far.remote.messages("help")) == 1


async def test_many_first_sends_at_once_log_in_once(far: Far, sender: DiscordSender) -> None:
    names = ["general", "help", "oncall", "digest"]
    sends = [sender.send(outbound(far.channel(name), key=name)) for name in names]
    assert len({receipt.native_id for receipt in await asyncio.gather(*sends)}) == 4


async def test_a_card_is_an_embed(far: Far, sender: DiscordSender) -> None:
    document = (Heading("Digest"), Paragraph((Text("3 new"), Link("https://a.org", "here"))))
    await sender.send(Outbound(far.channel("digest"), "k1", document, card=True))
    [seen] = await far.remote.messages("digest")
    assert seen.raw["content"] == ""
    assert seen.raw["embeds"][0]["title"] == "Digest"
    assert "[here](<https://a.org>)" in seen.raw["embeds"][0]["description"]


async def test_nothing_sent_pings_anybody(far: Far, sender: DiscordSender) -> None:
    await sender.send(outbound(far.channel("help"), f"@everyone <@{far.person('ada')}> @here"))
    [seen] = await far.remote.messages("help")
    assert seen.raw["mentions"] == []
    assert not seen.raw["mention_everyone"]


async def test_a_thread_is_answered_inside_and_a_message_without_one_with_a_reply(
    far: Far, sender: DiscordSender
) -> None:
    root = await far.remote.post("ada", "help", "root")
    await far.remote.post("ada", "help", "opens it", thread=root)
    await sender.send(outbound(far.channel("help"), "inside", thread=root))
    alone = await far.remote.post("ada", "help", "alone")
    await sender.send(outbound(far.channel("help"), "beside", key="k2", thread=alone))
    seen = {one.text: one for one in await far.remote.messages("help")}
    assert seen["inside"].thread == root
    assert seen["beside"].thread == ""
    assert seen["beside"].raw["message_reference"]["message_id"] == alone


async def test_direct_messages_are_opened_once(far: Far, sender: DiscordSender) -> None:
    ada = ChannelRef("club", f"dm:{far.person('ada')}")
    await far.remote.fault("POST /users/@me/channels", "latency", times=1, seconds=0.01)
    await sender.send(outbound(ada, "one", key="k1"))
    await far.remote.fault("POST /users/@me/channels", "status", times=-1, status=500)
    await sender.send(outbound(ada, "two", key="k2"))
    assert [one.text for one in await far.remote.messages("dm:ada")] == ["one", "two"]


async def test_a_person_who_takes_no_direct_messages_is_permanent(
    far: Far, sender: DiscordSender
) -> None:
    await far.remote.act("person", person="ada", private=True)
    with pytest.raises(PermanentError, match="takes no direct messages"):
        await sender.send(outbound(ChannelRef("club", f"dm:{far.person('ada')}")))


async def test_a_channel_that_is_not_there_is_permanent(far: Far, sender: DiscordSender) -> None:
    with pytest.raises(PermanentError, match=r"club:123: .*10003"):
        await sender.send(outbound(ChannelRef("club", "123")))
    with pytest.raises(PermanentError, match="50006"):
        await sender.send(outbound(far.channel("help"), ""))


async def test_a_rate_limit_names_its_seconds_at_once(far: Far, sender: DiscordSender) -> None:
    await far.remote.fault(CREATE, "ratelimit", seconds=7.5)
    with pytest.raises(RateLimitedError) as caught:
        await sender.send(outbound(far.channel("help")))
    assert caught.value.retry_after == pytest.approx(7.5)
    assert caught.value.scope == "lane"
    await sender.send(outbound(far.channel("general")))


@pytest.mark.parametrize(
    ("kind", "arrived"), [("status", 0), ("status_after", 1), ("drop_before", 0), ("drop_after", 1)]
)
async def test_a_failure_after_the_request_left_is_unknown_and_the_key_mends_it(
    far: Far, sender: DiscordSender, kind: str, arrived: int
) -> None:
    await sender.send(outbound(far.channel("general")))
    await far.remote.fault(CREATE, kind, status=502)
    with pytest.raises(UnknownOutcomeError):
        await sender.send(outbound(far.channel("help"), key="k2"))
    assert len(await far.remote.messages("help")) == arrived
    await sender.send(outbound(far.channel("help"), key="k2"))
    assert len(await far.remote.messages("help")) == 1


async def test_a_failure_before_the_message_is_tried_can_be_tried_again(
    far: Far, sender: DiscordSender
) -> None:
    await far.remote.fault("GET /users/@me", "status", status=503)
    with pytest.raises(RetryableError):
        await sender.send(outbound(far.channel("help")))
    await sender.send(outbound(far.channel("help")))


async def test_a_call_without_an_answer_is_cut(
    far: Far, sender: DiscordSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sender.send(outbound(far.channel("general")))
    monkeypatch.setattr("adapters.discord.sender.CUT_SECONDS", 0.1)
    await far.remote.fault(CREATE, "latency", seconds=1.0)
    with pytest.raises(UnknownOutcomeError, match="no answer in time"):
        await sender.send(outbound(far.channel("help"), key="k2"))


async def test_a_message_that_was_deleted_meanwhile_counts_as_sent(
    far: Far, sender: DiscordSender
) -> None:
    receipt = await sender.send(outbound(far.channel("help")))
    await far.remote.act("delete", message=receipt.native_id)
    again = await sender.send(outbound(far.channel("help")))
    assert (again.native_id, again.position) == ("", 0)
    assert [one.deleted for one in await far.remote.messages("help")] == [True]


async def test_a_channels_limit_is_known_before_it_is_broken() -> None:
    async with far_side(limits=True) as side, AsyncExitStack() as stack:
        sender = DiscordSender("club", side.settings)
        stack.push_async_callback(sender.close)
        for n in range(5):
            await sender.send(outbound(side.channel("help"), key=f"k{n}"))
        with pytest.raises(RateLimitedError, match="used up") as caught:
            await sender.send(outbound(side.channel("help"), key="k5"))
        assert 3 < caught.value.retry_after <= 5
        await sender.send(outbound(side.channel("general"), key="k6"))


async def test_two_accounts_on_two_hosts_live_in_one_process() -> None:
    async with far_side() as one, far_side() as two, AsyncExitStack() as stack:
        for name, side in (("one", one), ("two", two)):
            heard = Heard()
            listener = DiscordListener(name, side.settings)
            await stack.enter_async_context(listening(listener, heard.receive))
            await heard.ready()
            sender = DiscordSender(name, side.settings)
            stack.push_async_callback(sender.close)
            await sender.send(outbound(side.channel("help"), f"from {name}"))
            echo = await heard.posted(f"from {name}")
            assert (echo.channel.account, echo.by_bot) == (name, True)
        assert [seen.text for seen in await one.remote.messages("help")] == ["from one"]
        assert [seen.text for seen in await two.remote.messages("help")] == ["from two"]


async def test_closing_twice_is_safe_and_what_is_closed_opens_again(
    far: Far, sender: DiscordSender
) -> None:
    await sender.close()
    await sender.send(outbound(far.channel("help"), "a", "k1"))
    await sender.close()
    await sender.close()
    document = (Paragraph((Moment(datetime(2026, 1, 1, tzinfo=UTC), "then"),)),)
    await sender.send(Outbound(far.channel("help"), "k2", document))


# -- who and where


async def test_the_directory_knows_who_we_are_and_what_there_is(far: Far) -> None:
    directory = load("discord").directory("club", far.settings)
    try:
        identity = await directory.identify()
        assert identity.person == far.standin.workspace.app.id
        assert identity.workspace
        entries = await directory.entries()
        assert ChannelNamed(far.channel("general"), "general") in entries
        assert ChannelNamed(far.channel("secret"), "secret", private=True) in entries
        assert far.person("ada") in {one.person for one in entries if isinstance(one, PersonNamed)}
    finally:
        await directory.close()
        await directory.close()


async def test_a_directory_without_the_right_to_list_people_lists_channels(far: Far) -> None:
    await far.remote.act("privileged", intents=0)
    await far.remote.fault("GET /guilds/*/members", "status", status=403)
    directory = DiscordDirectory("club", far.settings)
    try:
        entries = await directory.entries()
    finally:
        await directory.close()
    assert entries
    assert all(isinstance(one, ChannelNamed) for one in entries)


async def test_a_server_that_is_not_there_is_told_with_those_that_are(far: Far) -> None:
    settings = far.settings.model_copy(update={"guild": "Elsewhere"})
    directory = DiscordDirectory("club", settings)
    try:
        with pytest.raises(ConfigError, match=r"accounts\.club\.guild: .*it is in "):
            await directory.identify()
    finally:
        await directory.close()
