"""The Slack stand-in's Socket Mode, listened to by the real Bolt and by a bare WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.standin import SlackStandin, start
from adapters.slack.standin.sockets import MOST_CONNECTIONS, MOST_PARKED
from adapters.standin import Remote

JsonDict = dict[str, Any]
PATIENCE = 30


@pytest.fixture
async def standin() -> AsyncIterator[SlackStandin]:
    started = await start(limits=False)
    yield started
    await started.stop()


@pytest.fixture
async def remote(standin: SlackStandin) -> AsyncIterator[Remote]:
    async with Remote(standin.url) as opened:
        yield opened


def sdk(standin: SlackStandin) -> AsyncWebClient:
    account = standin.account()
    return AsyncWebClient(
        token=account["bot_token"], base_url=account["api_url"], retry_handlers=[]
    )


class Heard:
    """What a Bolt app received, in order of arrival."""

    def __init__(self, handler: AsyncSocketModeHandler) -> None:
        self.bodies: asyncio.Queue[JsonDict] = asyncio.Queue()
        self.handler = handler

    async def next(self) -> JsonDict:
        return await asyncio.wait_for(self.bodies.get(), PATIENCE)

    async def event(self, **wanted: object) -> JsonDict:
        """The next event, which has these fields."""
        event: JsonDict = (await self.next())["event"]
        assert wanted.items() <= event.items()
        return event


@asynccontextmanager
async def bolt(standin: SlackStandin, ping_interval: float = 5) -> AsyncIterator[Heard]:
    """A connected Bolt app that acknowledges everything it hears."""
    app = AsyncApp(client=sdk(standin), ignoring_self_events_enabled=False)
    token = standin.account()["app_token"]
    handler = AsyncSocketModeHandler(app, token, ping_interval=ping_interval)
    heard = Heard(handler)

    @app.middleware
    async def hear(body: JsonDict) -> BoltResponse:
        heard.bodies.put_nowait(body)
        return BoltResponse(status=200)

    await handler.connect_async()
    await until(lambda: standin.state.sockets.connected > 0)
    yield heard
    await handler.close_async()


@asynccontextmanager
async def socket(standin: SlackStandin) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A bare Socket Mode connection, past its hello."""
    opened = await sdk(standin).apps_connections_open(app_token=standin.account()["app_token"])
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(opened["url"], autoping=False) as connection,
    ):
        hello = await frame(connection)
        assert hello["type"] == "hello"
        yield connection


async def frame(connection: aiohttp.ClientWebSocketResponse) -> JsonDict:
    found: JsonDict = json.loads(await connection.receive_str(timeout=PATIENCE))
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_persons_message_arrives_as_slack_sends_it(
    standin: SlackStandin, remote: Remote
) -> None:
    state = standin.state
    ada, grace = state.find_person("ada"), state.find_person("grace")
    general = state.find_channel("general")
    async with bolt(standin) as heard:
        text = "@grace look at #general & https://example.com/?a=1&b=2 @here *now*"
        ts = await remote.post("ada", "help", text)
        body = await heard.next()
    assert body["type"] == "event_callback"
    assert body["team_id"] == state.app.team_id
    assert body["api_app_id"] == state.app.app_id
    assert body["authorizations"][0]["user_id"] == state.app.user.id
    event = body["event"]
    link = "https://example.com/?a=1&b=2"
    assert event["text"] == (
        f"<@{grace.id}> look at <#{general.id}|> &amp; "
        f"<https://example.com/?a=1&amp;b=2> <!here> *now*"
    )
    [block] = event["blocks"]
    assert block["elements"][0]["elements"] == [
        {"type": "user", "user_id": grace.id},
        {"type": "text", "text": " look at "},
        {"type": "channel", "channel_id": general.id},
        {"type": "text", "text": " & "},
        {"type": "link", "url": link},
        {"type": "text", "text": " "},
        {"type": "broadcast", "range": "here"},
        {"type": "text", "text": " "},
        {"type": "text", "text": "now", "style": {"bold": True}},
    ]
    assert {"user": ada.id, "ts": ts, "event_ts": ts, "channel_type": "channel"}.items() <= (
        event.items()
    )
    assert event["client_msg_id"]


@pytest.mark.parametrize(
    ("channel", "kind"), [("help", "channel"), ("secret", "group"), ("dm:ada", "im")]
)
async def test_each_kind_of_channel_is_named(
    standin: SlackStandin, remote: Remote, channel: str, kind: str
) -> None:
    async with bolt(standin) as heard:
        await remote.post("ada", channel, "hi")
        await heard.event(channel_type=kind, channel=standin.state.find_channel(channel).id)


async def test_our_own_post_arrives_with_bot_id_and_without_its_payload(
    standin: SlackStandin,
) -> None:
    state = standin.state
    metadata = {"event_type": "chatbridge", "event_payload": {"key": "k"}}
    async with bolt(standin) as heard:
        posted = await sdk(standin).chat_postMessage(
            channel=state.find_channel("help").id, text="mine", metadata=metadata
        )
        event = await heard.event(ts=posted["ts"], bot_id=state.app.bot_id, text="mine")
    assert event["metadata"] == {"event_type": "chatbridge"}
    assert event["app_id"] == state.app.app_id
    assert "subtype" not in event


async def test_edits_deletes_and_threads_arrive(standin: SlackStandin, remote: Remote) -> None:
    async with bolt(standin) as heard:
        root = await remote.post("ada", "help", "one")
        await heard.event(ts=root)
        reply = await remote.post("grace", "help", "two", thread=root, broadcast=True)
        event = await heard.event(subtype="thread_broadcast", thread_ts=root, ts=reply)
        assert event["root"]["reply_count"] == 1
        await remote.act("edit", message=reply, text="zwei")
        changed = await heard.event(subtype="message_changed", hidden=True)
        assert (changed["message"]["text"], changed["message"]["ts"]) == ("zwei", reply)
        assert changed["message"]["edited"]["user"] == standin.state.find_person("grace").id
        assert changed["previous_message"]["text"] == "two"
        await remote.act("delete", message=root)
        tombstone = await heard.event(subtype="message_changed")
        assert tombstone["message"]["subtype"] == "tombstone"
        await remote.act("delete", message=reply)
        deleted = await heard.event(subtype="message_deleted", deleted_ts=reply)
        assert deleted["previous_message"]["text"] == "zwei"


async def test_reactions_arrive(standin: SlackStandin, remote: Remote) -> None:
    ada, grace = (standin.state.find_person(name).id for name in ("ada", "grace"))
    ts = await remote.post("ada", "help", "look")
    item = {"type": "message", "channel": standin.state.find_channel("help").id, "ts": ts}
    standin.state.sockets.retries = ()
    async with bolt(standin) as heard:
        for do, kind in (("react", "reaction_added"), ("unreact", "reaction_removed")):
            await remote.act(do, person="grace", message=ts, emoji="eyes")
            facts = {"user": grace, "item_user": ada, "reaction": "eyes", "item": item}
            while (event := (await heard.next())["event"])["type"] == "message":
                pass
            assert {"type": kind, **facts}.items() <= event.items()


async def test_new_channels_and_people_are_announced(standin: SlackStandin, remote: Remote) -> None:
    async with bolt(standin) as heard:
        made = await remote.act("channel", person="ada", channel="fresh")
        created = await heard.event(type="channel_created")
        assert (created["channel"]["id"], created["channel"]["name"]) == (made, "fresh")
        me = standin.state.app.user.id
        await heard.event(type="member_joined_channel", channel=made, user=me)
        await remote.act("channel", channel="hush", private=True)
        await heard.event(type="member_joined_channel", channel_type="G")
        zoe = await remote.act("person", person="zoe", zone="Asia/Tokyo")
        joined = await heard.event(type="team_join")
        assert (joined["user"]["id"], joined["user"]["tz_offset"]) == (zoe, 32_400)
        await remote.post("zoe", "fresh", "hello")
        await heard.event(user=zoe)


async def test_a_channel_without_us_sends_no_events(standin: SlackStandin, remote: Remote) -> None:
    async with bolt(standin) as heard:
        await remote.act("channel", channel="away", private=True, member=False)
        await remote.post("ada", "away", "unheard")
        await remote.post("ada", "help", "heard")
        await heard.event(text="heard")


async def test_a_raw_event_arrives_as_it_is(standin: SlackStandin, remote: Remote) -> None:
    raw = {"type": "message", "subtype": "huddle_thread", "event_ts": "1700000000.000100"}
    async with bolt(standin) as heard:
        await remote.act("raw", event=raw)
        assert (await heard.next())["event"] == raw


async def test_an_event_not_acknowledged_in_time_comes_again(
    standin: SlackStandin, remote: Remote
) -> None:
    standin.state.sockets.patience = 0.05
    standin.state.sockets.retries = (0.0, 0.05)
    async with socket(standin) as connection:
        await remote.post("ada", "help", "hi")
        frames = [await frame(connection) for _ in range(3)]
        attempts = [(one["retry_attempt"], one["retry_reason"]) for one in frames]
        assert attempts == [(0, ""), (1, "timeout"), (2, "timeout")]
        assert len({one["payload"]["event_id"] for one in frames}) == 1
        await until(lambda: standin.state.sockets.lost == 1)
    assert standin.state.sockets.owed == 0


async def test_an_acknowledged_event_does_not_come_again(
    standin: SlackStandin, remote: Remote
) -> None:
    async with socket(standin) as connection:
        await remote.post("ada", "help", "hi")
        envelope = await frame(connection)
        assert envelope["type"] == "events_api"
        assert envelope["accepts_response_payload"] is False
        await connection.send_str("nonsense")
        await connection.send_json({"envelope_id": envelope["envelope_id"]})
        await until(lambda: standin.state.sockets.owed == 0)
    assert standin.state.sockets.lost == 0


async def test_each_envelope_goes_to_one_of_several_connections(
    standin: SlackStandin, remote: Remote
) -> None:
    async with socket(standin) as first, socket(standin) as second:
        for text in ("one", "two"):
            await remote.post("ada", "help", text)
        texts = [(await frame(one))["payload"]["event"]["text"] for one in (first, second)]
    assert sorted(texts) == ["one", "two"]


async def test_what_a_lost_connection_owes_goes_to_another(
    standin: SlackStandin, remote: Remote
) -> None:
    async with socket(standin) as first:
        await remote.post("ada", "help", "owed")
        before = await frame(first)
        async with socket(standin) as second:
            await first.close()
            after = await frame(second)
    assert after["payload"] == before["payload"]
    assert (after["retry_attempt"], after["retry_reason"]) == (1, "connection_failed")


async def test_an_event_without_any_connection_waits_a_while_and_is_lost(
    standin: SlackStandin, remote: Remote
) -> None:
    sockets = standin.state.sockets
    sockets.retries = (0.0, 0.02, 0.02)
    await remote.post("ada", "help", "unheard")
    await until(lambda: sockets.lost == 1)
    sockets.retries = (0.0, *[0.05] * 60)
    await remote.post("ada", "help", "late")
    async with socket(standin) as connection:
        envelope = await frame(connection)
    assert envelope["payload"]["event"]["text"] == "late"
    assert envelope["retry_attempt"] >= 2


async def test_no_more_events_wait_than_there_is_room_for(standin: SlackStandin) -> None:
    for _ in range(MOST_PARKED + 3):
        standin.state.sockets.push("events_api", {})
    assert standin.state.sockets.lost == 3


async def test_pings_are_echoed(standin: SlackStandin) -> None:
    async with socket(standin) as connection:
        await connection.ping(b"sdk-ping-pong:1700000000.5")
        message = await connection.receive(timeout=PATIENCE)
    assert (message.type, message.data) == (
        aiohttp.WSMsgType.PONG,
        b"sdk-ping-pong:1700000000.5",
    )


async def test_the_server_pings_too(standin: SlackStandin) -> None:
    standin.state.sockets.ping_seconds = 0.01
    async with socket(standin) as connection:
        message = await connection.receive(timeout=PATIENCE)
    assert message.type is aiohttp.WSMsgType.PING


async def test_a_ticket_is_good_for_one_connection(standin: SlackStandin) -> None:
    opened = await sdk(standin).apps_connections_open(app_token=standin.account()["app_token"])
    async with aiohttp.ClientSession() as session, session.ws_connect(opened["url"]):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(opened["url"])


async def test_one_connection_too_many_is_sent_away(standin: SlackStandin) -> None:
    open_url = sdk(standin).apps_connections_open
    token = standin.account()["app_token"]
    async with aiohttp.ClientSession() as session:
        urls = [(await open_url(app_token=token))["url"] for _ in range(MOST_CONNECTIONS + 1)]
        opened = [await session.ws_connect(url) for url in urls]
        hellos = [await frame(one) for one in opened]
        assert [one.get("num_connections") for one in hellos[:-1]] == [*range(1, 11)]
        assert hellos[-1]["reason"] == "too_many_websockets"
        for one in opened:
            await one.close()


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_bolt_comes_back_after_a_cut(standin: SlackStandin, remote: Remote, how: str) -> None:
    async with bolt(standin, ping_interval=2) as heard:
        await remote.disconnect(how)
        assert standin.state.sockets.connected == 0
        await until(lambda: standin.state.sockets.connected >= 1)
        await remote.post("ada", "help", "back")
        await heard.event(text="back")


async def test_a_fresh_disconnect_says_so_first(standin: SlackStandin, remote: Remote) -> None:
    async with socket(standin) as connection:
        cut = asyncio.create_task(remote.disconnect("fresh"))
        said = await frame(connection)
        assert (said["type"], said["reason"]) == ("disconnect", "refresh_requested")
        assert (await connection.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.CLOSE
        await cut


async def test_thousands_of_events_arrive_in_order(standin: SlackStandin) -> None:
    state = standin.state
    async with socket(standin) as connection:
        for number in range(2000):
            await state.act({"do": "post", "person": "ada", "channel": "help", "text": str(number)})
        texts = []
        for _ in range(2000):
            envelope = await frame(connection)
            texts.append(envelope["payload"]["event"]["text"])
            await connection.send_json({"envelope_id": envelope["envelope_id"]})
    assert texts == [str(number) for number in range(2000)]
