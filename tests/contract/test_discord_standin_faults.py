"""How the Discord stand-in refuses and breaks: rate limits, and faults on demand."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from adapters.discord.standin import DiscordStandin, start
from adapters.standin import Fault
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
    rest.token = "nonsense"
    await rest("GET", "/users/@me")
    window = standin._door._limits._windows["invalid"]
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
    late = set(standin._door._late)
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
