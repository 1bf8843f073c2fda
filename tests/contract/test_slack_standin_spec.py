"""The Slack stand-in's answers and events against Slack's published specs."""

import importlib.util
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.standin import SlackStandin, start
from adapters.slack.standin.methods import METHODS

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="the published specs are not here")
JsonDict = dict[str, Any]

UNEXPECTED = re.compile(r"'(\w+)'(?=.* (?:was|were) unexpected)")

NEWER_METHODS = {"apps.connections.open"}
"""Came with Socket Mode in 2021, after the spec."""

NEWER_FIELDS = {
    "app_id": "every app's message names its app; the spec knows it inside bot_profile only",
    "edited": "the spec's message object forgets it; recorded message events carry it",
    "is_locked": "roots of threads carry it since threads can be locked (2021)",
    "metadata": "message metadata came in 2022",
    "context_team_id": "conversation objects carry it since 2022",
    "updated": "conversation objects carry it since 2022",
}
"""Fields that the spec of 2021 calls unexpected and real Slack sends; the reason beside each."""

OLD_WRAPPER = {
    "$: 'authed_users' is a required property": "replaced by `authorizations` in February 2021"
}

NEWER_CODES = {
    "invalid_arguments": "common to all methods today, with response_metadata.messages",
    "invalid_blocks": "Block Kit's refusals are not in the spec at all",
    "msg_blocks_too_long": "as invalid_blocks",
    "invalid_metadata_format": "metadata came in 2022",
    "thread_not_found": "documented for conversations.replies; the spec lets a post answer nothing",
    "not_in_channel": "documented for history and replies today",
    "invalid_types": "documented for conversations.list today, in the spec for users.conversations",
    "invalid_limit": "documented for every paged method today",
    "invalid_cursor": "documented for every paged method today",
}
"""Error codes of today that the spec of 2021 lacks for the methods below."""

OBJECTS = [
    ("chat.postMessage", "message", "objs_message"),
    ("conversations.history", "messages", "objs_message"),
    ("conversations.replies", "messages", "objs_message"),
    ("reactions.get", "message", "objs_message"),
    ("conversations.list", "channels", "objs_conversation"),
    ("users.conversations", "channels", "objs_conversation"),
    ("conversations.info", "channel", "objs_conversation"),
    ("conversations.join", "channel", "objs_conversation"),
    ("conversations.open", "channel", "objs_conversation"),
    ("users.info", "user", "objs_user"),
    ("users.list", "members", "objs_user"),
    ("users.lookupByEmail", "user", "objs_user"),
]
"""Objects that the method's own schema does not look into."""

REFUSED: list[tuple[str, JsonDict]] = [
    ("chat.postMessage", {"channel": "C0"}),
    ("chat.postMessage", {"channel": "away", "text": "x"}),
    ("chat.postMessage", {"channel": "help"}),
    ("chat.postMessage", {"channel": "help", "text": "x" * 40_001}),
    ("chat.postMessage", {"channel": "help", "text": "x", "blocks": [{"type": "?"}]}),
    ("chat.postMessage", {"channel": "help", "text": "x", "metadata": {"event_type": 1}}),
    ("chat.postMessage", {"channel": "help", "text": "x", "thread_ts": "1.1"}),
    ("chat.postMessage", {"channel": "help", "attachments": [{}] * 101}),
    ("chat.postEphemeral", {"channel": "help", "user": "U0", "text": "x"}),
    ("chat.update", {"channel": "help", "ts": "$ts", "text": "x"}),
    ("chat.update", {"channel": "help", "ts": "1.1", "text": "x"}),
    ("chat.delete", {"channel": "help", "ts": "$ts"}),
    ("chat.delete", {"channel": "help", "ts": "1.1"}),
    ("chat.getPermalink", {"channel": "help", "message_ts": "1.1"}),
    ("conversations.history", {"channel": "C0"}),
    ("conversations.history", {"channel": "away"}),
    ("conversations.history", {"channel": "help", "oldest": "x"}),
    ("conversations.history", {"channel": "help", "cursor": "x"}),
    ("conversations.history", {"channel": "help", "limit": 0}),
    ("conversations.replies", {"channel": "help", "ts": "1.1"}),
    ("conversations.list", {"types": "x"}),
    ("conversations.info", {"channel": "C0"}),
    ("conversations.info", {}),
    ("conversations.join", {"channel": "dm"}),
    ("conversations.members", {"channel": "help", "cursor": "x"}),
    ("conversations.open", {}),
    ("conversations.open", {"users": "U0"}),
    ("users.info", {"user": "U0"}),
    ("users.lookupByEmail", {"email": "x"}),
    ("bots.info", {"bot": "B0"}),
    ("reactions.add", {"channel": "help", "timestamp": "x", "name": "eyes"}),
    ("reactions.add", {"channel": "help", "timestamp": "$ts", "name": "x y"}),
    ("reactions.remove", {"channel": "help", "timestamp": "$ts", "name": "eyes"}),
    ("reactions.get", {"channel": "help"}),
]


@pytest.fixture(scope="module")
def spec() -> ModuleType:
    found = importlib.util.spec_from_file_location("validate", SHARED / "spec/validate_slack.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
async def standin() -> AsyncIterator[SlackStandin]:
    started = await start(limits=False)
    started.state.sockets.retries = ()
    yield started
    await started.stop()


@pytest.fixture
def client(standin: SlackStandin) -> AsyncWebClient:
    account = standin.account()
    return AsyncWebClient(
        token=account["bot_token"], base_url=account["api_url"], retry_handlers=[]
    )


BLOCKS = [
    {"type": "header", "text": {"type": "plain_text", "text": "Digest"}},
    {"type": "section", "text": {"type": "mrkdwn", "text": "*one*"}},
]


async def act(standin: SlackStandin, do: str, **fields: Any) -> str:
    return str((await standin.state.act({"do": do, **fields}))["id"])


async def conversation(standin: SlackStandin, client: AsyncWebClient) -> dict[str, JsonDict]:
    """One answer of every method, after a bit of life in #help."""
    help_ = standin.state.find_channel("help").id
    ada = standin.state.find_person("ada").id
    root = await act(standin, "post", person="ada", channel="help", text="q @grace?")
    await act(standin, "post", person="grace", channel="help", text="a", thread=root)
    await act(standin, "react", person="linus", message=root, emoji="eyes")
    where: JsonDict = {"channel": help_}
    answers: dict[str, Any] = {}

    async def call(method: str, **args: Any) -> JsonDict:
        answers[method] = (await client.api_call(method, json=args)).data
        found: JsonDict = answers[method]
        return found

    await call("auth.test")
    await call("team.info")
    token = standin.account()["app_token"]
    answers["apps.connections.open"] = (await client.apps_connections_open(app_token=token)).data
    mine = await call("chat.postMessage", **where, text="plain", thread_ts=root)
    mine = await call("chat.postMessage", **where, text="fallback", blocks=BLOCKS)
    await call("chat.postEphemeral", **where, text="psst", user=ada)
    await call("chat.update", **where, ts=mine["ts"], text="new")
    await call("chat.getPermalink", **where, message_ts=mine["ts"])
    await call("reactions.add", **where, timestamp=mine["ts"], name="tada")
    await call("reactions.get", **where, timestamp=mine["ts"])
    await call("conversations.history", **where)
    await call("conversations.replies", **where, ts=root)
    await call("reactions.remove", **where, timestamp=mine["ts"], name="tada")
    await call("chat.delete", **where, ts=mine["ts"])
    await call("conversations.list", types="public_channel,private_channel,im", limit=3)
    await call("users.conversations")
    await call("conversations.info", **where, include_num_members=True)
    await call("conversations.members", **where)
    await call("conversations.join", **where)
    await call("conversations.open", users=ada, return_im=True)
    await call("users.info", user=ada)
    await call("users.list")
    await call("users.lookupByEmail", email="ada@example.com")
    await call("bots.info", bot=standin.state.app.bot_id)
    return answers


def inside(spec: ModuleType, definition: str, value: object) -> list[str]:
    """Complaints about an object; the spec says "one of" in a way that validators pass over."""
    schema = spec.DEFS[definition]
    one_of = schema.get("items", schema)
    validator = spec.Draft4Validator({**one_of, "definitions": spec.DEFS})
    return [line for error in validator.iter_errors(value) for line in spec.leaf(error)]


def serious(complaints: list[str]) -> list[str]:
    """Complaints that are not only about fields which Slack has added since."""
    return [one for one in complaints if not set(UNEXPECTED.findall(one)) & NEWER_FIELDS.keys()]


def names(value: object) -> set[str]:
    """Every field name anywhere in a value."""
    if isinstance(value, dict):
        return set(value).union(*map(names, value.values()))
    return set().union(*map(names, value)) if isinstance(value, list) else set()


@pytest.fixture(scope="module")
def recorded() -> set[str]:
    """Every field name in the recorded events."""
    samples = (SHARED / "spec/slack_events").glob("*.json")
    return set().union(*(names(json.loads(one.read_text())) for one in samples))


async def happenings(standin: SlackStandin, client: AsyncWebClient) -> list[tuple[str, JsonDict]]:
    """The payloads of all kinds of events, beside the name of their sample in slack_events."""
    payloads: list[JsonDict] = []
    sockets = standin.state.sockets
    sockets.push = lambda _, payload: payloads.append(payload)  # type: ignore[method-assign]
    root = await act(standin, "post", person="ada", channel="help", text="q @grace?")
    fields = {"channel": "help", "thread": root, "broadcast": True}
    loud = await act(standin, "post", person="ada", text="x", **fields)
    await act(standin, "react", person="ada", message=root, emoji="eyes")
    await act(standin, "unreact", person="ada", message=root, emoji="eyes")
    await act(standin, "edit", message=loud, text="y")
    await act(standin, "delete", message=loud)
    await act(standin, "channel", channel="fresh")
    await act(standin, "archive", channel="fresh")
    await act(standin, "person", person="zoe")
    metadata = {"event_type": "x", "event_payload": {}}
    help_ = standin.state.find_channel("help").id
    await client.chat_postMessage(channel=help_, text="m", metadata=metadata, blocks=BLOCKS)
    kinds = [
        "Message",
        "MessageThreadBroadcast",
        "ReactionAdded",
        "ReactionRemoved",
        "MessageChanged",
        "MessageDeleted",
        "ChannelCreated",
        "MemberJoinedChannel",
        "ChannelArchive",
        "TeamJoin",
        "Message",
    ]
    return list(zip(kinds, payloads, strict=True))


async def test_every_methods_answer_fits_the_spec(
    standin: SlackStandin, client: AsyncWebClient, spec: ModuleType
) -> None:
    answers = await conversation(standin, client)
    assert answers.keys() == METHODS.keys()
    complaints = {
        method: serious(spec.errors(method, answer))
        for method, answer in answers.items()
        if method not in NEWER_METHODS
    }
    assert not {method: one for method, one in complaints.items() if one}


async def test_every_object_in_the_answers_fits_the_spec(
    standin: SlackStandin, client: AsyncWebClient, spec: ModuleType
) -> None:
    answers = await conversation(standin, client)
    for method, field, definition in OBJECTS:
        found = answers[method][field]
        for one in found if isinstance(found, list) else [found]:
            assert serious(inside(spec, definition, one)) == [], method


async def test_the_fields_we_call_newer_are_in_recorded_events(recorded: set[str]) -> None:
    assert NEWER_FIELDS.keys() <= recorded


async def test_every_event_fits_the_wrapper_and_the_recorded_events(
    standin: SlackStandin, client: AsyncWebClient, spec: ModuleType, recorded: set[str]
) -> None:
    known = recorded | spec.DEFS["objs_message"]["properties"].keys()
    for kind, payload in await happenings(standin, client):
        assert set(spec.event_errors(payload)) <= OLD_WRAPPER.keys(), kind
        assert names(payload) <= known, kind
        sample = json.loads((SHARED / f"spec/slack_events/{kind}Payload.json").read_text())
        assert payload["event"]["type"] == sample["event"]["type"]
        assert payload["event"].get("subtype") == sample["event"].get("subtype")


async def test_every_refusal_is_a_documented_one(
    standin: SlackStandin, client: AsyncWebClient, spec: ModuleType
) -> None:
    await act(standin, "channel", channel="away", member=False)
    known = {"help": "help", "away": "away", "dm": "dm:ada"}
    ids = {name: standin.state.find_channel(channel).id for name, channel in known.items()}
    ids["$ts"] = await act(standin, "post", person="ada", channel="help", text="x")
    for method, args in REFUSED:
        given = {name: ids.get(str(value), value) for name, value in args.items()}
        with pytest.raises(SlackApiError) as caught:
            await client.api_call(method, json=given)
        body = caught.value.response.data
        assert isinstance(body, dict)
        documented = {*spec.documented_errors(method), *NEWER_CODES}
        assert body["error"] in documented, method
        if body["error"] not in NEWER_CODES:
            assert spec.errors(method, body) == [], method
