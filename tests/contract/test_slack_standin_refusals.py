"""What the Slack stand-in refuses and breaks: limits of size and rate, and faults on demand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.standin import SlackStandin, start
from adapters.standin import Remote


@pytest.fixture
async def standin() -> AsyncIterator[SlackStandin]:
    started = await start(limits=False)
    yield started
    await started.stop()


@pytest.fixture
async def remote(standin: SlackStandin) -> AsyncIterator[Remote]:
    async with Remote(standin.url) as opened:
        yield opened


@pytest.fixture
def client(standin: SlackStandin) -> AsyncWebClient:
    account = standin.account()
    return AsyncWebClient(
        token=account["bot_token"], base_url=account["api_url"], retry_handlers=[], timeout=5
    )


@pytest.fixture
def help_(standin: SlackStandin) -> str:
    return standin.state.find_channel("help").id


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def context(elements: int) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * elements}


async def error_of(call: Any) -> Any:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "  \n"}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "blocks": "no json"}, "invalid_blocks_format"),
        ({"text": "x", "blocks": '{"type": "divider"}'}, "invalid_blocks_format"),
        ({"text": "x", "blocks": [section("y" * 2700)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "attachments": [{"text": "y"}] * 101}, "too_many_attachments"),
        ({"text": "x", "thread_ts": "1700000000.000100"}, "thread_not_found"),
        ({"text": "x", "metadata": {"event_type": "a"}}, "invalid_metadata_format"),
    ],
)
async def test_a_post_is_refused_with_slacks_code(
    client: AsyncWebClient, help_: str, args: dict[str, Any], code: str
) -> None:
    call = client.api_call("chat.postMessage", json={"channel": help_, **args})
    answer = await error_of(call)
    assert (answer.status_code, answer["error"]) == (200, code)


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (section("x" * 3001), "must be less than 3001 characters"),
        (section(""), "must be more than 0 characters"),
        (header("x" * 151), "must be less than 151 characters"),
        (context(11), "no more than 10 items allowed"),
        (context(0), "no fewer than 1 items allowed"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "unsupported type: mrkdwn"),
        ({"type": "hologram"}, "unsupported type: hologram"),
        ({"type": "section"}, "missing required field: text"),
        ({"type": "divider", "colour": "red"}, "invalid additional property: colour"),
        ({"type": "actions", "elements": [{"type": "lever"}]}, "unsupported type: lever"),
        ({"type": "markdown", "text": 7}, "must provide a string"),
        ({"type": "context", "elements": "x"}, "must provide an array"),
        ({"type": "section", "text": "bare"}, "must provide an object"),
        ({"type": "rich_text", "elements": [{"type": "poem"}]}, "unsupported type: poem"),
        ({"type": "divider", "block_id": "x" * 256}, "must be less than 256 characters"),
    ],
)
async def test_bad_blocks_are_refused_and_named(
    client: AsyncWebClient, help_: str, block: dict[str, Any], complaint: str
) -> None:
    answer = await error_of(client.chat_postMessage(channel=help_, text="x", blocks=[block]))
    assert answer["error"] == "invalid_blocks"
    [message] = answer["response_metadata"]["messages"]
    assert message.startswith(f"[ERROR] {complaint}")
    assert "json-pointer:/blocks/0" in message


async def test_fifty_blocks_pass_and_fifty_one_do_not(client: AsyncWebClient, help_: str) -> None:
    await client.chat_postMessage(channel=help_, text="x", blocks=[{"type": "divider"}] * 50)
    answer = await error_of(
        client.chat_postMessage(channel=help_, text="x", blocks=[{"type": "divider"}] * 51)
    )
    assert answer["error"] == "invalid_blocks"


async def test_the_largest_allowed_message_passes(client: AsyncWebClient, help_: str) -> None:
    await client.chat_postMessage(channel=help_, text="x" * 40_000)
    blocks = [section("x" * 3000)] * 4 + [header("x" * 150), context(10)]
    await client.chat_postMessage(channel=help_, text="x", blocks=blocks)


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("chat.postMessage", {"channel": "C0NONE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"text": "x"}, "channel_not_found"),
        ("chat.update", {"channel": "$help", "ts": "$ada", "text": "x"}, "cant_update_message"),
        ("chat.update", {"channel": "$help", "ts": "1", "text": "x"}, "message_not_found"),
        ("chat.delete", {"channel": "$help", "ts": "$ada"}, "cant_delete_message"),
        ("conversations.history", {"channel": "C0NONE"}, "channel_not_found"),
        ("conversations.history", {}, "invalid_arguments"),
        ("conversations.history", {"channel": "$help", "oldest": "x"}, "invalid_ts_oldest"),
        ("conversations.history", {"channel": "$help", "latest": "y"}, "invalid_ts_latest"),
        ("conversations.history", {"channel": "$help", "limit": "1001"}, "invalid_limit"),
        ("conversations.history", {"channel": "$help", "cursor": "?"}, "invalid_cursor"),
        ("conversations.replies", {"channel": "$help", "ts": "1.0"}, "thread_not_found"),
        ("conversations.list", {"types": "secret_channel"}, "invalid_types"),
        ("conversations.open", {}, "users_list_not_supplied"),
        ("conversations.open", {"users": "U0"}, "user_not_found"),
        ("conversations.open", {"users": ",".join("abcdefghi")}, "too_many_users"),
        (
            "conversations.open",
            {"channel": "$help"},
            "method_not_supported_for_channel_type",
        ),
        ("conversations.join", {"channel": "$dm"}, "method_not_supported_for_channel_type"),
        ("users.info", {"user": "U0"}, "user_not_found"),
        ("users.lookupByEmail", {"email": "nobody@example.com"}, "users_not_found"),
        ("bots.info", {"bot": "B0"}, "bot_not_found"),
        ("reactions.add", {"channel": "$help", "name": "eyes"}, "no_item_specified"),
        (
            "reactions.add",
            {"channel": "$help", "timestamp": "x", "name": "eyes"},
            "bad_timestamp",
        ),
        (
            "reactions.add",
            {"channel": "$help", "timestamp": "$ada", "name": "no such"},
            "invalid_name",
        ),
        (
            "reactions.get",
            {"channel": "$help", "timestamp": "1700000000.000100"},
            "message_not_found",
        ),
    ],
)
async def test_every_method_refuses_with_slacks_codes(
    standin: SlackStandin,
    client: AsyncWebClient,
    remote: Remote,
    method: str,
    args: dict[str, str],
    code: str,
) -> None:
    known = {
        "$help": standin.state.find_channel("help").id,
        "$dm": standin.state.find_channel("dm:ada").id,
        "$ada": await remote.post("ada", "help", "mine"),
    }
    given = {name: known.get(value, value) for name, value in args.items()}
    answer = await error_of(client.api_call(method, params=given))
    assert (answer.status_code, answer["error"]) == (200, code)


async def test_posting_too_fast_is_refused_for_that_channel_only() -> None:
    standin = await start()
    client = AsyncWebClient(
        token=standin.account()["bot_token"],
        base_url=standin.account()["api_url"],
        retry_handlers=[],
    )
    ids = [standin.state.find_channel(name).id for name in ("help", "general")]
    for _ in range(5):
        await client.chat_postMessage(channel=ids[0], text="x")
    answer = await error_of(client.chat_postMessage(channel=ids[0], text="x"))
    assert (answer.status_code, answer["error"]) == (429, "ratelimited")
    assert answer.headers["Retry-After"] == "1"
    await client.chat_postMessage(channel=ids[1], text="x")
    assert len(standin.state.seen("help")) == 5
    async with Remote(standin.url) as remote:
        await remote.knobs(limits=False)
    await client.chat_postMessage(channel=ids[0], text="x")
    await standin.stop()


async def test_other_methods_have_their_tier() -> None:
    standin = await start()
    client = AsyncWebClient(
        token=standin.account()["bot_token"],
        base_url=standin.account()["api_url"],
        retry_handlers=[],
    )
    channel = standin.state.find_channel("help").id
    answers = await asyncio.gather(
        *(client.conversations_history(channel=channel) for _ in range(110)),
        return_exceptions=True,
    )
    assert 100 <= sum(not isinstance(one, BaseException) for one in answers) <= 102
    await standin.stop()


@pytest.mark.parametrize(
    ("kind", "status", "code", "stored"),
    [
        ("status", 500, "internal_error", 0),
        ("status", 503, "service_unavailable", 0),
        ("status", 200, "internal_error", 0),
        ("status", 403, "access_denied", 0),
        ("status_after", 500, "internal_error", 1),
        ("ratelimit", 429, "ratelimited", 0),
    ],
)
async def test_faults_answer_instead(
    client: AsyncWebClient,
    remote: Remote,
    help_: str,
    kind: str,
    status: int,
    code: str,
    stored: int,
) -> None:
    await remote.fault("chat.*", kind, status=status, seconds=7, channel="help")
    answer = await error_of(client.chat_postMessage(channel=help_, text="x"))
    assert (answer.status_code, answer["error"]) == (status, code)
    assert len(await remote.messages("help")) == stored
    if kind == "ratelimit":
        assert answer.headers["Retry-After"] == "7"
    await client.chat_postMessage(channel=help_, text="works again")


async def test_a_bad_gateway_answers_a_web_page(
    client: AsyncWebClient, remote: Remote, help_: str
) -> None:
    await remote.fault("chat.postMessage", "status", status=502)
    answer = await error_of(client.chat_postMessage(channel=help_, text="x"))
    assert answer.status_code == 502


@pytest.mark.parametrize(("kind", "stored"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_call_has_no_answer(
    client: AsyncWebClient, remote: Remote, help_: str, kind: str, stored: int
) -> None:
    await remote.fault("chat.postMessage", kind)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.chat_postMessage(channel=help_, text="x")
    assert len(await remote.messages("help")) == stored


async def test_a_late_call_is_carried_out_after_its_client_gave_up(
    client: AsyncWebClient, remote: Remote, help_: str
) -> None:
    await remote.fault("chat.postMessage", "accept_late", seconds=0.2)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.chat_postMessage(channel=help_, text="late")
    assert await remote.messages("help") == []
    [entry] = await remote.happened(wait=3)
    assert entry["text"] == "late"


async def test_a_slow_call_outlasts_an_impatient_client(
    standin: SlackStandin, remote: Remote, help_: str
) -> None:
    account = standin.account()
    timeout = aiohttp.ClientTimeout(total=0.1)
    await remote.fault("chat.postMessage", "latency", seconds=3)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        impatient = AsyncWebClient(
            token=account["bot_token"],
            base_url=account["api_url"],
            session=session,
            retry_handlers=[],
        )
        with pytest.raises(TimeoutError):
            await impatient.chat_postMessage(channel=help_, text="done")
    [entry] = await remote.happened(wait=3)
    assert entry["text"] == "done"


async def test_faults_fit_a_channel_by_name_and_can_be_mended(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote, help_: str
) -> None:
    await remote.fault("chat.postMessage", "status", times=-1, channel="dm:ada")
    await client.chat_postMessage(channel=help_, text="other channel")
    ada = standin.state.find_person("ada").id
    assert (await error_of(client.chat_postMessage(channel=ada, text="x"))).status_code == 500
    await remote.mend()
    await client.chat_postMessage(channel=ada, text="x")
