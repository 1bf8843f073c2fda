"""What the Discord stand-in shows of the past: history, threads, reactions, nonces."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from adapters.discord.standin import DiscordStandin, start
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


# ---- history


async def test_history_comes_in_pages_newest_first(rest: Rest, help_id: str) -> None:
    ids = [(await posted(rest, help_id, str(n)))["id"] for n in range(7)]
    await rest("DELETE", f"/channels/{help_id}/messages/{ids.pop(3)}")
    path = f"/channels/{help_id}/messages"

    async def page(query: str) -> list[str]:
        return [one["id"] for one in (await rest("GET", f"{path}?{query}")).body][::-1]

    assert await page("limit=100") == ids
    assert await page("limit=2") == ids[-2:]
    assert await page(f"limit=2&before={ids[4]}") == ids[2:4]
    assert await page(f"limit=3&after={ids[1]}") == ids[2:5]
    assert await page(f"limit=2&after={int(ids[-1]) + 1}") == []
    assert await page("limit=2&after=0") == ids[:2]
    assert await page(f"limit=3&around={ids[2]}") == ids[1:4]


async def test_history_can_lag(standin: DiscordStandin, rest: Rest, help_id: str) -> None:
    message = await posted(rest, help_id)
    standin.knobs.history_lag = 60.0
    for query in ("", "?after=0", f"?around={message['id']}", "?before=9223372036854775807"):
        assert (await rest("GET", f"/channels/{help_id}/messages{query}")).body == []
    assert (await rest("GET", f"/channels/{help_id}/messages/{message['id']}")).status == 200
    standin.knobs.history_lag = 0.0
    assert len((await rest("GET", f"/channels/{help_id}/messages")).body) == 1


# ---- threads and reactions


async def test_a_thread_of_a_message_has_its_id(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    root = await posted(rest, help_id, "root")
    path = f"/channels/{help_id}/messages/{root['id']}"
    thread = (await rest("POST", f"{path}/threads", {"name": "about it"})).body
    assert (thread["id"], thread["parent_id"]) == (root["id"], help_id)
    reply = await posted(rest, thread["id"], "inside")
    assert reply["channel_id"] == thread["id"]
    found = (await rest("GET", path)).body
    assert found["flags"] & 32
    assert found["thread"]["message_count"] == 1
    assert (await rest("POST", f"{path}/threads", {"name": "again"})).code == 160004
    assert (await rest("GET", f"/channels/{thread['id']}")).body["type"] == 11
    inside = (await rest("GET", f"/channels/{thread['id']}/messages")).body
    assert [one["type"] for one in inside] == [0, 21]
    assert inside[1]["referenced_message"]["content"] == "root"
    assert (await rest("POST", f"/channels/{thread['id']}/threads", {"name": "x"})).code == 50024
    seen = [(one.text, one.thread) for one in standin.seen("help")]
    assert seen == [("root", ""), ("inside", root["id"])]
    active = await rest("GET", f"/guilds/{standin.workspace.guild_id}/threads/active")
    assert [one["id"] for one in active.body["threads"]] == [thread["id"]]


async def test_a_thread_can_stand_alone(rest: Rest, help_id: str) -> None:
    body = {"name": "plans", "type": 11, "auto_archive_duration": 60}
    thread = (await rest("POST", f"/channels/{help_id}/threads", body)).body
    assert thread["thread_metadata"]["auto_archive_duration"] == 60
    note = (await rest("GET", f"/channels/{help_id}/messages")).body[0]
    assert (note["type"], note["message_reference"]["channel_id"]) == (18, thread["id"])
    assert (await rest("PUT", f"/channels/{thread['id']}/thread-members/@me")).status == 204
    assert (await rest("POST", f"/channels/{help_id}/threads", {})).code == 50035
    assert (await rest("GET", f"/channels/{help_id}/threads/archived/public")).status == 200


async def test_an_archived_thread_is_listed_apart_until_somebody_posts_in_it(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    threads = []
    for n in range(3):
        root = await posted(rest, help_id, f"root {n}")
        path = f"/channels/{help_id}/messages/{root['id']}/threads"
        threads.append((await rest("POST", path, {"name": "about it"})).body["id"])
        inside = await posted(rest, threads[-1], "inside")
        await standin.act({"do": "archive", "thread": threads[-1]})
    active = f"/guilds/{standin.workspace.guild_id}/threads/active"
    archived = f"/channels/{help_id}/threads/archived/public"
    assert (await rest("GET", active)).body["threads"] == []
    page = (await rest("GET", archived, params={"limit": "2"})).body
    assert [one["id"] for one in page["threads"]] == threads[:0:-1]
    assert page["has_more"]
    told = page["threads"][-1]["thread_metadata"]
    assert told["archived"]
    rest_of = {"before": told["archive_timestamp"]}
    page = (await rest("GET", archived, params=rest_of)).body
    assert ([one["id"] for one in page["threads"]], page["has_more"]) == (threads[:1], False)
    path = f"/channels/{threads[-1]}/messages/{inside['id']}"
    assert (await rest("PATCH", path, {"content": "x"})).code == 50083
    assert (await rest("PUT", f"{path}/reactions/✅/@me")).code == 50083
    await posted(rest, threads[-1], "open again")
    assert [one["id"] for one in (await rest("GET", active)).body["threads"]] == threads[2:]
    assert len((await rest("GET", archived)).body["threads"]) == 2


async def test_archived_threads_need_the_right_to_read_history_and_a_real_moment(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    path = f"/channels/{help_id}/threads/archived/public"
    assert (await rest("GET", path, params={"before": "yesterday"})).code == 50035
    assert (await rest("GET", path, params={"limit": "1"})).code == 50035
    await standin.act({"do": "channel", "channel": "help", "denied": 1 << 16})
    assert (await rest("GET", path)).code == 50013
    with pytest.raises(KeyError):
        await standin.act({"do": "archive", "thread": help_id})


async def test_reactions_are_given_counted_and_taken_back(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    message = await posted(rest, help_id)
    path = f"/channels/{help_id}/messages/{message['id']}"
    await standin.act(
        {"do": "react", "person": "ada", "message": message["id"], "emoji": "white_check_mark"}
    )
    assert (await rest("PUT", f"{path}/reactions/✅/@me")).status == 204
    assert (await rest("PUT", f"{path}/reactions/✅/@me")).status == 204
    found = (await rest("GET", path)).body["reactions"][0]
    assert (found["emoji"]["name"], found["count"], found["me"]) == ("✅", 2, True)
    assert len((await rest("GET", f"{path}/reactions/✅")).body) == 2
    assert (await rest("GET", f"{path}/reactions/✅?type=1")).body == []
    assert standin.seen("help")[-1].reactions == {"white_check_mark": ["ada", "chatbridge"]}
    assert (await rest("DELETE", f"{path}/reactions/✅/@me")).status == 204
    assert standin.seen("help")[-1].reactions == {"white_check_mark": ["ada"]}
    assert (await rest("PUT", f"{path}/reactions/nonsense/@me")).code == 10014


async def test_typing_is_shown(rest: Rest, help_id: str) -> None:
    assert (await rest("POST", f"/channels/{help_id}/typing")).status == 204


# ---- nonces


async def test_the_same_nonce_returns_the_earlier_message(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    first = await posted(rest, help_id, "once", nonce="key-1", enforce_nonce=True)
    again = await posted(rest, help_id, "once", nonce="key-1", enforce_nonce=True)
    assert first["id"] == again["id"]
    assert again["nonce"] == "key-1"
    assert len(standin.seen("help")) == 1
    other = await posted(rest, help_id, "once", nonce="key-1")
    assert other["id"] != first["id"]


async def test_history_and_later_fetches_carry_no_nonce(rest: Rest, help_id: str) -> None:
    message = await posted(rest, help_id, "once", nonce="key-1", enforce_nonce=True)
    path = f"/channels/{help_id}/messages"
    assert "nonce" not in (await rest("GET", path)).body[0]
    assert "nonce" not in (await rest("GET", f"{path}/{message['id']}")).body
    assert "nonce" not in (await rest("PATCH", f"{path}/{message['id']}", {"content": "x"})).body


async def test_the_nonce_of_a_deleted_message_answers_unknown_message(
    rest: Rest, help_id: str
) -> None:
    body = {"content": "once", "nonce": "key-1", "enforce_nonce": True}
    message = await posted(rest, help_id, **body)
    await rest("DELETE", f"/channels/{help_id}/messages/{message['id']}")
    reply = await rest("POST", f"/channels/{help_id}/messages", body)
    assert (reply.status, reply.code) == (404, 10008)
