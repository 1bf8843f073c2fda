"""The Discord stand-in's sessions: cut, resumed, given up; and members and shards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from adapters.discord.standin import DiscordStandin, start
from tests.contract.test_discord_standin_gateway import ALL, ERRORS, Connect, Wire, post


@pytest.fixture
async def standin() -> AsyncIterator[DiscordStandin]:
    found = await start(limits=False)
    yield found
    await found.stop()


@pytest.fixture
async def connect(standin: DiscordStandin) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def open_one(query: str = "v=10&encoding=json") -> Wire:
            socket = session.ws_connect(f"{standin.gateway.url}?{query}")
            return Wire(await stack.enter_async_context(socket), standin.workspace.token)

        yield open_one


# ---- resuming


@pytest.mark.parametrize("how", ["close", "abort", "reconnect"])
async def test_what_was_missed_is_replayed_on_resume(
    connect: Connect, standin: DiscordStandin, how: str
) -> None:
    wire = await connect()
    ready = await wire.identify()
    await post(standin, "before")
    await wire.event("MESSAGE_CREATE")
    cut = asyncio.create_task(standin.disconnect(how))
    if how == "reconnect":
        assert (await wire.frame())["op"] == 7
    await wire.close_code()
    await cut
    missed = [await post(standin, f"missed {n}") for n in range(3)]
    again = await connect()
    await again.frame()
    resume = {"token": wire.token, "session_id": ready["session_id"], "seq": wire.seq}
    await again.say(6, resume)
    assert [(await again.event("MESSAGE_CREATE"))["id"] for _ in range(3)] == missed
    await again.event("RESUMED")
    live = await post(standin, "live")
    assert (await again.event("MESSAGE_CREATE"))["id"] == live


async def test_a_session_that_is_gone_cannot_be_resumed(
    connect: Connect, standin: DiscordStandin
) -> None:
    wire = await connect()
    ready = await wire.identify()
    cut = asyncio.create_task(standin.disconnect("fresh"))
    while (frame := await wire.frame())["op"] != 9:
        assert frame["op"] == 0
    assert frame["d"] is False
    await wire.close_code()
    await cut
    again = await connect()
    await again.frame()
    await again.say(6, {"token": wire.token, "session_id": ready["session_id"], "seq": wire.seq})
    assert await again.frame() == {"op": 9, "d": False, "s": None, "t": None}
    await again.say(2, {"token": wire.token, "intents": ALL})
    await again.event("READY")


async def test_a_client_that_says_goodbye_gives_its_session_up(
    connect: Connect, standin: DiscordStandin
) -> None:
    wire = await connect()
    await wire.identify()
    connection = next(iter(standin.hub._connections))
    await wire.socket.close(code=1000)
    await connection.closed.wait()
    assert not standin.hub.listened


async def test_a_resume_from_the_future_closes_with_invalid_seq(connect: Connect) -> None:
    wire = await connect()
    ready = await wire.identify()
    again = await connect()
    await again.say(6, {"token": wire.token, "session_id": ready["session_id"], "seq": 999})
    assert await again.close_code() == 4007


async def test_a_gap_beyond_the_buffer_cannot_be_resumed(
    connect: Connect, standin: DiscordStandin
) -> None:
    wire = await connect()
    ready = await wire.identify()
    session = standin.hub.find(ready["session_id"])
    assert session
    for _ in range(3):
        await post(standin)
    for _ in range(4):
        session.missed.popleft()
    again = await connect()
    await again.frame()
    await again.say(6, {"token": wire.token, "session_id": ready["session_id"], "seq": 1})
    assert (await again.frame())["op"] == 9


# ---- members and shards


async def test_members_are_told_on_request(connect: Connect, standin: DiscordStandin) -> None:
    wire = await connect()
    await wire.identify()
    ada = standin.workspace.person("ada").id
    ask = {"guild_id": standin.workspace.guild_id, "nonce": "n1"}
    await wire.say(8, {**ask, "query": "", "limit": 0})
    told = await wire.event("GUILD_MEMBERS_CHUNK")
    assert (len(told["members"]), told["chunk_count"], told["nonce"]) == (6, 1, "n1")
    await wire.say(8, {**ask, "user_ids": [ada, "1"]})
    told = await wire.event("GUILD_MEMBERS_CHUNK")
    assert [one["user"]["id"] for one in told["members"]] == [ada]
    assert told["not_found"] == ["1"]
    await wire.say(8, {**ask, "query": "ma", "limit": 5})
    told = await wire.event("GUILD_MEMBERS_CHUNK")
    assert [one["user"]["username"] for one in told["members"]] == ["margaret"]
    assert [ERRORS("GuildMemberResponse", one) for one in told["members"]] == [[]]


async def test_the_guild_is_on_one_shard_and_direct_messages_are_on_the_first(
    connect: Connect, standin: DiscordStandin
) -> None:
    shard = (int(standin.workspace.guild_id) >> 22) % 2
    with_guild, without = await connect(), await connect()
    assert (await with_guild.identify(shard=[shard, 2]))["guilds"]
    assert not (await without.identify(shard=[1 - shard, 2]))["guilds"]
    await post(standin, "guild")
    assert (await with_guild.event("MESSAGE_CREATE"))["content"] == "guild"
    await post(standin, "direct", channel="dm:ada")
    first = without if shard else with_guild
    assert (await first.event("MESSAGE_CREATE"))["content"] == "direct"
