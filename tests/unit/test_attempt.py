"""One attempt: what is looked up or read anew before anything is sent, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from bridge.attempt import HOLD, Blind, Looked, Moot, attempt, outbound
from bridge.errors import (
    PermanentError,
    RateLimitedError,
    RetryableError,
    SendError,
    UnknownOutcomeError,
)
from bridge.messages import ChannelRef, Event, Limits, Outbound, Receipt
from bridge.pending import UNKNOWN, Pending, Source
from bridge.retry import LONGEST_LIMIT, SURE_SECONDS, Again, Hold
from bridge.richtext import Paragraph, Text, dump
from bridge.rules import Facts
from tests.values import HELP, ONCALL, posted, rule, seconds

FOUND = Receipt("700.1", 7001)
SENT = Receipt("900.1", 9001)
REPLY = posted(9, thread="1")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Far:
    """A sender and a memory in one: what it answers, and what it was asked, in order."""

    found: Receipt | SendError | None = None
    seen: Sequence[Event] | SendError = ()
    answer: Receipt | Exception = SENT
    limits: Limits = field(default_factory=Limits)
    asked: list[Any] = field(default_factory=list)

    async def send(self, outbound: Outbound) -> Receipt:
        self.asked.append(("send", outbound.key))
        return _or_raise(self.answer)

    async def find(self, outbound: Outbound, after: str) -> Receipt | None:
        self.asked.append(("find", outbound.key, after))
        return _or_raise(self.found)

    async def look(self, channel: ChannelRef, native_id: str, thread: str) -> Sequence[Event]:
        self.asked.append(("look", channel, native_id, thread))
        return _or_raise(self.seen)


class Ways:
    """The far sides of all accounts."""

    def __init__(self, **accounts: Far) -> None:
        self._accounts = accounts

    def sender(self, account: str) -> Far:
        if account not in self._accounts:
            raise RetryableError("no such account")
        return self._accounts[account]

    def history(self, account: str) -> Far:
        if account not in self._accounts:
            raise PermanentError("no such account")
        return self._accounts[account]


def _or_raise(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def job(**fields: Any) -> Pending:
    """A claimed delivery to #oncall about message 1 of #help, fresh unless said otherwise."""
    known = {
        "id": 1,
        "lane": 1,
        "epoch": 5,
        "paused_until": None,
        "target": ONCALL,
        "key": "key-1",
        "due_at": now(),
        "attempts": 0,
        "trying": 0,
        "cancel_wanted": False,
        "rule": rule().snapshot,
        "body": "",
        "facts": Facts("How does it work?"),
        "author": "ada",
        "channel_name": "help",
        "files": (),
        "link": "https://acme.example/1",
        "last_receipt": "600.1",
    }
    return Pending(**{**known, **fields})


def uncertain(**fields: Any) -> Pending:
    """One whose last attempt was recorded to be of unknown outcome, long enough ago."""
    long_ago = {"tried_at": now() - seconds(100), "sure_at": now() - seconds(60)}
    return job(**{"trying": UNKNOWN, **long_ago, **fields})


def after_a_gap(one: Pending, **fields: Any) -> Pending:
    """The same, with a gap in its channel since its message came in."""
    source = Source(HELP, "1", "", now() - seconds(60), now() - seconds(30))
    return replace(one, **{"source": source, **fields})


def wait(again: Again) -> float:
    return (again.at - now()).total_seconds()


async def test_a_fresh_delivery_is_sent_without_any_question() -> None:
    far = Far()
    assert await attempt(job(), Ways(acme=far)) == SENT
    assert far.asked == [("send", "key-1")]


@pytest.mark.parametrize(
    "error", [RetryableError("busy"), UnknownOutcomeError("cut"), PermanentError("archived")]
)
async def test_what_the_sender_raises_is_handed_on_to_be_judged(error: SendError) -> None:
    assert await attempt(job(), Ways(acme=Far(answer=error))) is error


async def test_a_bug_of_the_sender_rises_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        await attempt(job(), Ways(acme=Far(answer=ZeroDivisionError())))


async def test_an_account_without_a_way_out_is_an_error_to_be_judged() -> None:
    assert isinstance(await attempt(job(), Ways()), RetryableError)


async def test_an_unknown_attempt_that_is_found_is_not_sent_again() -> None:
    far = Far(found=FOUND)
    assert await attempt(uncertain(), Ways(acme=far)) == FOUND
    assert far.asked == [("find", "key-1", "600.1")], "later than the lane's last receipt"


async def test_one_that_is_not_found_when_that_counts_is_sent() -> None:
    far = Far()
    assert await attempt(uncertain(), Ways(acme=far)) == SENT
    assert [one[0] for one in far.asked] == ["find", "send"]


async def test_one_that_is_not_found_too_early_is_looked_up_once_more() -> None:
    far, sure_at = Far(), now() + seconds(7)
    again = await attempt(uncertain(sure_at=sure_at), Ways(acme=far))
    assert isinstance(again, Again)
    assert (again.unknown, again.counts, again.sure_at) == (True, False, sure_at)
    assert again.at > sure_at
    assert [one[0] for one in far.asked] == ["find"]


async def test_one_that_is_found_too_early_counts_all_the_same() -> None:
    early = uncertain(sure_at=now() + seconds(7))
    assert await attempt(early, Ways(acme=Far(found=FOUND))) == FOUND


@pytest.mark.parametrize("epoch", [4, 5], ids=["another holder's", "our own"])
async def test_of_one_left_open_not_found_counts_only_some_time_after_it_was_taken_over(
    epoch: int,
) -> None:
    left_open = uncertain(trying=epoch, sure_at=None)
    again = await attempt(left_open, Ways(acme=Far()))
    assert isinstance(again, Again)
    assert wait(again) == pytest.approx(SURE_SECONDS, abs=1.0)


async def test_a_longer_wait_that_was_known_before_the_take_over_stays() -> None:
    left_open = uncertain(trying=4, sure_at=now() + seconds(25))
    again = await attempt(left_open, Ways(acme=Far()))
    assert isinstance(again, Again)
    assert wait(again) == pytest.approx(25, abs=1.0)


async def test_where_nothing_can_be_looked_up_it_goes_out_once_more() -> None:
    far = Far(found=PermanentError("missing_scope"))
    assert await attempt(uncertain(), Ways(acme=far)) == SENT


async def test_where_nothing_can_be_looked_up_it_is_held_if_config_says_so() -> None:
    far = Far(found=PermanentError("missing_scope"))
    held = await attempt(uncertain(), Ways(acme=far), HOLD)
    assert isinstance(held, Hold)
    assert "missing_scope" in held.reason
    assert [one[0] for one in far.asked] == ["find"]


@pytest.mark.parametrize("scope", ["lane", "account"])
async def test_a_limited_look_up_waits_as_long_as_it_is_told(scope: str) -> None:
    far = Far(found=RateLimitedError("slow down", 40.0, scope))
    again = await attempt(uncertain(), Ways(acme=far))
    assert isinstance(again, Blind)
    assert wait(again) == pytest.approx(40, abs=1.0)
    assert (again.counts, again.everywhere) == (False, scope == "account")
    assert [one[0] for one in far.asked] == ["find"]


async def test_no_answer_of_a_platform_makes_a_wait_endless() -> None:
    far = Far(found=RateLimitedError("slow down", 1e300))
    again = await attempt(uncertain(), Ways(acme=far))
    assert isinstance(again, Blind)
    assert wait(again) <= LONGEST_LIMIT


@pytest.mark.parametrize("error", [RetryableError("busy"), UnknownOutcomeError("cut")])
async def test_a_look_up_that_fails_is_tried_again_soon_and_counts_as_no_attempt(
    error: SendError,
) -> None:
    again = await attempt(uncertain(), Ways(acme=Far(found=error)))
    assert isinstance(again, Blind)
    assert not again.counts
    assert 0 < wait(again) < 10


async def test_while_the_platform_remembers_the_key_it_is_simply_sent_again() -> None:
    far = Far(limits=Limits(remembers_seconds=60))
    assert await attempt(uncertain(tried_at=now() - seconds(25)), Ways(acme=far)) == SENT
    assert [one[0] for one in far.asked] == ["send"]


@pytest.mark.parametrize("age", [31, 60, 3600])
async def test_what_the_platform_may_have_forgotten_is_looked_up(age: float) -> None:
    far = Far(limits=Limits(remembers_seconds=60), found=FOUND)
    assert await attempt(uncertain(tried_at=now() - seconds(age)), Ways(acme=far)) == FOUND


async def test_an_attempt_without_a_moment_is_not_taken_for_remembered() -> None:
    far = Far(limits=Limits(remembers_seconds=60), found=FOUND)
    assert await attempt(uncertain(tried_at=None), Ways(acme=far)) == FOUND


async def test_what_no_longer_matters_is_never_sent_again_even_if_the_key_is_remembered() -> None:
    far = Far(limits=Limits(remembers_seconds=60))
    moot = uncertain(tried_at=now() - seconds(5), facts=Facts("How?", answered=True))
    verdict = await attempt(moot, Ways(acme=far))
    assert isinstance(verdict, Moot)
    assert "replied" in verdict.reason
    assert [one[0] for one in far.asked] == ["find"]


async def test_what_no_longer_matters_and_arrived_is_recorded_as_sent() -> None:
    moot = uncertain(facts=Facts("How?", deleted=True))
    assert await attempt(moot, Ways(acme=Far(found=FOUND))) == FOUND


async def test_what_no_longer_matters_and_may_still_arrive_is_looked_up_once_more() -> None:
    moot = uncertain(facts=Facts("How?", deleted=True), sure_at=now() + seconds(5))
    verdict = await attempt(moot, Ways(acme=Far()))
    assert isinstance(verdict, Again)


async def test_what_no_longer_matters_and_cannot_be_looked_up_ends() -> None:
    far = Far(found=PermanentError("missing_scope"))
    moot = uncertain(facts=Facts("How?", deleted=True))
    assert isinstance(await attempt(moot, Ways(acme=far)), Moot)
    assert isinstance(await attempt(moot, Ways(acme=far), HOLD), Hold)


async def test_after_a_gap_the_message_is_read_anew_before_anything_is_sent() -> None:
    far = Far(seen=[REPLY])
    before = now()
    looked = await attempt(after_a_gap(job()), Ways(acme=far))
    assert isinstance(looked, Looked)
    assert (looked.delivery, looked.events) == (1, (REPLY,))
    assert before <= looked.at <= now()
    assert far.asked == [("look", HELP, "1", "")]


async def test_it_is_read_on_the_platform_it_came_from_and_sent_on_the_other() -> None:
    there = Far(limits=Limits(remembers_seconds=60))
    here = Far(seen=[REPLY])
    ways = Ways(acme=here, community=there)
    to_there = after_a_gap(job(target=ChannelRef("community", "D-staff")))
    assert isinstance(await attempt(to_there, ways), Looked)
    assert (here.asked, there.asked) == ([("look", HELP, "1", "")], [])
    assert await attempt(replace(to_there, looked_at=now()), ways) == SENT
    assert [one[0] for one in there.asked] == ["send"]


async def test_a_look_counts_as_later_than_its_gap_whatever_the_clocks_say() -> None:
    gap_at = now() + seconds(5)
    ahead = job(source=Source(HELP, "1", "", now(), gap_at))
    looked = await attempt(ahead, Ways(acme=Far()))
    assert isinstance(looked, Looked)
    assert not replace(ahead, looked_at=looked.at).must_look


@pytest.mark.parametrize(
    ("received", "gap", "looked", "must"),
    [
        (0, None, None, False),
        (0, 5, None, True),
        (5, 0, None, False),
        (0, 5, 4, True),
        (0, 5, 5, False),
        (0, 5, 6, False),
    ],
)
def test_only_a_gap_since_the_last_reading_makes_us_look(
    received: int, gap: int | None, looked: int | None, must: object
) -> None:
    start = now()

    def at(number: int | None) -> datetime | None:
        return None if number is None else start + timedelta(seconds=number)

    source = Source(HELP, "1", "", start + timedelta(seconds=received), at(gap))
    assert job(source=source, looked_at=at(looked)).must_look is must


async def test_a_message_that_cannot_be_read_any_more_is_judged_by_what_we_know() -> None:
    far = Far(seen=PermanentError("channel_not_found"))
    looked = await attempt(after_a_gap(job()), Ways(acme=far))
    assert isinstance(looked, Looked)
    assert looked.events == ()


async def test_an_account_that_is_gone_from_the_config_holds_nothing_up() -> None:
    looked = await attempt(
        after_a_gap(job(target=ChannelRef("community", "D"))), Ways(community=Far())
    )
    assert isinstance(looked, Looked)


@pytest.mark.parametrize(
    "error",
    [RetryableError("busy"), UnknownOutcomeError("cut"), RateLimitedError("slow", 3.0, "account")],
)
async def test_a_reading_that_fails_counts_as_no_attempt_and_leaves_nothing_unknown(
    error: SendError,
) -> None:
    far = Far(seen=error)
    again = await attempt(after_a_gap(job()), Ways(acme=far))
    assert isinstance(again, Blind)
    assert (again.unknown, again.counts, again.everywhere) == (False, False, False)
    assert [one[0] for one in far.asked] == ["look"]


async def test_an_unknown_attempt_is_settled_before_the_message_is_read_anew() -> None:
    far = Far(found=FOUND, limits=Limits(remembers_seconds=60))
    both = after_a_gap(uncertain(tried_at=now() - seconds(5)))
    assert await attempt(both, Ways(acme=far)) == FOUND
    assert [one[0] for one in far.asked] == ["find"]
    gone = Far(limits=Limits(remembers_seconds=60))
    assert isinstance(await attempt(both, Ways(acme=gone)), Looked)
    assert [one[0] for one in gone.asked] == ["find", "look"]


async def test_the_members_of_a_bundle_are_read_anew_as_well_one_at_a_time() -> None:
    far = Far()
    members = tuple(after_a_gap(job(id=number, key=f"key-{number}")) for number in (2, 3))
    one = job(bundle=1, others=members)
    for number in (2, 3):
        looked = await attempt(one, Ways(acme=far))
        assert isinstance(looked, Looked)
        assert looked.delivery == number
        one = replace(
            one,
            others=tuple(
                replace(each, looked_at=looked.at) if each.id == number else each
                for each in one.others
            ),
        )
    assert await attempt(one, Ways(acme=far)) == SENT


async def test_who_was_held_up_sends_nothing_and_says_so_at_the_very_last_moment() -> None:
    far = Far()
    questions: list[str] = []

    def still_ours() -> bool:
        questions.append("asked")
        assert [one[0] for one in far.asked] == ["find"], "after the look-up, right before sending"
        return False

    again = await attempt(uncertain(), Ways(acme=far), still_ours=still_ours)
    assert isinstance(again, Again)
    assert (again.counts, questions) == (False, ["asked"])
    assert [one[0] for one in far.asked] == ["find"]


def test_what_goes_out_is_the_body_the_notification_or_the_bundle() -> None:
    document = (Paragraph((Text("done"),)),)
    ready = job(body=dump(document), kind="digest")
    assert outbound(ready) == Outbound(ONCALL, "key-1", document, card=True)
    single = outbound(job())
    assert not single.card
    bundle = outbound(job(others=(job(id=2, key="key-2"),)))
    assert bundle.card
    assert "2 notifications" in str(bundle.document)
    assert {one.key for one in (single, bundle)} == {"key-1"}


def test_several_orders_of_the_same_members_read_alike() -> None:
    members = tuple(job(id=number, due_at=now() + seconds(number)) for number in range(2, 5))
    bundle = replace(job(), others=members)
    assert all(one == other for one, other in pairwise(outbound(bundle) for _ in range(3))), (
        "a look-up by content compares with what was sent"
    )
