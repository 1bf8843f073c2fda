"""The Discord stand-in from its control side: people act, watchers see."""

from collections.abc import AsyncIterator
from itertools import pairwise

import aiohttp
import pytest

from adapters.discord.standin import DiscordStandin, speech, start
from adapters.discord.standin.nonces import REMEMBERED, Nonces
from adapters.discord.standin.snowflakes import Snowflakes, seconds, stamp
from adapters.discord.standin.workspace import Message
from adapters.standin import CHANNELS, PEOPLE, PRIVATE_CHANNELS, JsonDict, Remote
from bridge.ports import Standin


@pytest.fixture
async def standin() -> AsyncIterator[DiscordStandin]:
    found = await start(limits=False)
    yield found
    await found.stop()


@pytest.fixture
async def remote(standin: DiscordStandin) -> AsyncIterator[Remote]:
    async with Remote(standin.url) as found:
        yield found


async def send(standin: DiscordStandin, channel: str, body: JsonDict) -> JsonDict:
    """Post as our app, over REST."""
    account = standin.account()
    native_id = standin.workspace.channel(channel).id
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bot {account['token']}"}) as session,
        session.post(f"{account['api_url']}/channels/{native_id}/messages", json=body) as answer,
    ):
        assert answer.status == 200
        return dict(await answer.json())


async def test_it_is_a_standin_on_the_loopback(standin: DiscordStandin) -> None:
    assert isinstance(standin, Standin)
    assert standin.url.startswith("http://127.0.0.1:")
    account = standin.account()
    assert set(account) == {"platform", "token", "api_url"}
    assert account["api_url"] == f"{standin.url}/api/v10"


async def test_it_can_be_stopped_twice_and_started_again_on_its_port() -> None:
    first = await start()
    await first.stop()
    await first.stop()
    second = await start(int(first.url.rsplit(":", 1)[1]))
    assert second.url == first.url
    assert second.knobs.limits
    await second.stop()


async def test_the_cast_is_there(standin: DiscordStandin) -> None:
    for name in PEOPLE:
        assert standin.workspace.person(name)
    for name in CHANNELS + PRIVATE_CHANNELS:
        assert standin.workspace.channel(name).private == (name in PRIVATE_CHANNELS)


async def test_people_post_edit_react_and_delete(remote: Remote) -> None:
    native_id = await remote.post("ada", "help", "Hi @grace, @nobody and @everyone in #general!")
    seen = (await remote.messages("help"))[0]
    assert seen.text == "Hi @grace, @nobody and @everyone in #general!"
    assert (seen.id, seen.author, seen.by_app, seen.channel) == (native_id, "ada", False, "help")
    assert seen.raw["pinged"] == ["grace", "everyone"]
    assert seen.raw["content"].startswith("Hi <@")
    assert seen.raw["mention_everyone"] is True
    await remote.act("react", person="linus", message=native_id, emoji="+1")
    await remote.act("react", person="grace", message=native_id, emoji="thumbsup")
    await remote.act("edit", person="ada", message=native_id, text="Bye")
    await remote.act("delete", person="ada", message=native_id)
    seen = (await remote.messages("help"))[0]
    assert (seen.text, seen.edited, seen.deleted) == ("Bye", True, True)
    assert seen.reactions == {"thumbsup": ["linus", "grace"]}


async def test_threads_and_replies_are_listed_under_their_channel(remote: Remote) -> None:
    root = await remote.post("ada", "help", "why?")
    inside = await remote.post("grace", "help", "because", thread=root)
    second = await remote.post("linus", "help", "and so on", thread=root)
    answer = await remote.post("grace", "help", "short answer", reply_to=root)
    found = {one.id: one for one in await remote.messages("help")}
    assert list(found) == [root, inside, second, answer]
    assert [one.thread for one in found.values()] == ["", root, root, ""]
    assert found[answer].raw["type"] == 19


async def test_the_journal_tells_what_people_and_the_app_do(
    remote: Remote, standin: DiscordStandin
) -> None:
    root = await remote.post("ada", "help", "why?")
    await remote.post("grace", "help", "because", thread=root)
    embed = {
        "title": "Digest",
        "description": f"by <@{standin.workspace.person('ada').id}>",
        "fields": [{"name": "n", "value": "v"}],
        "footer": {"text": "end"},
    }
    sent = await send(standin, "oncall", {"content": "see", "embeds": [embed]})
    await remote.act("edit", message=root, text="why not?")
    await remote.act("react", person="linus", message=root, emoji="eyes")
    await remote.act("unreact", person="linus", message=root, emoji="eyes")
    await remote.act("delete", message=root)
    found = await remote.happened()
    told = [(one["what"], one["channel"], one["author"], one["text"]) for one in found]
    assert told == [
        ("posted", "help", "ada", "why?"),
        ("posted", "help", "grace", "because"),
        ("posted", "oncall", "chatbridge", "see\nDigest\nby @ada\nn\nv\nend"),
        ("edited", "help", "ada", "why not?"),
        ("reacted", "help", "linus", "why not?"),
        ("unreacted", "help", "linus", "why not?"),
        ("deleted", "help", "ada", "why not?"),
    ]
    assert [one["by_app"] for one in found].index(True) == 2
    assert (found[1]["thread"], found[2]["id"]) == (root, sent["id"])
    assert found[4]["emoji"] == "eyes"
    assert len(await remote.happened(after=6)) == 1


async def test_direct_messages_go_by_the_persons_name(
    remote: Remote, standin: DiscordStandin
) -> None:
    await remote.post("ada", "dm:ada", "remind me")
    await send(standin, "dm:ada", {"content": "I will"})
    found = await remote.messages("dm:ada")
    assert [(one.author, one.channel) for one in found] == [
        ("ada", "dm:ada"),
        ("chatbridge", "dm:ada"),
    ]


async def test_channels_and_people_can_be_added(remote: Remote) -> None:
    await remote.act("channel", channel="war-room", private=True)
    await remote.act("person", person="barbara")
    await remote.post("barbara", "war-room", "hello")
    assert [one.author for one in await remote.messages("war-room")] == ["barbara"]


async def test_files_may_come_with_a_post(remote: Remote) -> None:
    await remote.post("ada", "help", "", files=["notes.pdf"])
    seen = (await remote.messages("help"))[0]
    assert [one["filename"] for one in seen.raw["attachments"]] == ["notes.pdf"]


@pytest.mark.parametrize(
    "act",
    [
        {"do": "dance"},
        {"do": "post", "person": "nobody", "channel": "help", "text": "x"},
        {"do": "post", "person": "ada", "channel": "nowhere", "text": "x"},
        {"do": "post", "person": "ada", "channel": "help", "text": " "},
        {"do": "post", "person": "ada", "channel": "help", "text": "x" * 4001},
        {"do": "post", "person": "ada", "channel": "help", "text": "x", "thread": "1"},
        {"do": "post", "person": "ada", "channel": "dm:nobody", "text": "x"},
        {"do": "edit", "message": "1", "text": "x"},
        {"do": "react", "person": "ada", "message": "1", "emoji": "eyes"},
        {"do": "channel", "channel": ""},
        {"do": "person", "person": ""},
    ],
)
async def test_what_makes_no_sense_is_refused(remote: Remote, act: JsonDict) -> None:
    with pytest.raises(ValueError, match="act"):
        await remote.act(**act)
    assert await remote.happened() == []


async def test_an_emoji_or_author_that_does_not_fit_is_refused(remote: Remote) -> None:
    native_id = await remote.post("ada", "help", "x")
    with pytest.raises(ValueError, match="no emoji"):
        await remote.act("react", person="ada", message=native_id, emoji="nonsense")
    with pytest.raises(ValueError, match="not by grace"):
        await remote.act("edit", person="grace", message=native_id, text="x")
    with pytest.raises(ValueError, match="nowhere"):
        await remote.messages("nowhere")


async def test_knobs_and_faults_are_reached_from_outside(
    remote: Remote, standin: DiscordStandin
) -> None:
    await remote.knobs(limits=True, history_lag=2.5)
    assert (standin.knobs.limits, standin.knobs.history_lag) == (True, 2.5)
    await remote.fault("POST /channels/*/messages", "status", status=500, channel="help")
    assert standin.faults.take("POST /channels/1/messages", "help")
    await remote.mend()
    await remote.disconnect("abort")


# ---- what a reader sees


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, as it is: snake_case 2 * 3 * 4", "plain, as it is: snake_case 2 * 3 * 4"),
        (
            "**bold** *slanted* _too_ __under__ ~~gone~~ ||secret||",
            "bold slanted too under gone secret",
        ),
        ("***both***", "both"),
        (r"\*kept\* \_as\_ \`is\` \\", r"*kept* _as_ `is` \\"[:-1]),
        ("`**code**` and ```py\n*block*\n```", "**code** and *block*\n"),
        (
            "# Title\n## Second\n-# small\n- one\n* two\n> said",
            "Title\nSecond\nsmall\n• one\n• two\n> said",
        ),
        ("[label](https://a.example/x_y_z)", "label (https://a.example/x_y_z)"),
        ("[**la**\\]bel](<https://a.example/>)", "la]bel (https://a.example/)"),
        ("<https://a.example/> https://b.example/_x_", "https://a.example/ https://b.example/_x_"),
        ("<t:0:F> <:party:1> <@1> <#1>", "1970-01-01 00:00 :party: <@1> <#1>"),
        ("<@ADA> in <#HELP> and <@&ROLE>", "@ada in #help and @chatbridge"),
        ("\U000f0000 **a** `b`", "\U000f0000 a b"),
    ],
)
async def test_a_reader_sees_names_and_no_markup(
    standin: DiscordStandin, text: str, shown: str
) -> None:
    workspace = standin.workspace
    for word, native_id in {
        "ADA": workspace.person("ada").id,
        "HELP": workspace.channel("help").id,
        "ROLE": workspace.role_id,
    }.items():
        text = text.replace(word, native_id)
    assert speech.shown(workspace, text) == shown


# ---- ids and nonces


def test_ids_grow_strictly_and_tell_their_moment() -> None:
    snowflakes = Snowflakes()
    ids = [snowflakes.make() for _ in range(10_000)]
    assert all(int(a) < int(b) for a, b in pairwise(ids))
    assert stamp("175928847299117063") == "2016-04-30T11:18:25.796000+00:00"
    assert seconds("175928847299117063") == 1462015105.796


async def test_a_nonce_is_forgotten_after_two_minutes(standin: DiscordStandin) -> None:
    ada, grace = standin.workspace.person("ada"), standin.workspace.person("grace")
    message = Message("1", standin.workspace.channel("help"), ada, {})
    nonces = Nonces()
    nonces.keep(ada, "n", message, 0.0)
    assert nonces.recall(ada, "n", REMEMBERED - 1) is message
    assert nonces.recall(grace, "n", REMEMBERED - 1) is None
    assert nonces.recall(ada, "n", REMEMBERED) is None
