"""Whom the Discord stand-in pings, and what it lets our app do and read."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from adapters.discord.standin import DiscordStandin, start
from adapters.discord.standin.gateway import intents
from tests.contract.test_discord_standin import Rest, posted


@pytest.fixture
async def standin() -> AsyncIterator[DiscordStandin]:
    found = await start(limits=False)
    yield found
    await found.stop()


@pytest.fixture
async def rest(standin: DiscordStandin) -> AsyncIterator[Rest]:
    async with aiohttp.ClientSession() as session:
        yield Rest(standin, session)


@pytest.fixture
def help_id(standin: DiscordStandin) -> str:
    return standin.workspace.channel("help").id


# ---- pings


@pytest.mark.parametrize(
    ("content", "more", "pinged"),
    [
        ("<@ADA> and <@!ADA>", {}, ["ada"]),
        ("<@ADA> @everyone @here", {}, ["ada", "everyone", "here"]),
        ("<@ADA> @everyone @here", {"allowed_mentions": {"parse": []}}, []),
        ("<@ADA> @everyone", {"allowed_mentions": {"parse": ["users"]}}, ["ada"]),
        ("<@ADA> @everyone", {"allowed_mentions": {"users": ["ADA"]}}, ["ada"]),
        ("`<@ADA>` ```@everyone```", {}, []),
        ("@everyone\u200b <@1>", {}, ["everyone"]),
        ("@\u200beveryone", {}, []),
        ("x", {"embeds": [{"description": "<@ADA> @everyone"}]}, []),
    ],
)
async def test_pings_are_what_the_content_and_allowed_mentions_say(
    standin: DiscordStandin, rest: Rest, content: str, more: dict[str, Any], pinged: list[str]
) -> None:
    help_id = standin.workspace.channel("help").id
    ada = standin.workspace.person("ada").id
    more = json.loads(json.dumps(more).replace("ADA", ada))
    message = await posted(rest, help_id, content.replace("ADA", ada), **more)
    assert standin.seen("help")[-1].raw["pinged"] == pinged
    assert message["mention_everyone"] == ("everyone" in pinged or "here" in pinged)
    assert [one["username"] for one in message["mentions"]] == [n for n in pinged if n == "ada"]


async def test_an_edit_without_allowed_mentions_pings(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    message = await posted(rest, help_id, "calm", allowed_mentions={"parse": []})
    path = f"/channels/{help_id}/messages/{message['id']}"
    none = {"content": "@everyone", "allowed_mentions": {"parse": []}}
    await rest("PATCH", path, none)
    assert standin.seen("help")[-1].raw["pinged"] == []
    await rest("PATCH", path, {"content": "@everyone!"})
    assert standin.seen("help")[-1].raw["pinged"] == ["everyone"]


async def test_a_reply_pings_the_author_unless_told_not_to(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    root = await standin.act({"do": "post", "person": "ada", "channel": "help", "text": "why?"})
    reference = {"message_id": root["id"]}
    reply = await posted(rest, help_id, "because", message_reference=reference)
    assert (reply["type"], reply["referenced_message"]["content"]) == (19, "why?")
    assert standin.seen("help")[-1].raw["pinged"] == ["ada"]
    quiet = {"parse": [], "replied_user": False}
    await posted(rest, help_id, "so", message_reference=reference, allowed_mentions=quiet)
    assert standin.seen("help")[-1].raw["pinged"] == []


# ---- permissions


async def test_channels_the_app_cannot_see_or_write_to_are_refused(
    standin: DiscordStandin, rest: Rest
) -> None:
    vault = standin.deeds.add_channel("vault", private=True, denied=1 << 10)
    news = standin.deeds.add_channel("news", denied=1 << 11)
    quiet = standin.deeds.add_channel("plain", denied=1 << 14)
    hello = {"content": "hello"}
    assert (await rest("GET", f"/channels/{vault.id}/messages")).code == 50001
    assert (await rest("POST", f"/channels/{vault.id}/messages", hello)).code == 50001
    reply = await rest("POST", f"/channels/{news.id}/messages", hello)
    assert (reply.status, reply.code) == (403, 50013)
    assert (await rest("GET", f"/channels/{news.id}/messages")).status == 200
    embeds = {"embeds": [{"title": "x"}]}
    assert (await rest("POST", f"/channels/{quiet.id}/messages", embeds)).code == 50013


async def test_other_peoples_messages_cannot_be_changed(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    act = {"do": "post", "person": "ada", "channel": "help", "text": "mine"}
    path = f"/channels/{help_id}/messages/{(await standin.act(act))['id']}"
    assert (await rest("PATCH", path, {"content": "x"})).code == 50005
    assert (await rest("DELETE", path)).code == 50013


async def test_direct_messages_are_opened_once_and_can_be_closed_to_us(
    standin: DiscordStandin, rest: Rest
) -> None:
    ada = standin.workspace.person("ada")
    first = (await rest("POST", "/users/@me/channels", {"recipient_id": ada.id})).body
    again = (await rest("POST", "/users/@me/channels", {"recipient_id": int(ada.id)})).body
    assert first["id"] == again["id"]
    assert (await rest("GET", f"/channels/{first['id']}")).body["type"] == 1
    await posted(rest, first["id"], "psst")
    assert [one.text for one in standin.seen("dm:ada")] == ["psst"]
    await standin.act({"do": "person", "person": "ada", "private": True})
    reply = await rest("POST", f"/channels/{first['id']}/messages", {"content": "hey"})
    assert (reply.status, reply.code) == (403, 50007)
    assert (await rest("POST", "/users/@me/channels", {"recipient_id": "1"})).code == 10013


async def test_without_the_content_intent_others_words_are_empty(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    for text in ("hidden", "@chatbridge told"):
        await standin.act({"do": "post", "person": "ada", "channel": "help", "text": text})
    await posted(rest, help_id, "own")
    await standin.act({"do": "privileged", "intents": intents.GUILD_MEMBERS})
    found = (await rest("GET", f"/channels/{help_id}/messages")).body
    told = f"<@{standin.workspace.app.id}> told"
    assert [one["content"] for one in found] == ["own", told, ""]
