"""The Discord stand-in with the real discord.py: it must not notice a difference."""

import asyncio
import io
import warnings
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import yarl

from adapters.discord.standin import DiscordStandin, start
from adapters.discord.standin.gateway import intents as bits
from adapters.standin import Fault

with warnings.catch_warnings():
    # On Python 3.11 and 3.12 the SDK imports audioop, which is deprecated there.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord
    from discord.gateway import DiscordWebSocket
    from discord.http import Route

INTENTS = discord.Intents(
    guilds=True,
    members=True,
    messages=True,
    reactions=True,
    message_content=True,
)
WAIT = 5.0


class Watcher(discord.Client):
    """A client that queues what it is told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(guild_ready_timeout=0.02, **options)
        self.told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        super().dispatch(event, *args, **kwargs)
        self.told.put_nowait((event, args[0] if args else None))

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The SDK waits 5 seconds here before it identifies again."""

    async def next(self, event: str) -> Any:
        """The next event of that name."""
        async with asyncio.timeout(WAIT):
            while True:
                name, value = await self.told.get()
                if name == event:
                    return value


@pytest.fixture
async def standin(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordStandin]:
    found = await start(limits=False)
    monkeypatch.setattr(Route, "BASE", found.account()["api_url"])
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(found.gateway.url))
    yield found
    await found.stop()


@pytest.fixture
async def sender(standin: DiscordStandin) -> AsyncIterator[discord.Client]:
    client = discord.Client(intents=discord.Intents.none(), max_ratelimit_timeout=30)
    await client.login(standin.workspace.token)
    yield client
    await client.close()


@pytest.fixture
async def watcher(standin: DiscordStandin) -> AsyncIterator[Watcher]:
    client = Watcher(intents=INTENTS)
    running = asyncio.create_task(client.start(standin.workspace.token))
    await client.next("ready")
    yield client
    await client.close()
    await running


def place(client: discord.Client, standin: DiscordStandin, name: str) -> Any:
    return client.get_partial_messageable(int(standin.workspace.channel(name).id))


async def post(standin: DiscordStandin, text: str, **more: Any) -> str:
    act = {"do": "post", "person": "ada", "channel": "help", "text": text, **more}
    return str((await standin.act(act))["id"])


# ---- REST only


async def test_the_sdk_logs_in_and_sends(standin: DiscordStandin, sender: discord.Client) -> None:
    assert sender.user
    assert sender.user.name == "chatbridge"
    message = await place(sender, standin, "help").send("hello", nonce="key-1")
    again = await place(sender, standin, "help").send("hello", nonce="key-1")
    assert message.id == again.id
    assert [one.text for one in standin.seen("help")] == ["hello"]


async def test_the_sdk_sends_embeds_edits_and_deletes(
    standin: DiscordStandin, sender: discord.Client
) -> None:
    embed = discord.Embed(title="Digest", description="**two** things", colour=0x00FF00)
    embed.add_field(name="one", value="a")
    embed.set_footer(text="that is all")
    message = await place(sender, standin, "digest").send("", embed=embed)
    assert standin.seen("digest")[0].text == "Digest\ntwo things\none\na\nthat is all"
    await message.edit(content="changed", embed=None)
    assert standin.seen("digest")[0].text == "changed"
    await message.delete()
    assert standin.seen("digest")[0].deleted


async def test_the_sdk_uploads_files(standin: DiscordStandin, sender: discord.Client) -> None:
    file = discord.File(io.BytesIO(b"words"), filename="notes.txt")
    message = await place(sender, standin, "help").send("see", file=file)
    assert await message.attachments[0].read() == b"words"


async def test_the_sdk_reads_history_in_order(
    standin: DiscordStandin, sender: discord.Client
) -> None:
    ids = [int(await post(standin, str(n))) for n in range(120)]
    channel = place(sender, standin, "help")
    after = discord.Object(ids[4])
    found = [one.id async for one in channel.history(after=after, limit=None, oldest_first=True)]
    assert found == ids[5:]


async def test_the_sdk_reads_channels_members_and_threads(
    standin: DiscordStandin, sender: discord.Client
) -> None:
    root = await post(standin, "root")
    await post(standin, "inside", thread=root)
    guild = await sender.fetch_guild(int(standin.workspace.guild_id))
    channels = {one.name: one for one in await guild.fetch_channels()}
    assert set(channels) >= {"general", "secret"}
    members = await sender.http.get_members(guild.id, 1000, None)
    assert [one["user"]["username"] for one in members][:2] == ["chatbridge", "ada"]
    assert [one.id for one in await guild.active_threads()] == [int(root)]
    thread = await sender.fetch_channel(int(root))
    assert isinstance(thread, discord.Thread)
    user = await sender.fetch_user(int(standin.workspace.person("ada").id))
    await user.send("psst")
    assert standin.seen("dm:ada")[0].text == "psst"


async def test_the_sdk_raises_its_own_errors(
    standin: DiscordStandin, sender: discord.Client
) -> None:
    channel = place(sender, standin, "help")
    with pytest.raises(discord.HTTPException, match="2000 or fewer") as error:
        await channel.send("x" * 2001)
    assert error.value.code == 50035
    with pytest.raises(discord.NotFound):
        await channel.fetch_message(1)
    standin.deeds.add_channel("vault", denied=1 << 10)
    with pytest.raises(discord.Forbidden):
        await place(sender, standin, "vault").send("x")
    async with discord.Client(intents=discord.Intents.none()) as stranger:
        with pytest.raises(discord.LoginFailure):
            await stranger.login("nonsense")


async def test_the_sdk_waits_out_a_short_limit_and_raises_a_long_one(
    standin: DiscordStandin, sender: discord.Client
) -> None:
    standin.faults.add(Fault("POST /channels/*/messages", "ratelimit", seconds=0.02))
    await place(sender, standin, "help").send("after a while")
    standin.faults.add(Fault("POST /channels/*/messages", "ratelimit", seconds=60))
    with pytest.raises(discord.RateLimited) as error:
        await place(sender, standin, "help").send("too long")
    assert error.value.retry_after == 60


async def test_a_lost_response_is_no_error_of_the_sdk(
    standin: DiscordStandin, sender: discord.Client
) -> None:
    standin.faults.add(Fault("POST /channels/*/messages", "drop_after"))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await place(sender, standin, "help").send("there", nonce="key-1")
    await place(sender, standin, "help").send("there", nonce="key-1")
    assert len(standin.seen("help")) == 1


async def test_many_sends_at_once_all_arrive(
    standin: DiscordStandin, sender: discord.Client
) -> None:
    channel = place(sender, standin, "help")
    await asyncio.gather(*(channel.send(str(n)) for n in range(100)))
    assert len(standin.seen("help")) == 100


# ---- with the gateway


async def test_the_sdk_hears_posts_edits_deletes_and_reactions(
    standin: DiscordStandin, watcher: Watcher
) -> None:
    native_id = await post(standin, "hi @grace, see #general")
    message = await watcher.next("message")
    assert message.clean_content == "hi @grace, see #general"
    assert (message.author.name, message.channel.name) == ("ada", "help")
    assert [one.name for one in message.mentions] == ["grace"]
    await standin.act({"do": "edit", "message": native_id, "text": "changed"})
    assert (await watcher.next("raw_message_edit")).data["content"] == "changed"
    await standin.act({"do": "react", "person": "linus", "message": native_id, "emoji": "tada"})
    assert str((await watcher.next("raw_reaction_add")).emoji) == "🎉"
    await standin.act({"do": "unreact", "person": "linus", "message": native_id, "emoji": "tada"})
    await watcher.next("raw_reaction_remove")
    await standin.act({"do": "delete", "message": native_id})
    assert (await watcher.next("raw_message_delete")).message_id == int(native_id)


async def test_the_sdk_knows_members_private_channels_and_itself(
    standin: DiscordStandin, watcher: Watcher
) -> None:
    guild = watcher.guilds[0]
    assert {one.name for one in guild.members} >= {"ada", "chatbridge"}
    secret = discord.utils.get(guild.text_channels, name="secret")
    assert secret
    assert not secret.permissions_for(guild.default_role).view_channel
    assert secret.permissions_for(guild.me).view_channel
    sent = await secret.send("own")
    assert (await watcher.next("message")).id == sent.id
    await standin.act({"do": "person", "person": "barbara"})
    assert (await watcher.next("member_join")).name == "barbara"
    await standin.act({"do": "channel", "channel": "new"})
    assert (await watcher.next("guild_channel_create")).name == "new"


async def test_the_sdk_follows_threads(standin: DiscordStandin, watcher: Watcher) -> None:
    root = await post(standin, "root")
    await post(standin, "inside", thread=root)
    thread = await watcher.next("thread_create")
    assert (thread.id, thread.parent.name) == (int(root), "help")
    await thread.send("me too")
    texts = [(await watcher.next("message")).content for _ in range(3)]
    assert texts == ["", "inside", "me too"]


@pytest.mark.parametrize("how", ["close", "abort", "reconnect"])
async def test_the_sdk_resumes_and_misses_nothing(
    standin: DiscordStandin, watcher: Watcher, how: str
) -> None:
    await standin.disconnect(how)
    await post(standin, "missed")
    assert (await watcher.next("message")).content == "missed"
    await watcher.next("resumed")


async def test_the_sdk_starts_afresh_when_it_cannot_resume(
    standin: DiscordStandin, watcher: Watcher
) -> None:
    await standin.disconnect("fresh")
    await post(standin, "lost")
    await watcher.next("ready")
    await post(standin, "new")
    assert (await watcher.next("message")).content == "new"


async def test_the_sdk_is_told_of_an_intent_that_is_not_switched_on(
    standin: DiscordStandin,
) -> None:
    standin.gateway.privileged = bits.GUILD_MEMBERS
    client = Watcher(intents=INTENTS)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await client.start(standin.workspace.token)
    await client.close()


async def test_events_that_have_no_meaning_here_can_be_made_up(
    standin: DiscordStandin, watcher: Watcher
) -> None:
    guild_id = standin.workspace.guild_id
    await standin.act({"do": "raw", "t": "GUILD_DELETE", "d": {"id": guild_id}})
    assert (await watcher.next("guild_remove")).id == int(guild_id)
