"""When again, or give up."""

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import (
    PermanentError,
    RateLimitedError,
    RetryableError,
    SendError,
    UnknownOutcomeError,
)
from bridge.retry import (
    LONGEST_LIMIT,
    LONGEST_PAUSE,
    LOST_SECONDS,
    MOST_TRIES,
    SURE_SECONDS,
    Again,
    GiveUp,
    Verdict,
    judge,
)
from tests.values import NOW, seconds

DAY = 86400.0
errors = st.sampled_from(
    [RetryableError("busy"), UnknownOutcomeError("cut"), RateLimitedError("slow", 7.0)]
)


def verdict(error: SendError, **facts: Any) -> Verdict:
    known = {
        "attempts": 1,
        "others_succeed": True,
        "due_at": NOW,
        "now": NOW,
        "give_up": DAY,
        "jitter": 1.0,
    }
    return judge(error, **{**known, **facts})


def again(error: SendError, **facts: Any) -> Again:
    found = verdict(error, **facts)
    assert isinstance(found, Again)
    return found


def wait(error: SendError, **facts: Any) -> float:
    return (again(error, **facts).at - NOW).total_seconds()


def test_a_permanent_error_ends_it_at_once() -> None:
    assert verdict(PermanentError("is_archived")) == GiveUp("is_archived")


def test_an_error_without_words_is_named_by_its_kind() -> None:
    assert verdict(PermanentError("")) == GiveUp("PermanentError")


def test_what_was_refused_did_not_happen_and_what_got_no_answer_may_have() -> None:
    assert not again(RetryableError("busy")).unknown
    assert not again(RateLimitedError("slow", 1.0)).unknown
    assert again(UnknownOutcomeError("cut")).unknown


@pytest.mark.parametrize(("answered", "sure"), [(True, SURE_SECONDS), (False, LOST_SECONDS)])
def test_not_found_counts_later_when_there_was_no_answer_at_all(
    answered: object, sure: float
) -> None:
    error = UnknownOutcomeError("500" if answered else "cut", answered=bool(answered))
    assert again(error).sure_at == NOW + seconds(sure)


def test_pauses_double_up_to_a_minute() -> None:
    error = RetryableError("busy")
    found = [wait(error, attempts=number, others_succeed=False) for number in range(1, 12)]
    assert found == [1, 2, 4, 8, 16, 32, *[LONGEST_PAUSE] * 5]


def test_a_rate_limit_waits_as_told_and_a_little_longer_and_is_no_attempt() -> None:
    found = again(RateLimitedError("slow", 30.0), attempts=MOST_TRIES + 5)
    assert found.at - NOW == seconds(33)
    assert not found.counts
    assert again(RetryableError("busy")).counts


@pytest.mark.parametrize("told", [0.0, -5.0, 1e300, math.inf])
def test_a_senseless_rate_limit_is_bounded(told: float) -> None:
    assert 0 < wait(RateLimitedError("slow", told)) <= LONGEST_LIMIT * 1.1


def test_a_limit_of_the_account_holds_all_its_lanes() -> None:
    assert again(RateLimitedError("slow", 1.0, "account")).everywhere
    assert not again(RateLimitedError("slow", 1.0)).everywhere


def test_after_eight_tries_it_is_dead_if_others_get_through() -> None:
    error = RetryableError("busy")
    assert isinstance(verdict(error, attempts=MOST_TRIES - 1), Again)
    assert isinstance(verdict(error, attempts=MOST_TRIES), GiveUp)
    assert isinstance(verdict(error, attempts=1000, others_succeed=False), Again)


def test_a_day_after_it_was_due_it_is_dead_whatever_the_error() -> None:
    late = NOW + timedelta(seconds=DAY + 1)
    for error in (RetryableError("busy"), RateLimitedError("slow", 1.0), UnknownOutcomeError("x")):
        found = verdict(error, now=late, others_succeed=False)
        assert isinstance(found, GiveUp)
        assert "24 h" in found.reason
        assert str(error) in found.reason


@given(errors, st.integers(1, 10_000), st.booleans(), st.floats(0, 1), st.floats(-1e6, 1e6))
def test_every_verdict_is_an_end_or_a_later_moment_within_reason(
    error: SendError, attempts: int, others: object, jitter: float, age: float
) -> None:
    now = NOW + seconds(age)
    found = verdict(error, attempts=attempts, others_succeed=others, jitter=jitter, now=now)
    if isinstance(found, Again):
        assert timedelta(0) < found.at - now <= seconds(LONGEST_PAUSE)
        assert age <= DAY
    assert found.reason
