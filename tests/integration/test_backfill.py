"""A listener that was away: what people did meanwhile is read up, in order, and once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select, update

from adapters import load, names
from adapters.standin import Remote
from bridge.errors import PermanentError, StoreError
from bridge.intake import Intake
from bridge.messages import Event, Gap
from bridge.migrations import upgrade
from bridge.models import Channel, Delivery, Message, Status
from bridge.store import Store
from tasks import listen
from tasks.backfill import Backfill
from tasks.bells import Bells
from tasks.celery import app
from tasks.committer import Committer
from tasks.standins import section
from tasks.wiring import House, open_house
from tests.integration.databases import STORES

GENEROUS = 60.0
PLATFORMS = tuple(names())
READING = {"slack": "conversations.history", "discord": "GET /channels/*/messages"}
RULE = """
[[notifications]]
name = "every message"
channels = ["{0}:#help", "{0}:#general"]
after = "1h"
unless = ["reply", "reaction:white_check_mark"]
to = ["{0}:#oncall"]
"""


@dataclass
class Ears:
    """One account's listener, committer and backfill, as `chatbridge listen` runs them."""

    house: House
    remote: Remote
    platform: str
    received: list[Event] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    committer: Committer | None = None
    backfill: Backfill | None = None

    @property
    def store(self) -> Store:
        return self.house.store

    async def open(self) -> None:
        """Listen; returns when the gap since the last time is recorded."""
        rules, own = await listen.learn(self.house)
        intake = Intake(self.store, rules, own.__contains__)
        intake.prepare()
        bells = Bells(app)  # never started: nobody sends anything here
        account = self.house.accounts[self.platform]
        self.committer = Committer(intake, bells)
        self.backfill = Backfill(account, intake, self.committer.call, bells)
        self.committer.on_gap(self.platform, self.backfill.request)
        self.received.clear()
        self.tasks = [
            asyncio.create_task(self.committer.run()),
            asyncio.create_task(self.backfill.run()),
            asyncio.create_task(account.listener().listen(self._receive)),
        ]
        await self.until(lambda: [one for one in self.received if isinstance(one, Gap)], "a gap")

    async def close(self) -> None:
        """Go away at once, as a crash does; what was committed is."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.committer:
            self.committer.close()
        self.tasks, self.committer = [], None

    async def _receive(self, event: Event) -> None:
        assert self.committer
        await self.committer.receive(event)
        self.received.append(event)

    async def until(self, met: Callable[[], Any], what: str, seconds: float = GENEROUS) -> Any:
        end = asyncio.get_running_loop().time() + seconds
        while True:
            found = met()
            found = await found if isinstance(found, Awaitable) else found
            if found:
                return found
            for task in self.tasks:
                assert not task.done(), task
            assert asyncio.get_running_loop().time() < end, f"not within {seconds:g} s: {what}"
            await asyncio.sleep(0.02)

    async def caught_up(self) -> None:
        await self.until(lambda: not self.behind(), "caught up")

    async def hears(self, text: str) -> None:
        await self.until(lambda: text in {one.text for one in self.messages()}, f"{text!r}")

    def behind(self) -> list[str]:
        with self.store.reading() as session:
            return list(session.exec(select(Channel.name).where(col(Channel.behind))))

    def messages(self) -> Sequence[Message]:
        with self.store.reading() as session:
            return session.exec(select(Message).order_by(col(Message.position))).all()

    def texts(self) -> list[str]:
        """What people said that is still there, in the platform's order."""
        return [one.text for one in self.messages() if not one.deleted_at and not one.own]

    def owed(self, status: Status = Status.OWED) -> list[str]:
        """The texts behind what is owed, in the order in which it will leave."""
        with self.store.reading() as session:
            rows = session.exec(
                select(Message.text)
                .join(Delivery, col(Delivery.message) == Message.id)
                .where(Delivery.status == status)
                .order_by(col(Delivery.due_at), col(Delivery.id))
            )
            return list(rows)


@contextlib.asynccontextmanager
async def far(folder: Path, platform: str, store_url: str) -> AsyncIterator[Ears]:
    async with contextlib.AsyncExitStack() as stack:
        standin = await load(platform).standin(0)
        stack.push_async_callback(standin.stop)
        remote = await stack.enter_async_context(Remote(standin.url))
        path = folder / "config.toml"
        head = f'[store]\nurl = "{store_url}"\nsynchronous = "normal"\n'
        path.write_text(head + RULE.format(platform) + section(platform, standin.account()))
        house = open_house(str(path))
        stack.callback(house.store.close)
        upgrade(house.store)
        ears = Ears(house, remote, platform)
        stack.push_async_callback(ears.close)
        yield ears


@pytest.fixture(params=PLATFORMS)
async def ears(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ears]:
    """On SQLite, for each platform; nobody listens yet, and nothing was ever heard."""
    async with far(tmp_path, request.param, "sqlite:///store.db") as made:
        yield made


@pytest.fixture(params=[(one, store) for one in PLATFORMS for store in STORES], ids=str)
async def ears_on(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ears]:
    """For each platform and on each kind of store."""
    platform, store = request.param
    url = "sqlite:///store.db" if store == "sqlite" else request.getfixturevalue("postgres_url")
    async with far(tmp_path, platform, url) as made:
        yield made


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for channels that no rule watches."""
    monkeypatch.setattr("tasks.backfill.UNHURRIED_SECONDS", 0.0)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """History shows everything at once, and the adapters may count on it."""
    monkeypatch.setattr("adapters.slack.history.asking.SETTLED", timedelta(0))


async def say(ears: Ears, *texts: str, channel: str = "help", **fields: Any) -> list[str]:
    """Ada says these; returns their native ids."""
    return [await ears.remote.post("ada", channel, text, **fields) for text in texts]


async def test_what_was_said_before_anybody_ever_listened_is_not_read(ears: Ears) -> None:
    await say(ears, "long ago")
    await ears.open()
    await say(ears, "now")
    await ears.hears("now")
    assert ears.texts() == ["now"]
    assert ears.behind() == []


@pytest.mark.usefixtures("settled")
async def test_everything_that_happened_in_a_gap_is_known_afterwards(ears_on: Ears) -> None:
    ears, remote = ears_on, ears_on.remote
    await ears.open()
    stays, edited, deleted, ticked, answered = await say(
        ears, "stays", "old words", "deleted", "ticked", "answered"
    )
    await ears.hears("answered")
    await ears.close()
    await remote.act("edit", channel="help", message=edited, text="new words", person="ada")
    await remote.act("delete", channel="help", message=deleted, person="ada")
    await remote.act(
        "react", channel="help", message=ticked, person="grace", emoji="white_check_mark"
    )
    await remote.post("grace", "help", "an answer", thread=answered)
    asked, _ = await say(ears, "asked and answered", "missed")
    await remote.post("grace", "help", "at once", thread=asked)
    await say(ears, "elsewhere", channel="general")
    await remote.act("react", channel="help", message=stays, person="grace", emoji="eyes")
    await ears.open()
    await ears.caught_up()
    await say(ears, "live again")
    await ears.hears("live again")
    texts = ears.texts()
    in_help = [one for one in texts if one != "elsewhere"]
    assert in_help == [
        "stays",
        "new words",
        "ticked",
        "answered",
        "an answer",
        "asked and answered",
        "missed",
        "at once",
        "live again",
    ] or sorted(in_help) == sorted(set(in_help))
    cancelled = set(ears.owed(Status.CANCELLED))
    assert {"deleted", "answered", "asked and answered"} <= cancelled
    assert set(ears.owed()) - {"ticked"} == {
        "stays",
        "new words",
        "missed",
        "an answer",
        "at once",
        "elsewhere",
        "live again",
    }
    by_text = {one.text: one for one in ears.messages()}
    assert by_text["new words"].edited_at
    assert len(texts) == len(set(texts)), "and nothing is there twice"
    _a_tick_is_known_or_looked_for(ears, "ticked" in cancelled)


def _a_tick_is_known_or_looked_for(ears: Ears, known: object) -> None:
    """Where history names nobody who reacted, the delivery is looked at before it is sent."""
    with ears.store.reading() as session:
        [row] = session.exec(
            select(Delivery)
            .join(Message, col(Delivery.message) == Message.id)
            .where(Message.text == "ticked")
        )
    assert known or row.looked_at is None


@pytest.mark.usefixtures("settled")
async def test_several_pages_are_read_in_order(ears: Ears) -> None:
    await ears.open()
    await say(ears, "first")
    await ears.hears("first")
    await ears.close()
    await ears.remote.knobs(limits=False)
    missed = [f"missed {number}" for number in range(230)]
    await say(ears, *missed)
    await ears.open()
    await say(ears, "live")
    await ears.caught_up()
    await ears.hears("live")
    assert ears.texts() == ["first", *missed, "live"]
    assert ears.owed() == ["first", *missed, "live"]


@pytest.mark.usefixtures("settled")
async def test_limits_and_errors_of_history_only_delay(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.backfill.jitter", lambda: 0.0)
    await ears.open()
    await say(ears, "first")
    await ears.hears("first")
    await ears.close()
    await say(ears, "missed 1", "missed 2")
    reading = READING[ears.platform]
    await ears.remote.fault(reading, "ratelimit", seconds=1.0, channel="help")
    await ears.remote.fault(reading, "status", status=500, channel="help")
    await ears.remote.fault(reading, "drop_before", channel="help")
    await ears.open()
    await ears.caught_up()
    assert ears.owed() == ["first", "missed 1", "missed 2"]


@pytest.mark.usefixtures("settled")
async def test_a_channel_whose_history_fails_holds_no_other_up(ears: Ears) -> None:
    await ears.open()
    await say(ears, "here")
    await say(ears, "there", channel="general")
    await ears.hears("here")
    await ears.hears("there")
    await ears.close()
    await say(ears, "missed")
    await say(ears, "missed there", channel="general")
    await ears.remote.fault(READING[ears.platform], "status", status=500, channel="help", times=-1)
    await ears.open()
    await ears.until(lambda: ears.behind() == ["help"], "all others are read")
    assert ears.owed() == ["here", "there", "missed there"]
    await say(ears, "live")
    await ears.hears("live")
    assert "live" not in ears.owed(), "it waits until what was before it is known"
    await ears.remote.mend()
    await ears.caught_up()
    assert [one for one in ears.owed() if "there" not in one] == ["here", "missed", "live"]


@pytest.mark.usefixtures("settled")
async def test_a_crash_in_the_middle_of_a_backfill_loses_nothing(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ears.open()
    [old] = await say(ears, "an old thread")
    await ears.hears("an old thread")
    with ears.store.transaction() as session:  # nothing is owed for it that would be read again
        session.exec(update(Delivery).values(status=Status.CANCELLED))
    await ears.close()
    await ears.remote.post("grace", "help", "missed reply", thread=old)
    await asyncio.sleep(0.05)  # platforms count in milliseconds
    missed = [f"missed {number}" for number in range(5)]
    await say(ears, *missed)
    read_up, crashed = Intake.read_up, asyncio.Event()
    loop = asyncio.get_running_loop()

    def crash_after_the_channel_itself(taking: Intake, *arguments: Any) -> Any:
        taken = read_up(taking, *arguments)
        if taken.stored:
            loop.call_soon_threadsafe(crashed.set)
            raise StoreError("killed")
        return taken

    # the minute before the cursor is always read once more; here it must not help
    for overlap, none in (
        ("adapters.slack.history.walk.OVERLAP", 0),
        ("adapters.discord.history.OVERLAP", timedelta(0)),
    ):
        monkeypatch.setattr(overlap, none)
    with monkeypatch.context() as patch:
        patch.setattr(Intake, "read_up", crash_after_the_channel_itself)
        await ears.open()
        await asyncio.wait_for(crashed.wait(), GENEROUS)
        await ears.close()
    assert set(missed) <= set(ears.texts())
    assert ears.owed() == []
    await ears.open()
    await ears.caught_up()
    assert sorted(ears.owed()) == sorted(["missed reply", *missed])


@pytest.mark.usefixtures("settled")
async def test_another_gap_during_the_backfill_is_closed_as_well(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ears.open()
    await say(ears, "first")
    await ears.hears("first")
    await ears.close()
    await say(ears, "missed 1")
    catch_up, began = Intake.catch_up, asyncio.Event()
    loop = asyncio.get_running_loop()

    def gap_meanwhile(taking: Intake, *arguments: Any) -> Any:
        if not began.is_set():
            loop.call_soon_threadsafe(began.set)
            taking.take([Gap(ears.platform, 0, datetime.now(UTC))], datetime.now(UTC))
        return catch_up(taking, *arguments)

    monkeypatch.setattr(Intake, "catch_up", gap_meanwhile)
    await ears.open()
    await asyncio.wait_for(began.wait(), GENEROUS)
    await ears.until(ears.behind, "it stays behind")
    await say(ears, "missed 2")
    assert ears.backfill
    ears.backfill.request()
    await ears.caught_up()
    await ears.hears("missed 2")
    assert ears.owed() == ["first", "missed 1", "missed 2"]


async def test_what_history_hides_at_first_is_found_when_its_end_is_read_once_more(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.backfill.LAG_SECONDS", 2.5)
    await ears.open()
    await say(ears, "first")
    await ears.hears("first")
    await ears.close()
    await ears.remote.knobs(history_lag=2.0)
    await say(ears, "still hidden")
    await ears.open()
    await ears.caught_up()
    await ears.hears("still hidden")
    assert ears.owed() == ["first", "still hidden"]


@pytest.mark.usefixtures("settled")
async def test_a_failed_commit_is_a_gap_that_is_read_up(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ears.open()
    await say(ears, "first")
    await ears.hears("first")
    transaction, away = ears.store.transaction, asyncio.Event()

    @contextlib.contextmanager
    def refused() -> Iterator[Any]:
        if away.is_set():
            raise StoreError("no answer")
        with transaction() as session:
            yield session

    monkeypatch.setattr(ears.store, "transaction", refused)
    away.set()
    await say(ears, "while the store is away")
    assert ears.committer
    await ears.until(lambda: ears.committer and ears.committer._lost, "it could not be stored")
    ears.tasks[-1].cancel()  # a listener may end over this; nobody else hears it
    await asyncio.gather(ears.tasks.pop(), return_exceptions=True)
    assert ears.texts() == ["first"]
    away.clear()
    await ears.hears("while the store is away")
    await ears.caught_up()
    assert ears.owed() == ["first", "while the store is away"]


@pytest.mark.usefixtures("settled")
async def test_history_that_is_closed_to_us_leaves_what_was_heard(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ears.open()
    await say(ears, "first")
    await ears.hears("first")
    await ears.close()
    await say(ears, "missed")

    async def closed(*_: Any) -> AsyncIterator[Any]:
        raise PermanentError("missing_scope")
        yield

    history = ears.house.accounts[ears.platform].history()
    monkeypatch.setattr(type(history), "missed", closed)
    await history.close()
    await ears.open()
    await say(ears, "live")
    await ears.caught_up()
    await ears.hears("live")
    await ears.until(lambda: ears.owed() == ["first", "live"], "what was heard is judged")


@pytest.mark.usefixtures("settled")
async def test_a_bug_in_reading_history_does_not_stop_the_listening(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.backfill.jitter", lambda: 0.0)
    await ears.open()
    await say(ears, "first")
    await ears.hears("first")
    await ears.close()
    await say(ears, "missed")
    read_up, failed = Intake.read_up, asyncio.Event()
    loop = asyncio.get_running_loop()

    def odd(taking: Intake, *arguments: Any) -> Any:
        if not failed.is_set():
            loop.call_soon_threadsafe(failed.set)
            raise KeyError("ts")
        return read_up(taking, *arguments)

    monkeypatch.setattr(Intake, "read_up", odd)
    await ears.open()
    await asyncio.wait_for(failed.wait(), GENEROUS)
    await ears.caught_up()
    assert ears.owed() == ["first", "missed"]


@pytest.mark.usefixtures("settled")
async def test_channels_that_no_rule_watches_are_read_up_later(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ears.open()
    await say(ears, "here", channel="help")
    await say(ears, "there", channel="oncall")
    await ears.hears("there")
    await ears.caught_up()
    await ears.close()
    await say(ears, "later here", channel="help")
    await say(ears, "later there", channel="oncall")
    monkeypatch.setattr("tasks.backfill.UNHURRIED_SECONDS", 6.0)
    await ears.open()
    await ears.until(lambda: not {"help", "general"} & set(ears.behind()), "the urgent ones")
    assert "oncall" in ears.behind()
    await ears.caught_up()
    assert {"later here", "later there"} <= set(ears.texts())


async def test_two_listeners_of_one_account_owe_everything_once(ears_on: Ears) -> None:
    first = ears_on
    second = Ears(
        open_house(str(first.house.settings.folder / "config.toml")), first.remote, first.platform
    )
    await first.open()
    await say(first, "first")
    await first.hears("first")
    await first.close()
    missed = [f"missed {number}" for number in range(8)]
    await say(first, *missed)
    await asyncio.gather(first.open(), second.open())
    live = [f"live {number}" for number in range(20)]
    await say(first, *live)
    await first.hears("live 19")
    await first.caught_up()
    await second.until(lambda: len(second.texts()) == 29, "all is stored")
    await second.close()
    second.store.close()
    assert first.owed() == ["first", *missed, *live]
