"""What every platform's adapter must do, against its own stand-in; a new folder is tested as is."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters import load, names
from adapters.standin import Remote
from bridge.errors import (
    ConfigError,
    PermanentError,
    RateLimitedError,
    RetryableError,
    SendError,
    StoreError,
    UnknownOutcomeError,
)
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Event,
    Identity,
    Outbound,
    PersonNamed,
    Posted,
    Reacted,
)
from bridge.richtext import Heading, Link, Note, Paragraph, Text

PATIENCE = 15.0
NASTY = (
    "@everyone <!channel> <!here> <@U0000001> <@123456789012345678> <#1> *b* _i_ ~s~ `c` ```x``` "
    "[a](http://x.example) <http://y.example|z> & > quote\n> q\n# h\n- l\n||s|| :smile: <t:1:R>"
)


@dataclass
class Far:
    """One platform's stand-in with an account on it, and what its listener has handed on."""

    name: str
    remote: Remote
    standin: Any
    settings: Any
    adapter: Any
    events: list[Event] = field(default_factory=list)
    refuse: int = 0
    channels: dict[str, str] = field(default_factory=dict)

    async def receive(self, event: Event) -> None:
        await asyncio.sleep(0)
        if self.refuse and isinstance(event, Posted):
            self.refuse -= 1
            raise StoreError("not now")
        self.events.append(event)

    async def wait_for(self, fits: Callable[[Event], bool]) -> Any:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for event in self.events:
                if fits(event):
                    return event
            await asyncio.sleep(0.01)
        raise AssertionError(f"not seen among {self.events[-5:]}")

    async def posted(self, native_id: str) -> Posted:
        return await self.wait_for(lambda e: isinstance(e, Posted) and e.native_id == native_id)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """A listener under the simplest of supervisors."""

        async def supervised() -> None:
            while True:
                with suppress(Exception):
                    await self.adapter.listener("acme", self.settings).listen(self.receive)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(supervised())
        try:
            end = time.monotonic() + PATIENCE
            while not any(isinstance(event, Posted) for event in self.events):
                assert time.monotonic() < end, "the listener does not hear"
                await self.remote.post("ada", "general", "are you there")
                await asyncio.sleep(0.1)
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def message(self, key: str, *blocks: Any, **fields: Any) -> Outbound:
        channel = ChannelRef("acme", fields.pop("to", None) or self.channels["oncall"])
        return Outbound(channel, key, blocks or (Paragraph((Text(f"hello {key}"),)),), **fields)


@pytest.fixture(params=names())
async def far(request: pytest.FixtureRequest) -> AsyncIterator[Far]:
    adapter = load(request.param)
    standin = await adapter.standin(limits=False)
    try:
        async with Remote(standin.url) as remote:
            settings = adapter.settings.model_validate(standin.account())
            made = Far(request.param, remote, standin, settings, adapter)
            directory = adapter.directory("acme", settings)
            entries = await directory.entries()
            await directory.close()
            made.channels = {e.name: e.channel.id for e in entries if isinstance(e, ChannelNamed)}
            yield made
    finally:
        await standin.stop()


async def test_the_directory_knows_us_the_channels_and_the_people(far: Far) -> None:
    directory = far.adapter.directory("acme", far.settings)
    identity, entries = await directory.identify(), await directory.entries()
    await directory.close()
    assert isinstance(identity, Identity)
    assert identity.person
    assert {"general", "help", "secret"} <= far.channels.keys()
    private = {e.name: e.private for e in entries if isinstance(e, ChannelNamed)}
    assert private["secret"]
    assert not private["general"]
    assert {"ada", "grace"} <= {e.name for e in entries if isinstance(e, PersonNamed)}


async def test_a_wrong_token_is_permanent_and_not_shown(far: Far) -> None:
    fields = far.standin.account()
    token = next(key for key in fields if key.endswith("token") and "app" not in key)
    fields[token] = fields[token][:5] + "wrong-0000000"
    directory = far.adapter.directory("acme", far.adapter.settings.model_validate(fields))
    with pytest.raises(PermanentError) as caught:
        await directory.identify()
    await directory.close()
    assert "wrong-0000000" not in str(caught.value)


async def test_everything_people_do_arrives(far: Far) -> None:
    async with far.listening():
        root = await far.remote.post(
            "ada", "help", "How do I do *this*, @grace? http://x.example/a"
        )
        post = await far.posted(root)
        assert post.channel == ChannelRef("acme", far.channels["help"])
        assert (post.author_name, post.by_bot, post.private, post.thread) == (
            "ada",
            False,
            False,
            "",
        )
        assert "@grace" in post.text
        assert len(post.mentions) == 1
        assert post.links == ("http://x.example/a",)
        assert post.link.startswith("https://")
        assert abs(post.sent_at.timestamp() - time.time()) < PATIENCE

        reply = await far.posted(await far.remote.post("grace", "help", "So.", thread=root))
        assert (reply.thread, reply.channel) == (root, post.channel)
        assert reply.position > post.position
        assert reply.author in post.mentions

        await far.remote.act("edit", person="ada", channel="help", message=root, text="Solved.")
        edit = await far.wait_for(lambda e: isinstance(e, Edited) and e.message.native_id == root)
        assert edit.message.text == "Solved."

        for act, added in (("react", True), ("unreact", False)):
            tick = {"channel": "help", "message": root, "emoji": "white_check_mark"}
            await far.remote.act(act, person="grace", **tick)
            seen = await far.wait_for(
                lambda e, added=added: isinstance(e, Reacted) and e.added is added
            )
            assert (seen.emoji, seen.native_id, seen.person) == (
                "white_check_mark",
                root,
                reply.author,
            )

        second = await far.remote.post("linus", "help", "Oops")
        await far.remote.act("delete", person="linus", channel="help", message=second)
        gone = await far.wait_for(lambda e: isinstance(e, Deleted) and e.native_id == second)
        assert gone.channel == post.channel


async def test_a_private_channel_is_told_apart(far: Far) -> None:
    async with far.listening():
        assert (await far.posted(await far.remote.post("ada", "secret", "psst"))).private


async def test_our_own_messages_arrive_under_our_own_name(far: Far) -> None:
    directory, sender = (
        far.adapter.directory("acme", far.settings),
        far.adapter.sender("acme", far.settings),
    )
    identity = await directory.identify()
    async with far.listening():
        receipt = await sender.send(far.message("own", to=far.channels["general"]))
        assert (await far.posted(receipt.native_id)).author == identity.person
    await sender.close()
    await directory.close()


async def test_what_could_not_be_stored_is_not_acknowledged(far: Far) -> None:
    """It comes again by itself, or the listener ends so that whoever runs it reads it up."""
    async with far.listening():
        far.refuse = 1
        missed = await far.remote.post("ada", "help", "first")
        later = await far.remote.post("ada", "help", "second")
        end = time.monotonic() + PATIENCE
        while far.refuse and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert far.refuse == 0
        assert not any(isinstance(e, Posted) and e.native_id == missed for e in far.events[:1])
        assert later


async def test_a_receipt_names_the_message_that_is_there(far: Far) -> None:
    sender = far.adapter.sender("acme", far.settings)
    receipt = await sender.send(far.message("k1"))
    await sender.close()
    [seen] = await far.remote.messages("oncall")
    assert (seen.id, seen.by_app) == (receipt.native_id, True)
    assert seen.text.strip() == "hello k1"
    assert receipt.position > 0


async def test_a_card_and_direct_messages_arrive(far: Far) -> None:
    sender = far.adapter.sender("acme", far.settings)
    blocks = (
        Heading("News"),
        Paragraph((Text("ten", bold=True), Link("http://x.example", "more"))),
    )
    await sender.send(far.message("k2", *blocks, Note((Text("small"),)), card=True))
    directory = far.adapter.directory("acme", far.settings)
    people = [e for e in await directory.entries() if isinstance(e, PersonNamed)]
    ada = next(one.person for one in people if one.name == "ada")
    await sender.send(far.message("k3", to=f"dm:{ada}"))
    await sender.close()
    await directory.close()
    [card] = await far.remote.messages("oncall")
    assert {"News", "ten"} <= set(card.text.replace("more", " ").split())
    [direct] = await far.remote.messages("dm:ada")
    assert "hello k3" in direct.text


@pytest.mark.parametrize("card", [False, True])
async def test_quoted_text_is_inert_and_whole(far: Far, card: bool) -> None:
    sender = far.adapter.sender("acme", far.settings)
    await sender.send(far.message("k4", Paragraph((Text(NASTY),)), card=card))
    await sender.close()
    [seen] = await far.remote.messages("oncall")
    assert not seen.raw.get("pinged")
    words = seen.text.replace("\u200b", "").replace("\\", "").split()
    for word in ("@everyone", "<!channel>", "<@U0000001>", "*b*", "`c`", "||s||", "&"):
        assert word in words, (word, seen.text)


@pytest.mark.parametrize(
    "text",
    [
        "?",
        "x" * 40_000,
        "\0\ud800 odd",
        "\U0001f469\u200d\U0001f467" * 3000,
        "*" * 5000,
        "e\u0301\u0302" * 4000,
    ],
    ids=["short", "long", "odd", "families", "markup", "marks"],
)
async def test_any_text_is_sent_within_the_limits(far: Far, text: str) -> None:
    sender = far.adapter.sender("acme", far.settings)
    for card in (False, True):
        await sender.send(far.message(f"k5{card}", Paragraph((Text(text),)), card=card))
    await sender.close()
    assert len(await far.remote.messages("oncall")) == 2


@pytest.mark.parametrize(
    ("fault", "error", "there"),
    [
        ({"kind": "status", "status": 500}, UnknownOutcomeError, 0),
        ({"kind": "status", "status": 503}, UnknownOutcomeError, 0),
        ({"kind": "status_after", "status": 502}, UnknownOutcomeError, 1),
        ({"kind": "drop_before"}, UnknownOutcomeError, 0),
        ({"kind": "drop_after"}, UnknownOutcomeError, 1),
        ({"kind": "ratelimit", "seconds": 7}, RateLimitedError, 0),
    ],
    ids=lambda value: value.get("kind", "") if isinstance(value, dict) else None,
)
async def test_every_failure_has_its_meaning(
    far: Far, fault: dict[str, Any], error: type[SendError], there: int
) -> None:
    sender = far.adapter.sender("acme", far.settings)
    await sender.send(far.message("warm", to=far.channels["general"]))
    await far.remote.fault("*postMessage" if far.name == "slack" else "POST */messages", **fault)
    with pytest.raises(error) as caught:
        await sender.send(far.message("k6"))
    if isinstance(caught.value, RateLimitedError):
        assert 6 <= caught.value.retry_after <= 9
    await sender.close()
    assert len(await far.remote.messages("oncall")) == there


async def test_a_channel_that_is_not_there_is_permanent(far: Far) -> None:
    sender = far.adapter.sender("acme", far.settings)
    with pytest.raises(PermanentError):
        await sender.send(far.message("k7", to="123456789012345678"))
    await sender.close()


async def test_a_platform_that_is_away_refuses_before_anything_happened(far: Far) -> None:
    await far.standin.stop()
    sender = far.adapter.sender("acme", far.settings)
    with pytest.raises(RetryableError):
        await sender.send(far.message("k8"))
    await sender.close()


def test_settings_refuse_what_they_do_not_know(far: Far) -> None:
    with pytest.raises(ValueError, match="colour"):
        far.adapter.settings.model_validate({**far.standin.account(), "colour": "red"})


def test_an_unknown_platform_names_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match="allowed: discord, slack"):
        load("irc")
