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


async def posted(rest: Rest, channel_id: str, content: Any = "hello", **more: Any) -> Any:
    """The body of a message that was posted."""
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
    rest.token = "nonsense"
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
