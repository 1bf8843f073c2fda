"""What Discord remembers, read by the adapter with the real SDK from the stand-in."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.discord.history import DiscordHistory
from adapters.discord.listener import DiscordListener
from adapters.discord.sender import DiscordSender
from adapters.discord.snowflakes import position_at
from bridge.errors import PermanentError, RateLimitedError, RetryableError, UnknownOutcomeError
from bridge.messages import (
    ChannelRef,
    Deleted,
    Outbound,
    Page,
    Posted,
    Receipt,
    Shown,
)
from bridge.richtext import Heading, Link, Note, Paragraph, Text
from tests.contract.test_discord_adapter import CREATE, Far, Heard, far_side, listening, outbound

READ_MESSAGE_HISTORY = 1 << 16
LIST = "GET /channels/*/messages"
PATIENCE = 5.0


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    async with far_side() as side:
        yield side


@pytest.fixture
async def sender(far: Far) -> AsyncIterator[DiscordSender]:
    made = DiscordSender("club", far.settings)
    yield made
    await made.close()


@pytest.fixture
async def history(far: Far) -> AsyncIterator[DiscordHistory]:
    made = DiscordHistory("club", far.settings)
    yield made
    await made.close()


async def lose(far: Far, sender: DiscordSender, message: Outbound, kind: str) -> None:
    """Make an attempt whose outcome nobody hears of."""
    await far.remote.fault(CREATE, kind)
    with pytest.raises(UnknownOutcomeError):
        await sender.send(message)


async def last_id(far: Far, channel: str) -> str:
    return (await far.remote.messages(channel))[-1].id


async def pages(history: DiscordHistory, channel: ChannelRef, after: int, roots: int = 0) -> Any:
    return [page async for page in history.missed(channel, after, roots)]


def texts(*found: Page) -> list[str]:
    return [one.message.text for page in found for one in page.events if isinstance(one, Shown)]


async def opened(far: Far, channel: str = "help") -> str:
    """A root with a thread."""
    root = await far.remote.post("ada", channel, "root")
    await far.remote.post("ada", channel, "opens it", thread=root)
    return root


def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("history", "history.reader"):
        monkeypatch.setattr(f"adapters.discord.{module}.PAGE", 2)


# -- find


async def test_a_message_whose_receipt_was_lost_is_found(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    first = await sender.send(outbound(far.channel("help"), "earlier", key="k0"))
    message = outbound(far.channel("help"), "it is *due*  \n", key="k1")
    await lose(far, sender, message, "drop_after")
    arrived = await last_id(far, "help")
    assert await history.find(message, first.native_id) == Receipt(arrived, int(arrived))
    assert await history.find(message, "") == Receipt(arrived, int(arrived))


async def test_a_message_that_never_arrived_is_not_found(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    first = await sender.send(outbound(far.channel("help"), "hello", key="k0"))
    message = outbound(far.channel("help"), "hello", key="k1")
    await lose(far, sender, message, "drop_before")
    await far.remote.post("ada", "help", "hello")
    assert await history.find(message, first.native_id) is None


async def test_of_two_equal_texts_only_the_later_one_counts(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    first = await sender.send(outbound(far.channel("help"), "hello", key="k0"))
    message = outbound(far.channel("help"), "hello", key="k1")
    assert await history.find(message, first.native_id) is None
    await lose(far, sender, message, "drop_after")
    found = await history.find(message, first.native_id)
    assert found
    assert found.native_id == await last_id(far, "help") != first.native_id


async def test_a_card_is_found_by_its_words(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    blocks = (
        Heading(" News "),
        Paragraph((Text("ten ", bold=True), Link("http://x.example", "more"))),
        Note((Text("small "),)),
    )
    message = Outbound(far.channel("digest"), "k1", blocks, card=True)
    await lose(far, sender, message, "drop_after")
    found = await history.find(message, "")
    assert found
    other = Outbound(far.channel("digest"), "k2", (*blocks[:1], *blocks[2:]), card=True)
    assert await history.find(other, "") is None


async def test_a_message_in_a_thread_is_found_there(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    root = await opened(far)
    message = outbound(far.channel("help"), "inside", thread=root)
    assert await history.find(message, root) is None
    await lose(far, sender, message, "drop_after")
    found = await history.find(message, root)
    assert found
    assert found.native_id == await last_id(far, "help")


async def test_a_message_beside_a_root_without_a_thread_is_found_in_the_channel(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    root = await far.remote.post("ada", "help", "root")
    message = outbound(far.channel("help"), "beside", key="k1", thread=root)
    await sender.send(outbound(far.channel("help"), "beside", key="k0"))
    for after in (root, ""):
        assert await history.find(message, after) is None  # the same words, but no answer to it
    await far.remote.fault(CREATE, "latency", seconds=0.0)  # the thread's 404 is no lost response
    await lose(far, sender, message, "drop_after")
    arrived = await last_id(far, "help")
    assert await history.find(message, root) == Receipt(arrived, int(arrived))
    await far.remote.post("ada", "help", "now there is a thread", thread=root)
    assert await history.find(message, "") == Receipt(arrived, int(arrived))


async def test_a_direct_message_is_found(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    ada = ChannelRef("club", f"dm:{far.person('ada')}")
    message = outbound(ada, "just us")
    await lose(far, sender, message, "drop_before")
    assert await history.find(message, "") is None
    await lose(far, sender, message, "drop_after")
    found = await history.find(message, "")
    assert found
    assert found.native_id == await last_id(far, "dm:ada")


async def test_a_message_accepted_late_is_found_by_a_later_look(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    message = outbound(far.channel("help"))
    assert await history.find(message, "") is None
    await far.remote.fault(CREATE, "accept_late", seconds=0.4)
    with pytest.raises(UnknownOutcomeError):
        await sender.send(message)
    assert await history.find(message, "") is None
    await far.remote.happened(0, wait=PATIENCE)
    assert await history.find(message, "")


async def test_history_that_lags_hides_a_message_at_first(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    message = outbound(far.channel("help"))
    await lose(far, sender, message, "drop_after")
    await far.remote.knobs(history_lag=60.0)
    assert await history.find(message, "") is None
    await far.remote.knobs(history_lag=0.0)
    assert await history.find(message, "")


async def test_a_message_is_found_behind_many_others(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    first = await sender.send(outbound(far.channel("help"), "earlier", key="k0"))
    for n in range(230):
        await far.standin.act({"do": "post", "person": "ada", "channel": "help", "text": str(n)})
    message = outbound(far.channel("help"), "hello", key="k1")
    await lose(far, sender, message, "drop_after")
    found = await history.find(message, first.native_id)
    assert found
    assert found.native_id == await last_id(far, "help")


async def test_without_a_receipt_only_the_last_hour_counts(
    far: Far, sender: DiscordSender, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = outbound(far.channel("help"))
    await sender.send(message)
    assert await history.find(message, "")
    monkeypatch.setattr("adapters.discord.history.RECENT", timedelta(hours=-1))
    assert await history.find(message, "") is None


async def test_a_search_that_a_limit_cut_short_goes_on_where_it_was(
    far: Far, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    first = await far.remote.post("ada", "help", "0")
    for n in range(1, 6):
        await far.remote.post("ada", "help", str(n))
    asked: list[str] = []
    whole = history._reader.later

    async def later(place: str, after: int) -> Any:
        asked.append(str(after))
        if len(asked) == 3:
            raise RateLimitedError("wait", 1.0)
        return await whole(place, after)

    monkeypatch.setattr(history._reader, "later", later)
    message = outbound(far.channel("help"))
    with pytest.raises(RateLimitedError):
        await history.find(message, first)
    assert await history.find(message, first) is None
    assert asked[:3] == sorted(set(asked[:3]))
    assert asked[3] == asked[2]
    assert await history.find(message, first) is None
    assert asked.count(first) == 2  # a new search begins at the beginning


async def test_where_history_may_not_be_read_nothing_is_said_to_be_missing(
    far: Far, history: DiscordHistory
) -> None:
    await far.remote.post("ada", "help", "hello")
    await far.remote.act("channel", channel="help", denied=READ_MESSAGE_HISTORY)
    with pytest.raises(PermanentError, match="Read Message History"):
        await history.find(outbound(far.channel("help")), "")
    with pytest.raises(PermanentError, match="Read Message History"):
        await pages(history, far.channel("help"), 0)


async def test_failures_of_a_look_have_their_meaning(far: Far, history: DiscordHistory) -> None:
    message = outbound(far.channel("help"))
    await history.find(message, "")
    await far.remote.fault(LIST, "ratelimit", seconds=7.5)
    with pytest.raises(RateLimitedError) as caught:
        await history.find(message, "")
    assert (caught.value.retry_after, caught.value.scope) == (7.5, "lane")
    for kind in ("drop_before", "status"):
        await far.remote.fault(LIST, kind, status=503, times=-1)
        with pytest.raises(RetryableError):
            await history.find(message, "")
        await far.remote.mend()
    await far.remote.act("channel", channel="secret", denied=1 << 10)
    with pytest.raises(PermanentError, match="50001"):
        await history.find(outbound(far.channel("secret")), "")


async def test_a_call_without_an_answer_is_cut(
    far: Far, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = outbound(far.channel("help"))
    await history.find(message, "")
    monkeypatch.setattr("adapters.discord.history.reader.CUT_SECONDS", 0.05)
    await far.remote.fault(LIST, "latency", seconds=1.0)
    with pytest.raises(RetryableError, match="no answer in time"):
        await history.find(message, "")


# -- look


async def test_a_message_is_shown_with_its_reactions_and_replies(
    far: Far, history: DiscordHistory
) -> None:
    root = await opened(far)
    await far.remote.post("linus", "help", "by the way")
    await far.remote.post("grace", "help", "beside", reply_to=root)
    await far.remote.post("grace", "help", "inside", thread=root)
    for person, emoji in (("grace", "eyes"), ("linus", "eyes"), ("linus", "white_check_mark")):
        await far.remote.act("react", person=person, message=root, emoji=emoji)
    shown, *replies = await history.look(far.channel("help"), root, "")
    assert isinstance(shown, Shown)
    assert (shown.message.native_id, shown.message.text, shown.edited_at) == (root, "root", None)
    assert set(shown.reactions or ()) == {
        ("eyes", far.person("grace")),
        ("eyes", far.person("linus")),
        ("white_check_mark", far.person("linus")),
    }
    said = {one.message.text: one.message for one in replies if isinstance(one, Shown)}
    assert sorted(said) == ["beside", "inside", "opens it"]
    assert (said["beside"].reply_to, said["beside"].thread) == (root, "")
    assert (said["inside"].thread, said["inside"].channel) == (root, far.channel("help"))


async def test_a_reply_in_a_thread_is_shown_with_its_answers(
    far: Far, history: DiscordHistory
) -> None:
    root = await opened(far)
    asked = await far.remote.post("ada", "help", "and this?", thread=root)
    await far.remote.post("grace", "help", "so", thread=root, reply_to=asked)
    await far.remote.post("grace", "help", "else", thread=root)
    found = await history.look(far.channel("help"), asked, root)
    assert [one.message.text for one in found if isinstance(one, Shown)] == ["and this?", "so"]
    assert {one.message.thread for one in found if isinstance(one, Shown)} == {root}


async def test_an_edited_message_is_shown_as_it_reads_now(
    far: Far, history: DiscordHistory
) -> None:
    native = await far.remote.post("ada", "help", "before")
    await far.remote.act("edit", person="ada", message=native, text="after")
    [shown] = await history.look(far.channel("help"), native, "")
    assert isinstance(shown, Shown)
    assert (shown.message.text, shown.reactions) == ("after", ())
    assert shown.edited_at
    assert abs(shown.edited_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("where", ["channel", "thread", "dm"])
async def test_a_message_that_is_gone_is_deleted(
    far: Far, history: DiscordHistory, where: str
) -> None:
    thread = await opened(far) if where == "thread" else ""
    place = "dm:ada" if where == "dm" else "help"
    native = await far.remote.post("ada", place, "gone", **({"thread": thread} if thread else {}))
    await far.remote.act("delete", message=native)
    [gone] = await history.look(far.channel(place), native, thread)
    assert isinstance(gone, Deleted)
    assert (gone.channel, gone.native_id) == (far.channel(place), native)
    assert gone.position == int(native)
    assert abs(gone.deleted_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_message_whose_thread_is_gone_is_deleted(far: Far, history: DiscordHistory) -> None:
    [gone] = await history.look(far.channel("help"), "77", "76")
    assert isinstance(gone, Deleted)


async def test_many_reactions_are_read_in_pages(
    far: Far, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    native = await far.remote.post("ada", "help", "who?")
    people = ["ada", "grace", "linus", "margaret", "dennis"]
    for person in people:
        await far.remote.act("react", person=person, message=native, emoji="eyes")
    shown = (await history.look(far.channel("help"), native, ""))[0]
    assert isinstance(shown, Shown)
    assert set(shown.reactions or ()) == {("eyes", far.person(one)) for one in people}


# -- missed


async def test_what_was_missed_comes_oldest_first_page_by_page(
    far: Far, history: DiscordHistory
) -> None:
    root = await opened(far)
    for n in range(250):
        await far.standin.act({"do": "post", "person": "ada", "channel": "help", "text": str(n)})
    await far.remote.post("grace", "help", "late reply", thread=root)
    found = await pages(history, far.channel("help"), int(root) - 1)
    *whole, replies = found
    assert [len(page.events) for page in whole] == [100, 100, 51]
    assert texts(*whole) == ["root", *map(str, range(250))]
    ids = [one.message.position for page in whole for one in page.events if isinstance(one, Shown)]
    assert ids == sorted(ids)
    starts, ends = [page.start for page in whole], [page.end for page in whole]
    assert starts[1:] == [end + 1 for end in ends[:-1]]
    assert starts[0] < int(root)
    assert ends == [ids[99], ids[199], ids[250]]
    assert texts(replies) == ["opens it", "late reply"]
    assert replies.end < replies.start
    assert {one.message.thread for one in replies.events if isinstance(one, Shown)} == {root}


async def test_history_tells_the_same_of_a_message_as_the_gateway(
    far: Far, sender: DiscordSender, history: DiscordHistory
) -> None:
    heard = Heard()
    async with listening(DiscordListener("club", far.settings), heard.receive):
        await heard.ready()
        grace, general = far.person("grace"), far.channel("general").id
        words = f"<@{grace}> see <#{general}> and http://x.example/a"
        root = await far.remote.post("ada", "help", words, files=["plan.pdf"])
        await far.remote.post("ada", "help", "opens it", thread=root)
        await far.remote.post("linus", "help", "beside", reply_to=root)
        await sender.send(outbound(far.channel("help"), "ours", key="k7"))
        await heard.posted("ours")
        live = [event for event in heard.events if isinstance(event, Posted)]
    assert len(live) == 4
    found = await pages(history, far.channel("help"), int(root) - 1)
    shown = [one for page in found for one in page.events if isinstance(one, Shown)]
    assert all(not one.reactions for one in shown)
    told = {one.message.native_id: one.message for one in shown}
    echo = live[-1]
    assert (echo.key, echo.by_bot) == ("k7", True)
    assert {one.native_id: replace(one, key="") for one in live} == told
    assert told[root].text == "@grace see #general and http://x.example/a"


async def test_a_minute_before_the_cursor_is_read_again(far: Far, history: DiscordHistory) -> None:
    first = await far.remote.post("ada", "help", "on its way")
    last = await far.remote.post("ada", "help", "last seen")
    [page] = await pages(history, far.channel("help"), int(last))
    assert texts(page) == ["on its way", "last seen"]
    later = position_at(datetime.now(UTC) + timedelta(minutes=2))
    assert await pages(history, far.channel("help"), later) == []
    assert page.start < int(first)


async def test_a_walk_goes_on_from_the_end_of_a_page(
    far: Far, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.discord.history.OVERLAP", timedelta(0))
    ids = []
    for n in range(150):
        act = {"do": "post", "person": "ada", "channel": "help", "text": str(n)}
        ids.append((await far.standin.act(act))["id"])
    walk = history.missed(far.channel("help"), int(ids[0]) - 1, 0)
    first = await anext(walk)
    await walk.aclose()  # type: ignore[attr-defined]
    rest = await pages(history, far.channel("help"), first.end)
    assert texts(first, *rest) == [str(n) for n in range(150)]


async def test_a_page_reaches_over_what_was_deleted(
    far: Far, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await far.remote.post("ada", "help", "kept")
    gone = await far.remote.post("ada", "help", "gone")
    await far.remote.act("delete", message=gone)
    [page] = await pages(history, far.channel("help"), int(kept) - 1)
    assert page.end == int(kept)  # what is so new may only be late
    monkeypatch.setattr("adapters.discord.history.OVERLAP", timedelta(0))
    while position_at(datetime.now(UTC)) <= int(gone):
        await asyncio.sleep(0)
    [page] = await pages(history, far.channel("help"), int(kept) - 1)
    assert page.start <= int(gone) <= page.end
    assert texts(page) == ["kept"]


async def test_replies_to_old_roots_are_read_but_not_to_older_ones(
    far: Far, history: DiscordHistory
) -> None:
    older, root = await opened(far), await opened(far)
    for thread in (older, root):
        await far.remote.post("grace", "help", f"to {thread}", thread=thread)
    elsewhere = await opened(far, "oncall")
    await far.remote.post("grace", "oncall", "elsewhere", thread=elsewhere)
    found = await pages(history, far.channel("help"), int(root), roots=int(root))
    assert f"to {root}" in texts(*found)
    assert f"to {older}" not in texts(*found)
    assert "elsewhere" not in texts(*found)


async def test_threads_without_anything_new_are_not_read(
    far: Far, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = await opened(far)
    monkeypatch.setattr("adapters.discord.history.OVERLAP", timedelta(0))
    await far.remote.fault(f"GET /channels/{root}/messages", "status", times=-1)
    latest = int(await last_id(far, "help"))
    assert texts(*await pages(history, far.channel("help"), latest)) == []
    with pytest.raises(RetryableError):
        await pages(history, far.channel("help"), latest - 1)


async def test_archived_threads_are_read_as_far_back_as_needed(
    far: Far, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    roots = [await opened(far) for _ in range(5)]
    for root in roots:
        await far.remote.post("grace", "help", f"to {root}", thread=root)
        await far.remote.act("archive", thread=root)
    found = await pages(history, far.channel("help"), int(roots[0]))
    for root in roots:
        assert f"to {root}" in texts(*found)
    await far.remote.post("grace", "help", "open again", thread=roots[0])
    found = await pages(history, far.channel("help"), int(roots[0]))
    assert texts(*found).count("open again") == 1


async def test_many_replies_come_in_pages(
    far: Far, history: DiscordHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    root = await opened(far)
    for n in range(5):
        await far.remote.post("grace", "help", str(n), thread=root)
    replies = [p for p in await pages(history, far.channel("help"), int(root)) if p.end < p.start]
    assert texts(*replies) == ["opens it", *map(str, range(5))]
    assert len(replies) > 2
    look = await history.look(far.channel("help"), root, "")
    assert [one.message.text for one in look[1:] if isinstance(one, Shown)] == texts(*replies)


async def test_missed_direct_messages_are_read(far: Far, history: DiscordHistory) -> None:
    await far.remote.post("ada", "dm:ada", "are you there?")
    direct = ChannelRef("club", f"dm:{far.person('ada')}")
    for channel in (direct, far.channel("dm:ada")):
        [page] = await pages(history, channel, 0)
        [shown] = page.events
        assert isinstance(shown, Shown)
        assert (shown.message.channel, shown.message.private) == (far.channel("dm:ada"), True)


async def test_a_message_that_cannot_be_read_does_not_hold_up_the_rest(
    far: Far, history: DiscordHistory, caplog: pytest.LogCaptureFixture
) -> None:
    odd = await far.remote.post("ada", "help", "odd")
    await far.remote.post("ada", "help", "even")
    far.standin.workspace.messages[odd].wire["mentions"] = "nobody"
    [page] = await pages(history, far.channel("help"), int(odd))
    assert texts(page) == ["even"]
    assert f"message {odd} of the history cannot be read" in caplog.text


async def test_a_channel_that_is_gone_cannot_be_read_up(history: DiscordHistory) -> None:
    with pytest.raises(PermanentError, match="10003"):
        await pages(history, ChannelRef("club", "77"), 0)


async def test_a_channel_turned_private_is_private_at_once(
    far: Far, history: DiscordHistory
) -> None:
    native = await far.remote.post("ada", "help", "hush")
    for private in (False, True):
        await far.remote.act("channel", channel="help", private=private)
        [page] = await pages(history, far.channel("help"), int(native))
        [shown] = page.events
        assert isinstance(shown, Shown)
        assert shown.message.private is private


async def test_names_need_no_right_to_list_people(far: Far, history: DiscordHistory) -> None:
    await far.remote.fault("GET /guilds/*/members", "status", status=403, times=-1)
    native = await far.remote.post("ada", "help", "hi")
    [page] = await pages(history, far.channel("help"), int(native))
    [shown] = page.events
    assert isinstance(shown, Shown)
    assert shown.message.author_name == "ada"


async def test_closing_twice_is_safe_and_what_is_closed_opens_again(
    far: Far, history: DiscordHistory
) -> None:
    await history.close()
    assert await history.find(outbound(far.channel("help")), "") is None
    await history.close()
    await history.close()
    assert await history.find(outbound(far.channel("help")), "") is None
