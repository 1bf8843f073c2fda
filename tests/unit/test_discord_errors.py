"""Every failure of the SDK and the network has one meaning for the outbox."""

import json
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from adapters.discord.client import Refused
from adapters.discord.errors import translate
from bridge.errors import (
    PermanentError,
    RateLimitedError,
    RetryableError,
    SendError,
    UnknownOutcomeError,
)


def answer(status: int, **headers: str) -> Any:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return SimpleNamespace(status=status, reason="", headers=named)


def limited(body: Any, **headers: str) -> RateLimitedError:
    error = translate(Refused(answer(429, **headers), body), "club:5", sent=True)
    assert isinstance(error, RateLimitedError)
    return error


def test_a_channels_limit_pauses_the_lane() -> None:
    error = limited({"message": "wait", "retry_after": 1.5, "global": False})
    assert (error.retry_after, error.scope) == (1.5, "lane")


@pytest.mark.parametrize(
    "error",
    [
        limited({"retry_after": 2, "global": True}),
        limited({"retry_after": 2, "global": False}, **{"X-RateLimit-Scope": "global"}),
        limited({"retry_after": 2, "global": False, "code": 20029}),
        limited("<html>banned</html>", Retry_After="2"),
    ],
)
def test_a_limit_of_everything_pauses_the_account(error: RateLimitedError) -> None:
    assert (error.retry_after, error.scope) == (2, "account")


def test_a_ban_that_names_no_time_is_waited_out() -> None:
    assert limited("<html>banned</html>").retry_after == 60


def test_a_bucket_that_is_used_up_pauses_the_lane_before_anything_is_sent() -> None:
    error = translate(discord.RateLimited(3.0), "club:5", sent=False)
    assert isinstance(error, RateLimitedError)
    assert (error.retry_after, error.scope) == (3.0, "lane")


@pytest.mark.parametrize(
    "cause",
    [
        Refused(answer(500), ""),
        Refused(answer(503), {"message": "busy", "code": 0}),
        TimeoutError(),
        aiohttp.ServerDisconnectedError(),
        ConnectionResetError(),
        json.JSONDecodeError("", "", 0),
    ],
)
def test_a_failure_that_explains_nothing_is_unknown_only_after_the_request_left(
    cause: Exception,
) -> None:
    assert isinstance(translate(cause, "club:5", sent=True), UnknownOutcomeError)
    assert type(translate(cause, "club:5", sent=False)) is RetryableError


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, 50001, "give it View Channel"),
        (403, 50013, "Send Messages"),
        (404, 10003, "correct its address"),
        (403, 50007, "takes no direct messages"),
        (400, 50035, "refuses the form"),
        (401, 0, "set a new one"),
        (400, 99999, "Discord error 99999: what happened"),
    ],
)
def test_a_refusal_is_permanent_and_says_what_to_do(status: int, code: int, words: str) -> None:
    cause = discord.HTTPException(answer(status), {"code": code, "message": "what happened"})
    error = translate(cause, "club:5", sent=True)
    assert isinstance(error, PermanentError)
    assert str(error).startswith("club:5: ")
    assert words in str(error)
    assert "\n" not in str(error)


def test_a_refused_form_names_its_fields_on_one_line() -> None:
    fields = {"content": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "too long"}]}}
    body = {"code": 50035, "message": "Invalid Form Body", "errors": fields}
    error = translate(discord.HTTPException(answer(400), body), "club:5", sent=True)
    assert "Invalid Form Body; In content: too long" in str(error)


def test_a_bad_token_is_permanent() -> None:
    error = translate(discord.LoginFailure("x"), "club", sent=False)
    assert isinstance(error, PermanentError)


def test_our_own_errors_stay_and_a_bug_is_not_hidden() -> None:
    own = SendError("x")
    assert translate(own, "club", sent=False) is own
    assert translate(KeyError("x"), "club", sent=True) is None
