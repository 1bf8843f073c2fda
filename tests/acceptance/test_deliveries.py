"""`chatbridge deliveries`: the whole story of one, and a person's word on what becomes of it."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from bridge.migrations import upgrade
from bridge.models import Delivery, Lane, Message, Rule, Status, Worker
from bridge.store import Store
from tests.acceptance.bridges import Bridge
from tests.acceptance.commands import Result, eventually, run, write_config
from tests.acceptance.conftest import TOKENS, Far
from tests.values import NOW, seconds

RULES = """
[scheduler]
sweep = "1s"

[[notifications]]
name = "soon"
channels = ["slack:#general"]
to = ["discord:#oncall"]
"""
CREATE = "POST /channels/*/messages"


@pytest.fixture
async def bridge(far: Far, tmp_path: Path) -> AsyncIterator[Bridge]:
    with Bridge(tmp_path, far, RULES) as made:
        yield made


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    """A store with one delivery of each status, and nobody at work; their ids are their status."""
    write_config(tmp_path, "", TOKENS)
    store = Store(f"sqlite:///{tmp_path / 'chatbridge.db'}")
    upgrade(store)
    with store.transaction() as session:
        session.add(Worker(id="w", host="box", pid=77, started_at=NOW))
        session.add(Lane(id=1, account="slack", channel="C1", holder="w", epoch=4))
        session.add(Rule(id="r", name="question", body="{}"))
        session.add(
            Message(
                id=1,
                account="slack",
                channel="C2",
                native_id="17.5",
                author="U1",
                author_name="ada",
                text="Is anybody\nthere?",
                sent_at=NOW,
                received_at=NOW,
                link="https://acme.example/17.5",
            )
        )
        for status in Status:
            session.add(_delivery(status))
    yield store
    store.close()


def _delivery(status: Status) -> Delivery:
    ended = status in {Status.DEAD, Status.HELD, Status.SENT, Status.CANCELLED}
    return Delivery(
        id=status + 1,
        key=f"key-{status}",
        lane=1,
        rule="r",
        message=1,
        due_at=NOW + seconds(60),
        owed_at=NOW,
        status=status,
        attempts=3,
        settled_at=NOW + seconds(90) if ended else None,
        reason="the channel is archived" if status in {Status.DEAD, Status.HELD} else "",
        receipt="18.5" if status == Status.SENT else "",
    )


OWED, SENT, CANCELLED, DEAD, HELD = (status + 1 for status in Status)


def row(store: Store, one: int) -> Delivery:
    with store.reading() as session:
        return session.exec(select(Delivery).where(Delivery.id == one)).one()


def told(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


async def test_a_dead_one_is_retried_and_arrives_once_with_its_whole_story(bridge: Bridge) -> None:
    discord = bridge.far.remotes["discord"]
    async with bridge.up():
        await discord.fault(CREATE, "status", times=-1, status=400, channel="oncall")
        await bridge.far.remotes["slack"].post("ada", "general", "It burns.")

        async def dead() -> Any:
            return bridge.deliveries(Status.DEAD)

        [one] = await eventually(dead, "it is given up")
        await discord.mend()
        assert await bridge.told("discord") == []
        result = await run("deliveries", "retry", "--dead", "--json", folder=bridge.folder)
        assert (result.code, told(result)[0]["id"]) == (0, one.id)
        seen = await bridge.tells("discord", "It burns.")

        async def linked() -> Any:
            shown = await run("deliveries", "show", str(one.id), "--json", folder=bridge.folder)
            assert shown.code == 0, shown
            facts = json.loads(shown.out)
            return facts if facts["permalink"] else None

        facts = await eventually(linked, "our own message is heard")
        assert (facts["status"], facts["receipt"], facts["attempts"]) == ("sent", seen.id, 1)
        assert facts["to"] == "discord:#oncall"
        assert (facts["about"], facts["said by"], facts["rule"]) == ("It burns.", "ada", "soon")
        assert seen.id in facts["permalink"]
    assert len(await bridge.told("discord")) == 1


@pytest.mark.usefixtures("kept")
async def test_what_is_shown_of_one_that_waits(tmp_path: Path) -> None:
    facts = json.loads((await run("deliveries", "show", str(OWED), "--json", folder=tmp_path)).out)
    assert facts["status"] == "owed"
    assert facts["about"] == "Is anybody there?"
    assert facts["said in"] == "slack:C2"
    assert facts["message link"] == "https://acme.example/17.5"
    assert facts["lane held by"] == "box (process 77)"
    assert facts["outcome unknown"] is False
    text = (await run("deliveries", "show", str(DEAD), folder=tmp_path)).out
    assert "the channel is archived" in text
    assert "https://acme.example/17.5" in text


@pytest.mark.usefixtures("kept")
async def test_one_that_is_not_there(tmp_path: Path) -> None:
    shown = await run("deliveries", "show", "99", folder=tmp_path)
    assert (shown.code, shown.err) == (
        1,
        "there is no delivery 99; see `chatbridge deliveries list`\n",
    )
    for command in ("retry", "cancel"):
        result = await run("deliveries", command, "99", "--json", folder=tmp_path)
        assert result.code == 1
        assert told(result) == [{"id": 99, "done": False, "what": "there is no such delivery"}]


async def test_dead_and_held_ones_are_owed_again_and_others_stay(
    kept: Store, tmp_path: Path
) -> None:
    began = datetime.now(UTC)
    ids = [str(one) for one in (OWED, SENT, CANCELLED, DEAD, HELD)]
    result = await run("deliveries", "retry", *ids, "--json", folder=tmp_path)
    assert result.code == 1
    assert {one["id"]: one["what"] for one in told(result)} == {
        OWED: "it is owed anyway",
        SENT: "it was sent",
        CANCELLED: "it was cancelled",
        DEAD: "owed again, due now",
        HELD: "owed again, due now",
    }
    for one in (DEAD, HELD):
        revived = row(kept, one)
        assert (revived.status, revived.attempts, revived.settled_at) == (Status.OWED, 0, None)
        assert revived.due_at >= began
    assert row(kept, SENT).receipt == "18.5"


async def test_all_dead_ones_are_retried_and_then_there_are_none(
    kept: Store, tmp_path: Path
) -> None:
    result = await run("deliveries", "retry", "--dead", folder=tmp_path)
    assert result.code == 0
    assert "owed again, due now" in result.out
    assert row(kept, HELD).status == Status.HELD
    again = await run("deliveries", "retry", "--dead", folder=tmp_path)
    assert (again.code, again.out) == (0, "nothing was given up\n")


async def test_owed_and_held_ones_are_cancelled_and_others_stay(
    kept: Store, tmp_path: Path
) -> None:
    ids = [str(one) for one in (OWED, SENT, DEAD, HELD)]
    result = await run("deliveries", "cancel", *ids, "--json", folder=tmp_path)
    assert result.code == 1
    assert {one["id"]: one["what"] for one in told(result)} == {
        OWED: "cancelled",
        SENT: "it was sent",
        DEAD: "it was given up (the channel is archived)",
        HELD: "cancelled",
    }
    for one in (OWED, HELD):
        ended = row(kept, one)
        assert (ended.status, ended.reason) == (Status.CANCELLED, "cancelled by command")
        assert ended.settled_at
    again = await run("deliveries", "cancel", str(OWED), folder=tmp_path)
    assert again.code == 0


async def test_one_that_is_being_sent_is_left_to_whoever_sends_it(
    kept: Store, tmp_path: Path
) -> None:
    with kept.transaction() as session:
        session.get_one(Delivery, OWED).trying = 4
    result = await run("deliveries", "cancel", str(OWED), folder=tmp_path)
    assert result.code == 0
    assert "it is being sent at this moment" in result.out
    assert (row(kept, OWED).status, row(kept, OWED).cancel_wanted) == (Status.OWED, True)


async def test_one_that_may_have_arrived_before_it_died_is_looked_up_first(
    kept: Store, tmp_path: Path
) -> None:
    with kept.transaction() as session:
        session.get_one(Delivery, DEAD).sure_at = NOW
        session.get_one(Delivery, HELD).sure_at = NOW
    assert (await run("deliveries", "retry", str(DEAD), str(HELD), folder=tmp_path)).code == 0
    assert row(kept, DEAD).trying != 0
    assert row(kept, HELD).trying == 0, "a person has decided that it did not arrive"


@pytest.mark.parametrize(
    "arguments", [("retry",), ("cancel",), ("show",), ("retry", "0"), ("cancel", "x")], ids=" ".join
)
async def test_wrong_use_says_how(arguments: tuple[str, ...], kept: Store, tmp_path: Path) -> None:
    result = await run("deliveries", *arguments, folder=tmp_path)
    assert result.code == 2
    assert result.err
    assert row(kept, DEAD).status == Status.DEAD


@pytest.mark.usefixtures("kept")
async def test_held_ones_can_be_listed_and_are_counted(tmp_path: Path) -> None:
    listed = await run("deliveries", "list", "--status", "held", "--json", folder=tmp_path)
    assert [one["id"] for one in told(listed)] == [HELD]
    facts = json.loads((await run("status", "--json", folder=tmp_path)).out)
    assert (facts["held"], facts["dead"], facts["channels behind"]) == (1, 1, 0)
    assert facts["budgets (s ahead)"] == {}
