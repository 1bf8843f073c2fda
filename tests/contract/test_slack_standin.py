"""The Slack stand-in through the real SDK: what it accepts, keeps, shows and refuses."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.standin import SlackStandin, start
from adapters.slack.standin.channels import MOST_REACTING
from adapters.standin import CHANNELS, PEOPLE, PRIVATE_CHANNELS, Remote
from bridge.ports import Standin

KEY = {"event_type": "chatbridge_delivery", "event_payload": {"key": "k1"}}


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
    return sdk(standin)


def sdk(standin: SlackStandin, token: str | None = None, timeout: int = 5) -> AsyncWebClient:
    account = standin.account()
    return AsyncWebClient(
        token=account["bot_token"] if token is None else token,
        base_url=account["api_url"],
        retry_handlers=[],
        timeout=timeout,
    )


def channel(standin: SlackStandin, name: str = "help") -> str:
    return standin.state.find_channel(name).id


def person(standin: SlackStandin, name: str = "ada") -> str:
    return standin.state.find_person(name).id


async def refusal(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    assert caught.value.response.status_code == 200
    assert caught.value.response["ok"] is False
    return str(caught.value.response["error"])


async def test_it_is_a_standin_and_can_be_stopped_twice() -> None:
    started = await start()
    assert isinstance(started, Standin)
    assert started.account()["platform"] == "slack"
    await started.stop()
    await started.stop()


async def test_a_restarted_standin_keeps_its_tokens_and_ids() -> None:
    first = await start()
    port, account = int(first.url.rpartition(":")[2]), first.account()
    await first.stop()
    second = await start(port)
    assert second.account() == account
    assert channel(second) == channel(first)
    await second.stop()


async def test_the_cast_is_there(standin: SlackStandin, client: AsyncWebClient) -> None:
    everybody = await client.users_list()
    names = {one["name"] for one in everybody["members"]}
    assert names == {*PEOPLE, "chatbridge"}
    listed = await client.conversations_list(types="public_channel,private_channel")
    assert {one["name"] for one in listed["channels"]} == {*CHANNELS, *PRIVATE_CHANNELS}
    assert all(one["is_member"] for one in listed["channels"])
    assert [one["name"] for one in listed["channels"] if one["is_private"]] == ["secret"]
    me = await client.auth_test()
    assert (me["user_id"], me["bot_id"]) == (standin.state.app.user.id, standin.state.app.bot_id)


@pytest.mark.parametrize(
    ("token", "code"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth"), (None, "")]
)
async def test_tokens_are_checked(standin: SlackStandin, token: str | None, code: str) -> None:
    if token is None:
        token, code = standin.account()["app_token"], "not_allowed_token_type"
    assert await refusal(sdk(standin, token).auth_test()) == code


async def test_a_bot_token_opens_no_connection(standin: SlackStandin) -> None:
    bot = standin.account()["bot_token"]
    call = sdk(standin).apps_connections_open(app_token=bot)
    assert await refusal(call) == "not_allowed_token_type"


async def test_an_unknown_method_is_refused(client: AsyncWebClient) -> None:
    assert await refusal(client.api_call("chat.shout")) == "unknown_method"


@pytest.mark.parametrize(
    ("verb", "how"),
    [
        *((verb, how) for verb in ("GET", "POST") for how in ("query", "form", "json")),
        ("POST", "multipart"),
    ],
)
async def test_arguments_come_by_query_form_and_json(
    standin: SlackStandin, verb: str, how: str
) -> None:
    blocks = [{"type": "divider"}]
    args = {"token": standin.account()["bot_token"], "channel": channel(standin), "text": "hi"}
    options: dict[str, Any] = {
        "query": {"params": {**args, "blocks": json.dumps(blocks)}},
        "form": {"data": {**args, "blocks": json.dumps(blocks)}},
        "json": {"json": {**args, "blocks": blocks}},
        "multipart": {"data": aiohttp.FormData(args, default_to_multipart=True)},
    }[how]
    url = standin.account()["api_url"] + "chat.postMessage"
    async with aiohttp.ClientSession() as session, session.request(verb, url, **options) as answer:
        body = await answer.json()
    assert body["ok"], body
    assert body["message"]["text"] == "hi"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "chat:write" in answer.headers["x-oauth-scopes"]


@pytest.mark.parametrize(
    ("data", "content_type", "code"),
    [
        ("{", "application/json; charset=utf-8", "invalid_json"),
        ("[]", "application/json; charset=utf-8", "json_not_object"),
        ("a=b", "text/plain", "invalid_post_type"),
        ("{}", "application/json; charset=ebcdic", "invalid_charset"),
    ],
)
async def test_a_broken_body_is_refused_with_its_code(
    standin: SlackStandin, data: str, content_type: str, code: str
) -> None:
    url = standin.account()["api_url"] + "auth.test"
    headers = {"Content-Type": content_type}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=data, headers=headers) as answer,
    ):
        assert answer.status == 200
        assert (await answer.json())["error"] == code


async def test_a_post_is_kept_journaled_and_seen(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    text = f"Hi <@{person(standin)}>, see *this* & https://example.com"
    posted = await client.chat_postMessage(channel=channel(standin), text=text, metadata=KEY)
    stored = f"Hi <@{person(standin)}>, see *this* &amp; <https://example.com>"
    assert posted["message"]["text"] == stored
    assert posted["message"]["bot_id"] == standin.state.app.bot_id
    [seen] = await remote.messages("help")
    assert (seen.id, seen.author, seen.by_app) == (posted["ts"], "chatbridge", True)
    assert seen.text == "Hi @ada, see this & https://example.com"
    assert seen.raw["metadata"] == KEY
    [entry] = await remote.happened()
    facts = {"what": "posted", "channel": "help", "by_app": True, "text": seen.text, "thread": ""}
    assert facts.items() <= entry.items()


async def test_ts_grow_and_are_unique(standin: SlackStandin, client: AsyncWebClient) -> None:
    calls = [client.chat_postMessage(channel=channel(standin), text=str(n)) for n in range(30)]
    await asyncio.gather(*calls)
    ids = [seen.id for seen in standin.state.seen("help")]
    assert ids == sorted(set(ids))
    assert all(len(one) == 17 and one[10] == "." for one in ids)


async def test_nothing_makes_a_post_idempotent(
    standin: SlackStandin, client: AsyncWebClient
) -> None:
    for _ in range(2):
        await client.chat_postMessage(channel=channel(standin), text="x", client_msg_id="same")
    assert len(standin.state.seen("help")) == 2


async def test_metadata_is_shown_only_on_request(
    standin: SlackStandin, client: AsyncWebClient
) -> None:
    root = await client.chat_postMessage(channel=channel(standin), text="x", metadata=KEY)
    where = {"channel": channel(standin)}
    assert "metadata" not in root["message"]
    assert "metadata" not in (await client.conversations_history(**where))["messages"][0]
    for answer in (
        await client.conversations_history(**where, include_all_metadata=True),
        await client.conversations_replies(**where, ts=root["ts"], include_all_metadata=True),
    ):
        assert answer["messages"][0]["metadata"] == KEY


async def test_blocks_are_what_a_reader_sees(standin: SlackStandin, client: AsyncWebClient) -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "Digest"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*3* by <@{person(standin)}>"}},
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "<https://a.example|more>"}]},
    ]
    posted = await client.chat_postMessage(channel=channel(standin), text="short", blocks=blocks)
    assert posted["message"]["text"] == "short"
    assert all(block["block_id"] for block in posted["message"]["blocks"])
    assert standin.state.seen("help")[0].text == "Digest\n3 by @ada\nmore"


async def test_direct_messages_go_by_person_and_by_conversation(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    first = await client.chat_postMessage(channel=person(standin), text="one")
    opened = await client.conversations_open(users=person(standin))
    assert opened["already_open"]
    assert first["channel"] == opened["channel"]["id"] == channel(standin, "dm:ada")
    await client.chat_postMessage(channel=opened["channel"]["id"], text="two")
    assert [seen.text for seen in await remote.messages("dm:ada")] == ["one", "two"]
    info = await client.conversations_info(channel=first["channel"])
    assert info["channel"]["is_im"]
    assert info["channel"]["user"] == person(standin)


async def test_several_people_make_a_group_conversation(
    standin: SlackStandin, client: AsyncWebClient
) -> None:
    both = [person(standin, "ada"), person(standin, "grace")]
    opened = await client.conversations_open(users=both, return_im=True)
    assert opened["channel"]["is_mpim"]
    again = await client.conversations_open(users=both)
    assert again["channel"]["id"] == opened["channel"]["id"]


async def test_threads_have_roots_replies_and_broadcasts(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    where = {"channel": channel(standin)}
    root = await remote.post("ada", "help", "question?")
    await remote.post("grace", "help", "answer", thread=root)
    loud = await client.chat_postMessage(
        **where, text="aloud", thread_ts=root, reply_broadcast=True
    )
    history = (await client.conversations_history(**where))["messages"]
    assert [one["ts"] for one in history] == [loud["ts"], root]
    assert history[0]["subtype"] == "thread_broadcast"
    expected = {"reply_count": 2, "latest_reply": loud["ts"], "thread_ts": root}
    assert expected.items() <= history[1].items()
    assert history[1]["reply_users"] == [person(standin, "grace"), standin.state.app.user.id]
    thread = (await client.conversations_replies(**where, ts=root))["messages"]
    assert [one["text"] for one in thread] == ["question?", "answer", "aloud"]
    assert thread[1]["parent_user_id"] == person(standin)
    [_, seen, _] = await remote.messages("help")
    assert seen.thread == root


async def test_a_reply_to_a_reply_lands_in_the_same_thread(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    root = await remote.post("ada", "help", "one")
    reply = await remote.post("grace", "help", "two", thread=root)
    deep = await client.chat_postMessage(channel=channel(standin), text="3", thread_ts=reply)
    assert deep["message"]["thread_ts"] == root


async def test_history_is_paged_newest_first(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    ids = [await remote.post("ada", "help", str(n)) for n in range(7)]
    where = {"channel": channel(standin)}
    found, cursor = [], None
    while cursor != "":
        page = await client.conversations_history(**where, limit=3, cursor=cursor)
        found += [one["ts"] for one in page["messages"]]
        assert page["has_more"] == ("response_metadata" in page.data)
        cursor = page.get("response_metadata", {}).get("next_cursor", "")
    assert found == ids[::-1]


@pytest.mark.parametrize(("inclusive", "expected"), [(False, [2]), (True, [1, 2, 3])])
async def test_history_is_bounded_by_oldest_and_latest(
    standin: SlackStandin,
    client: AsyncWebClient,
    remote: Remote,
    inclusive: bool,
    expected: list[int],
) -> None:
    ids = [await remote.post("ada", "help", str(n)) for n in range(5)]
    found = await client.conversations_history(
        channel=channel(standin), oldest=ids[1], latest=ids[3], inclusive=inclusive
    )
    assert [one["ts"] for one in found["messages"]] == [ids[n] for n in reversed(expected)]


async def test_replies_are_paged_oldest_first(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    root = await remote.post("ada", "help", "root")
    ids = [await remote.post("grace", "help", str(n), thread=root) for n in range(5)]
    where = {"channel": channel(standin), "ts": root, "limit": 3}
    found, cursor = [], None
    while cursor != "":
        page = await client.conversations_replies(**where, cursor=cursor)
        assert page["messages"][0]["ts"] == root
        found += [one["ts"] for one in page["messages"][1:]]
        cursor = page.get("response_metadata", {}).get("next_cursor", "")
    assert found == ids


async def test_history_lags_behind_when_told_to(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    root = await remote.post("ada", "help", "new")
    await remote.knobs(history_lag=30)
    history = await client.conversations_history(channel=channel(standin))
    assert history["messages"] == []
    replies = client.conversations_replies(channel=channel(standin), ts=root)
    assert await refusal(replies) == "thread_not_found"
    assert len(await remote.messages("help")) == 1


async def test_an_edit_changes_the_text_and_takes_blocks_away(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "old"}}]
    where = {"channel": channel(standin)}
    posted = await client.chat_postMessage(**where, text="old", blocks=blocks)
    updated = await client.chat_update(**where, ts=posted["ts"], text="new")
    assert updated["text"] == updated["message"]["text"] == "new"
    assert "blocks" not in updated["message"]
    [seen] = await remote.messages("help")
    assert (seen.text, seen.edited) == ("new", True)


async def test_attachments_stay_until_an_edit_empties_them(
    standin: SlackStandin, client: AsyncWebClient
) -> None:
    where = {"channel": channel(standin), "text": "x"}
    posted = await client.chat_postMessage(**where, attachments=[{"fallback": "f", "text": "t"}])
    assert posted["message"]["attachments"] == [{"fallback": "f", "text": "t", "id": 1}]
    kept = await client.chat_update(**where, ts=posted["ts"])
    assert kept["message"]["attachments"]
    emptied = await client.chat_update(**where, ts=posted["ts"], attachments=[])
    assert "attachments" not in emptied["message"]


async def test_a_post_under_another_name_is_a_bot_message(
    standin: SlackStandin, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(
        channel=channel(standin), text="x", username="ada (elsewhere)", icon_emoji=":robot_face:"
    )
    message = posted["message"]
    assert (message["subtype"], message["username"]) == ("bot_message", "ada (elsewhere)")
    assert message["icons"] == {"emoji": ":robot_face:"}
    assert "user" not in message
    await client.chat_delete(channel=channel(standin), ts=posted["ts"])


async def test_a_deleted_message_is_gone_from_history_but_not_from_control(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    where = {"channel": channel(standin)}
    posted = await client.chat_postMessage(**where, text="oops")
    await client.chat_delete(**where, ts=posted["ts"])
    assert (await client.conversations_history(**where))["messages"] == []
    assert [seen.deleted for seen in await remote.messages("help")] == [True]
    assert await refusal(client.chat_delete(**where, ts=posted["ts"])) == "message_not_found"
    link = client.chat_getPermalink(**where, message_ts=posted["ts"])
    assert await refusal(link) == "message_not_found"


async def test_the_root_of_a_thread_leaves_a_tombstone_until_its_last_reply_goes(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    root = await remote.post("ada", "help", "root")
    reply = await remote.post("grace", "help", "reply", thread=root)
    await remote.act("delete", message=root)
    history = await client.conversations_history(channel=channel(standin))
    assert [one["subtype"] for one in history["messages"]] == ["tombstone"]
    await remote.act("delete", message=reply)
    history = await client.conversations_history(channel=channel(standin))
    assert history["messages"] == []


async def test_reactions_come_and_go(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    root = await remote.post("ada", "help", "look")
    await remote.act("react", person="grace", message=root, emoji="eyes")
    where = {"channel": channel(standin), "timestamp": root}
    await client.reactions_add(**where, name="eyes")
    assert await refusal(client.reactions_add(**where, name="eyes")) == "already_reacted"
    got = await client.reactions_get(**where)
    users = [person(standin, "grace"), standin.state.app.user.id]
    assert got["message"]["reactions"] == [{"name": "eyes", "users": users, "count": 2}]
    [seen] = await remote.messages("help")
    assert seen.reactions == {"eyes": ["grace", "chatbridge"]}
    await client.reactions_remove(**where, name="eyes")
    assert await refusal(client.reactions_remove(**where, name="eyes")) == "no_reaction"
    what = [(entry["what"], entry["author"]) for entry in await remote.happened(after=1)]
    mine = ("reacted", "chatbridge"), ("unreacted", "chatbridge")
    assert what == [("reacted", "grace"), *mine]


async def test_a_long_list_of_reactions_is_cut_unless_asked_for_in_full(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    ts = await remote.post("ada", "help", "who comes?")
    for number in range(MOST_REACTING + 2):
        await remote.act("person", person=f"guest{number}")
        await remote.act("react", person=f"guest{number}", message=ts, emoji="eyes")
    history = await client.conversations_history(channel=channel(standin))
    [cut] = history["messages"][0]["reactions"]
    assert (cut["count"], len(cut["users"])) == (MOST_REACTING + 2, MOST_REACTING)
    got = await client.reactions_get(channel=channel(standin), timestamp=ts, full=True)
    [whole] = got["message"]["reactions"]
    assert len(whole["users"]) == whole["count"] == MOST_REACTING + 2


async def test_permalinks_name_the_thread(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    root = await remote.post("ada", "help", "root")
    reply = await remote.post("grace", "help", "reply", thread=root)
    found = await client.chat_getPermalink(channel=channel(standin), message_ts=reply)
    base = f"https://standin.slack.com/archives/{channel(standin)}/p{reply.replace('.', '')}"
    assert found["permalink"] == f"{base}?thread_ts={root}&cid={channel(standin)}"


async def test_lists_are_paged_with_cursors(client: AsyncWebClient) -> None:
    names, cursor = [], None
    while cursor != "":
        page = await client.conversations_list(limit=2, cursor=cursor)
        names += [one["name"] for one in page["channels"]]
        cursor = page["response_metadata"]["next_cursor"]
    assert sorted(names) == sorted(CHANNELS)
    assert await refusal(client.users_list(cursor="made up")) == "invalid_cursor"


async def test_people_are_found_by_id_and_email(
    standin: SlackStandin, client: AsyncWebClient
) -> None:
    found = await client.users_lookupByEmail(email="grace@example.com")
    assert found["user"]["profile"]["display_name"] == "grace"
    info = await client.users_info(user=person(standin, "grace"))
    assert info["user"] == found["user"]
    assert info["user"]["tz"] == "America/New_York"


async def test_a_channel_without_us_is_closed_until_we_join(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    where = {"channel": await remote.act("channel", channel="later", member=False)}
    assert await refusal(client.chat_postMessage(**where, text="x")) == "not_in_channel"
    assert await refusal(client.conversations_history(**where)) == "not_in_channel"
    await client.conversations_join(**where)
    await client.chat_postMessage(**where, text="x")
    hidden = await remote.act("channel", channel="hidden", private=True, member=False)
    assert await refusal(client.conversations_info(channel=hidden)) == "channel_not_found"
    await remote.act("archive", channel="later")
    assert await refusal(client.chat_postMessage(**where, text="x")) == "is_archived"
    assert standin.state.seen("later")[0].by_app


async def test_ephemeral_messages_are_kept_nowhere(
    standin: SlackStandin, client: AsyncWebClient, remote: Remote
) -> None:
    where = {"channel": channel(standin), "text": "psst"}
    await client.chat_postEphemeral(**where, user=person(standin))
    assert await remote.messages("help") == []
    assert await refusal(client.chat_postEphemeral(**where, user="U0")) == "user_not_in_channel"


async def test_control_refuses_what_does_not_exist(remote: Remote) -> None:
    for act in (
        {"do": "post", "person": "nobody", "channel": "help", "text": "x"},
        {"do": "post", "person": "ada", "channel": "nowhere", "text": "x"},
        {"do": "edit", "message": "1700000000.000100", "text": "x"},
        {"do": "channel", "channel": "help"},
        {"do": "person", "person": "zoe", "zone": "Mars/Olympus"},
        {"do": "sing"},
    ):
        with pytest.raises(ValueError, match="act"):
            await remote.act(**act)


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83d of a pair", "\U0001f600 ok", "\u202e"])
async def test_any_text_survives(standin: SlackStandin, client: AsyncWebClient, text: str) -> None:
    posted = await client.chat_postMessage(channel=channel(standin), text=text)
    assert posted["message"]["text"] == text
    history = await client.conversations_history(channel=channel(standin))
    assert history["messages"][0]["text"] == text
    assert standin.state.seen("help")[0].text == text
