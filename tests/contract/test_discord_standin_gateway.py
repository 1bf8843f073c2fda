"""The Discord stand-in's gateway, spoken to frame by frame."""

import importlib.util
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.discord.standin import DiscordStandin, start
from adapters.discord.standin.gateway import intents
from adapters.standin import JsonDict

SPEC = Path(__file__).resolve().parents[2] / ".." / "shared" / "spec" / "validate_discord.py"
ALL = (1 << 16) - 1 & ~intents.GUILD_PRESENCES


def schema_errors() -> Callable[[str, Any], list[str]]:
    """The spec's validator of components; where the spec is absent it finds nothing."""
    if not SPEC.parents[1].is_dir():
        return lambda *_: []
    found = importlib.util.spec_from_file_location("validate_discord", SPEC)
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    errors: Callable[[str, Any], list[str]] = module.schema_errors
    return errors


ERRORS = schema_errors()


class Wire:
    """A bare gateway client."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, token: str) -> None:
        self.socket = socket
        self.token = token
        self.seq = 0
        self.unzip = zlib.decompressobj()

    async def frame(self) -> JsonDict:
        message = await self.socket.receive(timeout=5)
        if message.type is aiohttp.WSMsgType.BINARY:
            assert message.data.endswith(b"\x00\x00\xff\xff")
            found = json.loads(self.unzip.decompress(message.data))
        else:
            assert message.type is aiohttp.WSMsgType.TEXT, message
            found = json.loads(message.data)
        self.seq = found["s"] or self.seq
        return dict(found)

    async def event(self, name: str) -> JsonDict:
        """The next event of that name; others before it are passed over."""
        while (found := await self.frame())["t"] != name:
            pass
        return dict(found["d"])

    async def say(self, op: int, data: Any = None) -> None:
        await self.socket.send_str(json.dumps({"op": op, "d": data}))

    async def identify(self, wanted: int = ALL, **more: Any) -> JsonDict:
        assert (await self.frame())["op"] == 10
        await self.say(2, {"token": self.token, "intents": wanted, "properties": {}, **more})
        return await self.event("READY")

    async def close_code(self) -> int:
        """The code the server closes with."""
        while (await self.socket.receive(timeout=5)).type in {
            aiohttp.WSMsgType.TEXT,
            aiohttp.WSMsgType.BINARY,
        }:
            pass
        return int(self.socket.close_code or 0)


Connect = Callable[..., Awaitable[Wire]]


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


async def post(standin: DiscordStandin, text: str = "hello", **more: Any) -> str:
    """Let ada post in #help."""
    act = {"do": "post", "person": "ada", "channel": "help", "text": text, **more}
    return str((await standin.act(act))["id"])


async def test_hello_identify_ready_and_the_guild(
    connect: Connect, standin: DiscordStandin
) -> None:
    wire = await connect()
    ready = await wire.identify()
    guild = await wire.event("GUILD_CREATE")
    assert ready["guilds"] == [{"id": guild["id"], "unavailable": True}]
    assert ready["resume_gateway_url"] == standin.gateway.url
    assert [one["name"] for one in guild["channels"]][:2] == ["general", "help"]
    assert [one["user"]["username"] for one in guild["members"]] == ["chatbridge"]
    assert guild["member_count"] == 6
    assert guild["roles"][0]["id"] == guild["id"]
    assert ERRORS("UserPIIResponse", ready["user"]) == []
    assert ERRORS("GuildResponse", guild) == []
    assert [ERRORS("GuildMemberResponse", one) for one in guild["members"]] == [[]]
    for channel in guild["channels"]:
        assert ERRORS("GuildChannelResponse", channel) == []


@pytest.mark.parametrize("query", ["v=10&compress=zlib-stream", "v=10&compress=zstd-stream", ""])
async def test_compression_is_honoured_or_left_out(
    connect: Connect, standin: DiscordStandin, query: str
) -> None:
    wire = await connect(query)
    await wire.identify()
    await post(standin, "squeezed \ud83d")
    assert (await wire.event("MESSAGE_CREATE"))["content"] == "squeezed \ud83d"


async def test_a_heartbeat_is_answered_even_before_identify(connect: Connect) -> None:
    wire = await connect()
    await wire.say(1, None)
    assert [(await wire.frame())["op"] for _ in range(2)] == [10, 11]


async def test_everything_that_happens_is_told(connect: Connect, standin: DiscordStandin) -> None:
    wire = await connect()
    await wire.identify()
    root = await post(standin, "root @grace")
    told = await wire.event("MESSAGE_CREATE")
    assert told["guild_id"] == standin.workspace.guild_id
    assert told["member"]["nick"] is None
    assert "user" not in told["member"]
    assert [one["username"] for one in told["mentions"]] == ["grace"]
    assert ERRORS("MessageResponse", told) == []

    await standin.act({"do": "edit", "person": "ada", "message": root, "text": "changed"})
    told = await wire.event("MESSAGE_UPDATE")
    assert (told["content"], told["id"]) == ("changed", root)
    assert ERRORS("MessageResponse", told) == []

    for what, name in (("react", "ADD"), ("unreact", "REMOVE")):
        await standin.act({"do": what, "person": "grace", "message": root, "emoji": "+1"})
        told = await wire.event(f"MESSAGE_REACTION_{name}")
        assert (told["emoji"], told["message_id"]) == ({"id": None, "name": "👍"}, root)

    reply = await post(standin, "inside", thread=root)
    told = await wire.event("THREAD_CREATE")
    assert (told["id"], told["newly_created"]) == (root, True)
    assert ERRORS("ThreadResponse", told) == []
    assert (await wire.event("MESSAGE_UPDATE"))["flags"] & 32
    assert (await wire.event("MESSAGE_CREATE"))["type"] == 21
    told = await wire.event("MESSAGE_CREATE")
    assert (told["id"], told["channel_id"]) == (reply, root)
    assert ERRORS("MessageResponse", told) == []

    await post(standin, "answer", reply_to=root)
    told = await wire.event("MESSAGE_CREATE")
    assert (told["type"], told["referenced_message"]["id"]) == (19, root)

    await standin.act({"do": "delete", "person": "ada", "message": root})
    place = {"channel_id": standin.workspace.channel("help").id, "guild_id": told["guild_id"]}
    assert await wire.event("MESSAGE_DELETE") == {"id": root, **place}

    await standin.act({"do": "channel", "channel": "new", "private": True})
    assert ERRORS("GuildChannelResponse", await wire.event("CHANNEL_CREATE")) == []
    await standin.act({"do": "person", "person": "barbara"})
    assert (await wire.event("GUILD_MEMBER_ADD"))["user"]["username"] == "barbara"
    await standin.act({"do": "raw", "t": "MADE_UP", "d": {"x": 1}})
    assert await wire.event("MADE_UP") == {"x": 1}


async def test_direct_messages_have_no_guild(connect: Connect, standin: DiscordStandin) -> None:
    wire = await connect()
    await wire.identify()
    await post(standin, "psst", channel="dm:ada")
    told = await wire.event("MESSAGE_CREATE")
    assert "guild_id" not in told
    assert "member" not in told
    assert told["channel_type"] == 1


async def test_a_hidden_channel_is_not_heard(connect: Connect, standin: DiscordStandin) -> None:
    wire = await connect()
    await wire.identify()
    standin.deeds.add_channel("vault", private=True, denied=1 << 10)
    await post(standin, "hidden", channel="vault")
    await post(standin, "open")
    assert (await wire.event("MESSAGE_CREATE"))["content"] == "open"


async def test_only_what_the_intents_ask_for_is_told(
    connect: Connect, standin: DiscordStandin
) -> None:
    wire = await connect()
    await wire.identify(intents.GUILD_MESSAGE_REACTIONS)
    message = await post(standin)
    await standin.act({"do": "react", "person": "ada", "message": message, "emoji": "eyes"})
    assert (await wire.frame())["t"] == "MESSAGE_REACTION_ADD"


async def test_without_the_content_intent_words_are_empty_but_for_mentions_and_direct_messages(
    connect: Connect, standin: DiscordStandin
) -> None:
    wire, sighted = await connect(), await connect()
    await wire.identify(ALL & ~intents.MESSAGE_CONTENT)
    await sighted.identify()
    for text, channel in (("plain", "help"), ("@chatbridge hi", "help"), ("psst", "dm:ada")):
        await post(standin, text, channel=channel)
    told = [(await wire.event("MESSAGE_CREATE"))["content"] for _ in range(3)]
    assert told == ["", f"<@{standin.workspace.app.id}> hi", "psst"]
    assert (await sighted.event("MESSAGE_CREATE"))["content"] == "plain"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"op": 2, "d": {"token": "wrong", "intents": 0}}, 4004),
        ({"op": 2, "d": {"token": "TOKEN", "intents": 1 << 40}}, 4013),
        ({"op": 2, "d": {"token": "TOKEN"}}, 4013),
        ({"op": 2, "d": {"token": "TOKEN", "intents": intents.GUILD_PRESENCES}}, 4014),
        ({"op": 2, "d": {"token": "TOKEN", "intents": 0, "shard": [2, 2]}}, 4010),
        ({"op": 2, "d": []}, 4002),
        ({"op": 6, "d": {"token": "wrong"}}, 4004),
        ({"op": 8, "d": {}}, 4003),
        ({"op": 77, "d": {}}, 4001),
        ({"op": 1, "d": "x" * 4096}, 4002),
    ],
)
async def test_what_is_not_allowed_closes_with_its_code(
    connect: Connect, standin: DiscordStandin, payload: JsonDict, code: int
) -> None:
    wire = await connect()
    text = json.dumps(payload).replace("TOKEN", standin.workspace.token)
    await wire.socket.send_str(text)
    assert await wire.close_code() == code


async def test_nonsense_closes_with_not_decoded(connect: Connect) -> None:
    wire = await connect()
    await wire.socket.send_str("{")
    assert await wire.close_code() == 4002


async def test_an_old_version_is_refused(connect: Connect) -> None:
    assert await (await connect("v=5")).close_code() == 4012


async def test_a_second_identify_closes_with_already_authenticated(connect: Connect) -> None:
    wire = await connect()
    await wire.identify()
    await wire.say(2, {"token": wire.token, "intents": 0})
    assert await wire.close_code() == 4005


async def test_a_disallowed_intent_can_be_allowed(
    connect: Connect, standin: DiscordStandin
) -> None:
    await standin.act({"do": "privileged", "intents": intents.PRIVILEGED})
    wire = await connect()
    ready = await wire.identify(ALL | intents.GUILD_PRESENCES)
    assert ready["application"]["flags"] == 1 << 13 | 1 << 15 | 1 << 19
    assert len((await wire.event("GUILD_CREATE"))["members"]) == 6


async def test_too_many_payloads_close_with_rate_limited(
    connect: Connect, standin: DiscordStandin
) -> None:
    standin.knobs.limits = True
    wire = await connect()
    for _ in range(121):
        await wire.say(1)
    assert await wire.close_code() == 4008


async def test_a_silent_client_times_out(connect: Connect, standin: DiscordStandin) -> None:
    standin.gateway.heartbeat_ms = 20
    assert await (await connect()).close_code() == 4009
