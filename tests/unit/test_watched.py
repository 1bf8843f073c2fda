"""Listeners, senders and histories are counted, and otherwise left as they are."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from bridge.attempt import Moot
from bridge.delivery import Turn
from bridge.errors import PermanentError, RateLimitedError, UnknownOutcomeError
from bridge.intake import Taken
from bridge.messages import (
    Edited,
    Gap,
    Limits,
    Outbound,
    Page,
    PersonNamed,
    Receipt,
    Shown,
)
from bridge.pending import pending_for
from bridge.ports import Receive
from bridge.retry import Again, GiveUp, Hold
from bridge.store import Store
from tasks import metrics, trail
from tasks.watched import Connections, WatchedHistory, WatchedListener, WatchedSender, connections
from tests.values import HELP, NOW, intake, posted, rule, seconds

OUTBOUND = Outbound(HELP, "key", ())
PAGE = Page((), 1, 0)


@pytest.fixture(autouse=True)
def account(request: pytest.FixtureRequest) -> str:
    """An account of its own for every test: counters are the process's."""
    return str(request.node.name)


def value(name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"chatbridge_{name}", labels) or 0.0


class Heard:
    """A listener that hears a gap and a post, meets a malformed event, and breaks off."""

    malformed = 0

    def __init__(self, account: str, error: Exception | None) -> None:
        self.account = account
        self.error = error
        self.probe = connections.probe(account)
        self.while_heard = ""

    async def listen(self, receive: Receive) -> None:
        await receive(Gap(self.account, 1, NOW))
        self.while_heard = self.probe()
        self.malformed += 2
        await receive(posted(1))
        self.malformed += 1
        if self.error:
            raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, "the connection ended"),
        (PermanentError("a bad token"), "a bad token"),
        (OSError(), "OSError"),
    ],
)
async def test_a_listener_is_heard_from_its_gap_to_its_end(
    error: Exception | None, reason: str, account: str
) -> None:
    inner, events = Heard(account, error), []
    assert inner.probe() == "not connected yet"

    async def receive(event: object) -> None:
        events.append(event)

    listening = WatchedListener(inner, account).listen(receive)
    if error:
        with pytest.raises(type(error)):
            await listening
    else:
        await listening
    assert (len(events), inner.while_heard, inner.probe()) == (2, "", reason)
    assert value("malformed_total", account=account) == 3
    assert value("listener_lost_total", account=account) == 1


async def test_a_listener_that_is_stopped_was_not_lost(account: str) -> None:
    class Endless:
        async def listen(self, receive: Receive) -> None:
            await receive(Gap(account, 1, NOW))
            await asyncio.Event().wait()

    async def receive(_: object) -> None:
        task.cancel()

    task = asyncio.ensure_future(WatchedListener(Endless(), account).listen(receive))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connections.probe(account)() == "stopped"
    assert value("listener_lost_total", account=account) == 0


def test_connections_are_told_apart() -> None:
    known = Connections()
    known.heard("acme")
    known.lost("community", "closed")
    assert [known.probe(name)() for name in ("acme", "community", "other")] == [
        "",
        "closed",
        "not connected yet",
    ]


class Refusing:
    """A sender and history that answers with what it was given."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.limits = Limits(account_rate=45)
        self.closed = False

    async def send(self, _: Outbound) -> Receipt:
        return self._next()

    async def find(self, _: Outbound, __: str) -> Receipt | None:
        return self._next()

    async def look(self, *_: object) -> list[object]:
        return self._next()

    def missed(self, *_: object) -> AsyncIterator[Page]:
        return self  # type: ignore[return-value]

    def __aiter__(self) -> "Refusing":
        return self

    async def __anext__(self) -> Page:
        if not self.answers:
            raise StopAsyncIteration
        return self._next()

    async def close(self) -> None:
        self.closed = True

    def _next(self) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_sender_counts_refusals_and_unknown_outcomes(account: str) -> None:
    inner = Refusing(
        RateLimitedError("wait", 1, "account"), UnknownOutcomeError("?"), Receipt("1", 1)
    )
    sender = WatchedSender(inner, account)
    assert sender.limits.account_rate == 45
    for error in (RateLimitedError, UnknownOutcomeError):
        with pytest.raises(error):
            await sender.send(OUTBOUND)
    assert await sender.send(OUTBOUND) == Receipt("1", 1)
    await sender.close()
    assert inner.closed
    assert value("rate_limited_total", account=account, scope="account") == 1
    assert value("unknown_total", account=account) == 1


async def test_look_ups_are_counted_by_what_they_found(account: str) -> None:
    history = WatchedHistory(Refusing(Receipt("1", 1), None, RateLimitedError("wait", 1)), account)
    assert await history.find(OUTBOUND, "")
    assert await history.find(OUTBOUND, "") is None
    with pytest.raises(RateLimitedError):
        await history.find(OUTBOUND, "")
    for result in ("found", "not found", "failed"):
        assert value("looked_up_total", account=account, result=result) == 1


async def test_pages_are_counted_and_reading_goes_on_after_an_error(account: str) -> None:
    history = WatchedHistory(Refusing(PAGE, RateLimitedError("wait", 1), PAGE), account)
    pages = history.missed(HELP, 0, 0, {})
    assert await anext(pages) is PAGE
    with pytest.raises(RateLimitedError):
        await anext(pages)
    assert [page async for page in pages] == [PAGE]
    assert value("backfill_pages_total", account=account) == 2
    assert value("rate_limited_total", account=account, scope="lane") == 1


def test_events_are_counted_by_account_and_kind_and_told_at_debug(
    account: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        trail.committed(PersonNamed(account, "U1", "ada"))
        trail.committed(Edited(posted(1), NOW))
        trail.read(Page((Shown(posted(2), NOW),), 1, 0))
    assert value("events_total", account=account, kind="personnamed") == 1
    assert [line["log_level"] for line in lines] == ["debug"] * 3
    assert [line.get("message") for line in lines] == [None, "1", "2"]


def test_what_came_of_a_batch_is_counted() -> None:
    names = ("stored_total", "owed_total", "cancelled_total", "quarantined_total")
    before = [value(name) for name in names]
    metrics.count_taken(Taken(stored=1, owed=((1, NOW), (2, NOW)), cancelled=3, quarantined=4))
    assert [value(name) - old for name, old in zip(names, before, strict=True)] == [1, 2, 3, 4]


def test_a_message_and_its_delivery_carry_the_same_id(store: Store) -> None:
    intake(store, rule()).take([posted(7)], NOW)
    with store.reading() as session:
        [job] = pending_for(session, [1])
    event, attempt = trail.ids_of_event(posted(7)), trail.ids_of_job(job)
    assert (event["message"], attempt["message"]) == ("7", "7")
    assert (attempt["account"], attempt["to"]) == (job.target.account, job.target.id)
    assert trail.ids_of_event(Gap("acme", 1, NOW)) == {"kind": "gap", "account": "acme"}


def test_verdicts_and_turns_are_counted(store: Store) -> None:
    intake(store, rule(after="0s")).take([posted(7)], NOW)
    with store.reading() as session:
        [job] = pending_for(session, [1])
    account = job.target.account
    names = ("dead_total", "held_total", "cancelled_total")
    before = {name: value(name) for name in names}
    sent, retried = value("sent_total", account=account), value("retried_total", account=account)
    at = job.due_at + seconds(3)
    for verdict in (Receipt("1", 1), Again(NOW, "busy"), GiveUp("x"), Hold("x"), Moot("x")):
        metrics.count_verdict(job, verdict, at)
    metrics.count_turn(Turn(cancelled=2, dead=3))
    assert value("sent_total", account=account) == sent + 1
    assert value("retried_total", account=account) == retried + 1
    after = {name: value(name) - before[name] for name in names}
    assert after == {"dead_total": 4, "held_total": 1, "cancelled_total": 3}
    assert value("lateness_seconds_sum", account=account) >= 3
