"""When a listener tells of a gap, and what the sender knows of Discord's limits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from adapters.discord.invalid import InvalidRequests
from adapters.discord.listener import DiscordListener
from adapters.discord.sender import DiscordSender
from adapters.discord.snowflakes import position_at
from bridge.errors import PermanentError, RateLimitedError, RetryableError, StoreError
from bridge.messages import Event, Gap, Posted
from tests.contract.test_discord_adapter import Far, Heard, far_side, listening, outbound

PATIENCE = 5.0


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    async with far_side() as side:
        yield side


@pytest.fixture
async def sender(far: Far) -> AsyncIterator[DiscordSender]:
    made = DiscordSender("club", far.settings)
    yield made
    await made.close()


# -- gaps


@pytest.mark.parametrize("how", ["close", "abort", "reconnect"])
async def test_a_listener_tells_of_a_gap_once_and_not_after_a_resume(far: Far, how: str) -> None:
    heard, before = Heard(), datetime.now(UTC)
    async with listening(DiscordListener("club", far.settings), heard.receive):
        await heard.ready()
        gap = heard.events[0]
        assert isinstance(gap, Gap)
        assert before <= gap.at <= datetime.now(UTC)
        assert gap.position == position_at(gap.at)
        await far.remote.disconnect(how)
        await far.remote.post("ada", "help", "meanwhile")
        posted = await heard.posted("meanwhile")
        assert posted.position > gap.position
    assert sum(isinstance(event, Gap) for event in heard.events) == 1


async def test_a_session_begun_anew_tells_of_a_gap_first(far: Far) -> None:
    heard = Heard()
    listener = DiscordListener("club", far.settings)
    async with listening(listener, heard.receive) as task:
        await heard.ready()
        await far.remote.disconnect("fresh")
        with pytest.raises(RetryableError):
            await asyncio.wait_for(task, PATIENCE)
    missed = await far.remote.post("ada", "help", "nobody listens")
    heard.events.clear()
    async with listening(listener, heard.receive):
        await heard.ready()
        gap = heard.events[0]
        assert isinstance(gap, Gap)
        assert gap.position > int(missed)


async def test_what_is_heard_while_a_gap_is_stored_is_handed_over_after_it(far: Far) -> None:
    entered, stored, commit = asyncio.Event(), Heard(), asyncio.Event()

    async def receive(event: Event) -> None:
        if isinstance(event, Gap):
            entered.set()
            await commit.wait()
        await stored.receive(event)

    async with listening(DiscordListener("club", far.settings), receive):
        await asyncio.wait_for(entered.wait(), PATIENCE)
        for n in range(5):
            await far.remote.post("ada", "help", str(n))
        assert stored.events == []
        commit.set()
        await stored.posted("4")
    assert isinstance(stored.events[0], Gap)
    posts = [event.text for event in stored.events if isinstance(event, Posted)]
    assert posts == [str(n) for n in range(5)]


async def test_a_gap_that_was_not_stored_ends_the_listener(far: Far) -> None:
    heard = Heard(failing=True)
    async with listening(DiscordListener("club", far.settings), heard.receive) as task:
        with pytest.raises(StoreError, match="the disk is full"):
            await asyncio.wait_for(task, PATIENCE)
    assert heard.events == []


# -- limits


def test_the_limits_of_an_account_are_told(far: Far) -> None:
    limits = DiscordSender("club", far.settings).limits
    assert (limits.lane_seconds, limits.account_rate, limits.remembers_seconds) == (0, 45, 60)


async def test_a_limit_of_everything_is_the_accounts(far: Far, sender: DiscordSender) -> None:
    await sender.send(outbound(far.channel("general")))
    far.standin.knobs.limits = True
    names = ("general", "help", "oncall", "digest", "bridge-admin")
    sends = [
        sender.send(outbound(far.channel(name), key=f"{name}{n}"))
        for n in range(12)
        for name in names
    ]
    found = await asyncio.gather(*sends, return_exceptions=True)
    scopes = {one.scope for one in found if isinstance(one, RateLimitedError)}
    assert "account" in scopes


async def test_after_too_many_refusals_nothing_leaves_any_more(
    far: Far, sender: DiscordSender
) -> None:
    sender._rest._invalid = InvalidRequests(most=3)
    await sender.send(outbound(far.channel("general")))
    await far.remote.act("channel", channel="secret", denied=1 << 10)
    for _ in range(3):
        with pytest.raises(PermanentError, match="50001"):
            await sender.send(outbound(far.channel("secret"), key="k2"))
    with pytest.raises(RateLimitedError, match="would ban us") as caught:
        await sender.send(outbound(far.channel("general"), key="k3"))
    assert caught.value.scope == "account"
    assert 590 < caught.value.retry_after <= 600
    assert len(await far.remote.messages("general")) == 1
