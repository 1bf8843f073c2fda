"""Every error of Slack's SDK, and what it means for the delivery."""

import asyncio
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.slack.failures import DEFAULT_WAIT, translated
from bridge.errors import (
    PermanentError,
    RateLimitedError,
    RetryableError,
    UnknownOutcomeError,
)

TOKEN = "xoxb-1-secret"
KEY: Any = SimpleNamespace(host="slack.com", port=443, is_ssl=True, ssl=True)


def refusal(
    code: str, status: int = 200, headers: dict[str, str] | None = None, **body: str
) -> SlackApiError:
    response = AsyncSlackResponse(
        client=AsyncWebClient(token=TOKEN),
        http_verb="POST",
        api_url="https://slack.com/api/chat.postMessage",
        req_args={"headers": {"Authorization": f"Bearer {TOKEN}"}},
        data={"ok": False, "error": code, **body} if code else {},
        headers=headers or {},
        status_code=status,
    )
    return SlackApiError("refused", response)  # type: ignore[no-untyped-call]


def unreadable(status: int) -> SlackApiError:
    """What the SDK raises for a body that is no JSON: aiohttp's own response is inside."""
    answer = SimpleNamespace(status=status, headers={})
    return SlackApiError("unreadable", answer)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("ratelimited", 429, {"Retry-After": "3"}), RateLimitedError),
        (refusal("rate_limited"), RateLimitedError),
        (refusal("fatal_error"), UnknownOutcomeError),
        (refusal("internal_error"), UnknownOutcomeError),
        (refusal("service_unavailable"), UnknownOutcomeError),
        (refusal("request_timeout"), UnknownOutcomeError),
        (refusal("duplicate_message_not_found"), UnknownOutcomeError),
        (refusal("duplicate_channel_not_found"), UnknownOutcomeError),
        (refusal("", 500), UnknownOutcomeError),
        (refusal("not_in_channel", 503), UnknownOutcomeError),
        (unreadable(502), UnknownOutcomeError),
        (unreadable(200), UnknownOutcomeError),
        (refusal("team_added_to_org"), RetryableError),
        (refusal("not_in_channel"), PermanentError),
        (refusal("something_new"), PermanentError),
        (refusal("", 404), PermanentError),
        (unreadable(403), PermanentError),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), RetryableError),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "no name")), RetryableError),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "handshake")), RetryableError),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("not it")),
            RetryableError,
        ),
        (aiohttp.ConnectionTimeoutError("connecting"), RetryableError),
        (aiohttp.ServerDisconnectedError(), UnknownOutcomeError),
        (aiohttp.ClientOSError(104, "reset"), UnknownOutcomeError),
        (aiohttp.ClientPayloadError("cut"), UnknownOutcomeError),
        (aiohttp.SocketTimeoutError("reading"), UnknownOutcomeError),
        (ConnectionResetError(104, "reset"), UnknownOutcomeError),
        (TimeoutError(), UnknownOutcomeError),
    ],
)
def test_an_error_becomes_one_kind(error: Exception, kind: type[Exception]) -> None:
    found = translated(error, "posting to C1")
    assert type(found) is kind
    assert str(found).startswith("posting to C1: ")
    assert TOKEN not in str(found)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "3"}, 3.0), ({}, DEFAULT_WAIT), ({"Retry-After": "soon"}, DEFAULT_WAIT)]
    + [({"Retry-After": bad}, DEFAULT_WAIT) for bad in ("nan", "-1", "inf")],
)
def test_a_rate_limit_says_how_long(headers: dict[str, str], seconds: float) -> None:
    found = translated(refusal("ratelimited", 429, headers), "posting")
    assert isinstance(found, RateLimitedError)
    assert (found.retry_after, found.scope) == (seconds, "lane")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (refusal("not_in_channel"), "invite the app"),
        (refusal("missing_scope", needed="chat:write"), "add the scope chat:write"),
        (refusal("restricted_action_thread_only_channel"), "restricted who may post"),
        (refusal("invalid_auth"), "new token"),
        (refusal("something_new"), "its documentation says more"),
    ],
)
def test_a_refusal_says_what_to_do(error: SlackApiError, advice: str) -> None:
    assert advice in str(translated(error, "posting"))


@pytest.mark.parametrize(
    "bug", [KeyError("x"), SlackRequestError("x"), asyncio.InvalidStateError("x")]
)
def test_a_bug_is_not_translated(bug: Exception) -> None:
    assert translated(bug, "posting") is None
