"""The Discord stand-in over REST: every answer is held against Discord's published spec."""

import importlib.util
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from adapters.discord.standin import DiscordStandin, start
from adapters.discord.standin.gateway import intents
from adapters.standin import Fault

SPEC = Path(__file__).resolve().parents[2] / ".." / "shared" / "spec" / "validate_discord.py"


def spec_errors() -> Callable[[str, str, int, Any], list[str]]:
    """The spec's validator; where the spec is absent nothing is complained about."""
    if not SPEC.parents[1].is_dir():
        return lambda *_: []
    found = importlib.util.spec_from_file_location("validate_discord", SPEC)
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    errors: Callable[[str, str, int, Any], list[str]] = module.errors
    return errors


ERRORS = spec_errors()


@dataclass
class Reply:
    """An answer of the stand-in."""

    status: int
    body: Any
    headers: CIMultiDictProxy[str]

    @property
    def code(self) -> int:
        """Discord's own error code."""
        return int(self.body["code"])

    def complaint(self, *path: str) -> str:
        """The code of the first form error at a path."""
        node = self.body["errors"]
        for part in path:
            node = node[part]
        return str(node["_errors"][0]["code"])


class Rest:
    """A bare client that checks each answer against the spec."""

    def __init__(self, standin: DiscordStandin, session: aiohttp.ClientSession) -> None:
        self.url = standin.account()["api_url"]
        self.token = standin.account()["token"]
        self.session = session

    async def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> Reply:
        headers = {"Authorization": f"Bot {self.token}"}
        if body is not None:
            more["json"] = body
        async with self.session.request(method, self.url + path, headers=headers, **more) as answer:
            raw = await answer.read()
            found = json.loads(raw) if raw else None
            if raw:
                assert answer.headers["Content-Type"] == "application/json"
            assert ERRORS(method, path, answer.status, found) == []
            return Reply(answer.status, found, answer.headers)


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


async def posted(rest: Rest, channel_id: str, content: str = "hello", **more: Any) -> Any:
    reply = await rest("POST", f"/channels/{channel_id}/messages", {"content": content, **more})
    assert reply.status == 200, reply.body
    return reply.body


# ---- who and what is there


async def test_the_app_the_guild_and_its_people_have_documented_shapes(
    standin: DiscordStandin, rest: Rest
) -> None:
    guild = f"/guilds/{standin.workspace.guild_id}"
    ada = standin.workspace.person("ada")
    for path in (
        "/users/@me",
        "/oauth2/applications/@me",
        "/applications/@me",
        "/users/@me/guilds",
        f"/users/{ada.id}",
        guild,
        f"{guild}?with_counts=true",
        f"{guild}/channels",
        f"{guild}/roles",
        f"{guild}/members?limit=1000",
        f"{guild}/members/{ada.id}",
        f"{guild}/threads/active",
        "/gateway",
        "/gateway/bot",
    ):
        assert (await rest("GET", path)).status == 200, path


async def test_members_come_in_pages(standin: DiscordStandin, rest: Rest) -> None:
    path = f"/guilds/{standin.workspace.guild_id}/members"
    first = (await rest("GET", f"{path}?limit=4")).body
    rest_of_them = (await rest("GET", f"{path}?limit=4&after={first[-1]['user']['id']}")).body
    names = [one["user"]["username"] for one in first + rest_of_them]
    assert names == ["chatbridge", "ada", "grace", "linus", "margaret", "dennis"]


async def test_a_private_channel_denies_everyone_but_lets_the_app_in(
    standin: DiscordStandin, rest: Rest
) -> None:
    channel = standin.workspace.channel("secret")
    found = (await rest("GET", f"/channels/{channel.id}")).body
    denied = {one["id"]: int(one["deny"]) for one in found["permission_overwrites"]}
    allowed = {one["id"]: int(one["allow"]) for one in found["permission_overwrites"]}
    assert denied[standin.workspace.guild_id] & 1 << 10
    assert allowed[standin.workspace.app.id] & 1 << 10
    await posted(rest, channel.id)


async def test_an_unknown_token_is_refused(standin: DiscordStandin, rest: Rest) -> None:
    rest.token = "nonsense"  # noqa: S105
    reply = await rest("GET", "/users/@me")
    assert (reply.status, reply.body) == (401, {"message": "401: Unauthorized", "code": 0})
    assert standin.workspace.token not in json.dumps(reply.body)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/channels/1", 404, 10003),
        ("/guilds/1", 404, 10004),
        ("/users/1", 404, 10013),
        ("/channels/HELP/messages/1", 404, 10008),
        ("/channels/nonsense", 400, 50035),
        ("/channels/HELP/messages?limit=101", 400, 50035),
        ("/channels/HELP/messages?before=x", 400, 50035),
    ],
)
async def test_what_does_not_exist_is_refused_by_its_code(
    rest: Rest, help_id: str, path: str, status: int, code: int
) -> None:
    reply = await rest("GET", path.replace("HELP", help_id))
    assert (reply.status, reply.code) == (status, code)


async def test_a_path_that_is_no_endpoint_is_refused_in_json(
    standin: DiscordStandin, rest: Rest
) -> None:
    async with rest.session.get(f"{standin.url}/api/v10/nowhere") as answer:
        assert answer.status == 404
        assert await answer.json() == {"message": "404: Not Found", "code": 0}


# ---- posting


async def test_a_message_is_posted_read_edited_and_deleted(rest: Rest, help_id: str) -> None:
    message = await posted(rest, help_id, "  first words\n")
    path = f"/channels/{help_id}/messages/{message['id']}"
    assert message["content"] == "first words"
    assert message["timestamp"].endswith("+00:00")
    assert (await rest("GET", path)).body == message
    edited = (await rest("PATCH", path, {"content": "second words"})).body
    assert edited["content"] == "second words"
    assert edited["edited_timestamp"]
    assert (await rest("DELETE", path)).status == 204
    assert (await rest("GET", path)).code == 10008
    assert (await rest("PATCH", path, {"content": "x"})).code == 10008
    assert (await rest("DELETE", path)).code == 10008


async def test_ids_grow_and_carry_the_moment(rest: Rest, help_id: str) -> None:
    ids = [int((await posted(rest, help_id, str(n)))["id"]) for n in range(20)]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"content": "x" * 2001}, ("content",), "BASE_TYPE_MAX_LENGTH"),
        ({"content": {}}, ("content",), "STRING_TYPE_CONVERT"),
        ({"content": "x", "nonce": "n" * 26}, ("nonce",), "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"title": "x"}] * 11}, ("embeds",), "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"title": "x" * 257}]}, ("embeds", "0", "title"), "BASE_TYPE_MAX_LENGTH"),
        (
            {"embeds": [{"title": "x"}, {"description": "x" * 4097}]},
            ("embeds", "1", "description"),
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]},
            ("embeds", "0", "fields"),
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"embeds": [{"fields": [{"name": "", "value": "v"}]}]},
            ("embeds", "0", "fields", "0", "name"),
            "BASE_TYPE_REQUIRED",
        ),
        (
            {"embeds": [{"footer": {"text": "x" * 2049}}]},
            ("embeds", "0", "footer", "text"),
            "BASE_TYPE_MAX_LENGTH",
        ),
        ({"embeds": [{"description": "x" * 3001}] * 2}, ("embeds",), "MAX_EMBED_SIZE_EXCEEDED"),
        (
            {"embeds": [{"title": "x", "url": "ftp://x/"}]},
            ("embeds", "0", "url"),
            "URL_TYPE_INVALID_SCHEME",
        ),
        (
            {"content": "x", "message_reference": {"message_id": "1"}},
            ("message_reference",),
            "REPLIES_UNKNOWN_MESSAGE",
        ),
        (
            {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
            ("allowed_mentions",),
            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
        ),
    ],
)
async def test_what_is_too_long_or_wrong_is_refused_with_its_path(
    rest: Rest, help_id: str, body: Any, path: tuple[str, ...], code: str
) -> None:
    reply = await rest("POST", f"/channels/{help_id}/messages", body)
    assert (reply.status, reply.code) == (400, 50035)
    assert reply.complaint(*path) == code


@pytest.mark.parametrize("body", [{}, {"content": " \n "}, {"content": None, "embeds": []}])
async def test_an_empty_message_is_refused(rest: Rest, help_id: str, body: Any) -> None:
    reply = await rest("POST", f"/channels/{help_id}/messages", body)
    assert (reply.status, reply.code) == (400, 50006)


async def test_the_limits_themselves_are_accepted(rest: Rest, help_id: str) -> None:
    embeds = [{"title": "t" * 256, "description": "d" * 4096, "footer": {"text": "f" * 1648}}]
    message = await posted(rest, help_id, "x" * 2000, embeds=embeds, nonce="n" * 25)
    assert len(message["embeds"][0]["footer"]["text"]) == 1648


@pytest.mark.parametrize("text", ["a\ud800b", "nul \x00 in it", "\U0001f469\u200d\U0001f680"])
async def test_strange_characters_pass_through(
    standin: DiscordStandin, rest: Rest, help_id: str, text: str
) -> None:
    message = await posted(rest, help_id, text)
    assert message["content"] == text
    assert standin.seen("help")[-1].text == text


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(rest: Rest, help_id: str, raw: bytes) -> None:
    reply = await rest("POST", f"/channels/{help_id}/messages", data=raw)
    assert reply.status == 400


async def test_files_come_with_a_message_and_can_be_fetched(rest: Rest, help_id: str) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("payload_json", json.dumps({"content": "see"}))
    form.add_field("files[0]", b"a,b\n", filename="table.csv", content_type="text/csv")
    message = (await rest("POST", f"/channels/{help_id}/messages", data=form)).body
    found = message["attachments"][0]
    assert (found["filename"], found["size"]) == ("table.csv", 4)
    async with rest.session.get(found["url"]) as answer:
        assert await answer.read() == b"a,b\n"


async def test_buttons_are_numbered(rest: Rest, help_id: str) -> None:
    button = {"type": 2, "style": 2, "label": "Later", "custom_id": "later"}
    rows = [{"type": 1, "components": [button]}]
    message = await posted(rest, help_id, "x", components=rows)
    assert message["components"][0]["components"][0]["custom_id"] == "later"
    long = {**button, "label": "x" * 81}
    rows = [{"type": 1, "components": [long]}]
    reply = await rest("POST", f"/channels/{help_id}/messages", {"components": rows})
    assert reply.complaint("components", "0", "components", "0", "label") == "BASE_TYPE_MAX_LENGTH"


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
async def test_pings_are_what_the_content_and_allowed_mentions_say(  # noqa: PLR0913
    standin: DiscordStandin,
    rest: Rest,
    help_id: str,
    content: str,
    more: dict[str, Any],
    pinged: list[str],
) -> None:
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
    assert standin.seen("help")[-1].reactions == {"white_check_mark": ["ada", "chatbridge"]}
    assert (await rest("DELETE", f"{path}/reactions/✅/@me")).status == 204
    assert standin.seen("help")[-1].reactions == {"white_check_mark": ["ada"]}
    assert (await rest("PUT", f"{path}/reactions/nonsense/@me")).code == 10014


async def test_typing_is_shown(rest: Rest, help_id: str) -> None:
    assert (await rest("POST", f"/channels/{help_id}/typing")).status == 204


# ---- limits


async def test_the_sixth_message_in_five_seconds_is_limited(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    standin.knobs.limits = True
    path = f"/channels/{help_id}/messages"
    replies = [await rest("POST", path, {"content": "x"}) for _ in range(6)]
    assert [reply.status for reply in replies] == [200] * 5 + [429]
    assert [reply.headers["X-RateLimit-Remaining"] for reply in replies[:5]] == list("43210")
    limited = replies[5]
    assert limited.headers["Via"] == "1.1 google"
    assert limited.headers["X-RateLimit-Scope"] == "user"
    assert 0 < limited.body["retry_after"] <= int(limited.headers["Retry-After"]) <= 5
    assert limited.body["global"] is False
    general = standin.workspace.channel("general").id
    other = await rest("POST", f"/channels/{general}/messages", {"content": "x"})
    assert other.status == 200
    assert other.headers["X-RateLimit-Bucket"] == limited.headers["X-RateLimit-Bucket"]
    assert (await rest("GET", path)).headers["X-RateLimit-Bucket"] != (
        limited.headers["X-RateLimit-Bucket"]
    )
    assert len(standin.seen("help")) == 5


async def test_fifty_calls_a_second_are_the_limit_for_everything(
    standin: DiscordStandin, rest: Rest
) -> None:
    standin.knobs.limits = True
    for name in ("general", "help", "oncall", "digest", "secret"):
        channel = standin.workspace.channel(name)
        for _ in range(12):
            reply = await rest("GET", f"/channels/{channel.id}")
            if reply.status == 429:
                assert reply.headers["X-RateLimit-Global"] == "true"
                assert reply.headers["X-RateLimit-Scope"] == "global"
                assert reply.body["global"] is True
                return
    pytest.fail("60 calls went through")


async def test_ten_thousand_invalid_requests_ban_the_address(
    standin: DiscordStandin, rest: Rest
) -> None:
    standin.knobs.limits = True
    rest.token = "nonsense"  # noqa: S105
    await rest("GET", "/users/@me")
    window = standin._door._limits._windows["invalid"]  # noqa: SLF001
    window.used = 10_000
    async with rest.session.get(f"{rest.url}/users/@me") as answer:
        assert answer.status == 429
        assert "Via" not in answer.headers
        assert answer.content_type == "text/html"


# ---- faults


CREATE = "POST /channels/*/messages"


async def test_a_dropped_call_was_done_or_not_as_the_fault_says(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    path, body = f"/channels/{help_id}/messages", {"content": "x"}
    for kind, kept in (("drop_before", 0), ("drop_after", 1)):
        standin.faults.add(Fault(CREATE, kind))
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await rest("POST", path, body)
        assert len(standin.seen("help")) == kept


async def test_a_status_fault_answers_without_a_reason(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    url = f"{rest.url}/channels/{help_id}/messages"
    headers = {"Authorization": f"Bot {rest.token}"}
    for kind, kept in (("status", 0), ("status_after", 1)):
        standin.faults.add(Fault(CREATE, kind, status=503))
        async with rest.session.post(url, json={"content": "x"}, headers=headers) as answer:
            assert answer.status == 503
            assert (await answer.json())["message"] == "503: Service Unavailable"
        assert len(standin.seen("help")) == kept


async def test_a_call_can_be_accepted_late(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    standin.faults.add(Fault(CREATE, "accept_late", seconds=0.05))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await rest("POST", f"/channels/{help_id}/messages", {"content": "late"})
    assert standin.seen("help") == []
    assert (await standin.journal.after(0, 5.0))[0]["text"] == "late"


async def test_a_late_call_and_its_resend_with_one_nonce_make_one_message(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    body = {"content": "late", "nonce": "key-1", "enforce_nonce": True}
    standin.faults.add(Fault(CREATE, "accept_late", seconds=0.02))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await rest("POST", f"/channels/{help_id}/messages", body)
    late = set(standin._door._late)  # noqa: SLF001
    await posted(rest, help_id, **body)
    for task in late:
        await task
    assert len(standin.seen("help")) == 1


async def test_faults_hit_their_channel_only_and_so_many_times(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    standin.faults.add(Fault(CREATE, "ratelimit", seconds=2.5, channel="oncall", times=2))
    oncall = standin.workspace.channel("oncall").id
    await posted(rest, help_id)
    for _ in range(2):
        reply = await rest("POST", f"/channels/{oncall}/messages", {"content": "x"})
        assert (reply.status, reply.body["retry_after"]) == (429, 2.5)
        assert reply.headers["Retry-After"] == "3"
    await posted(rest, oncall)


async def test_latency_delays_the_answer_not_the_deed(
    standin: DiscordStandin, rest: Rest, help_id: str
) -> None:
    standin.faults.add(Fault(CREATE, "latency", seconds=0.05))
    await posted(rest, help_id)
    standin.knobs.latency = 0.01
    await posted(rest, help_id)
    assert len(standin.seen("help")) == 2
