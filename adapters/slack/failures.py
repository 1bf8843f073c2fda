"""The one place where Slack's and aiohttp's errors become the bridge's."""

import math
from collections.abc import Mapping

import aiohttp
from slack_sdk.errors import SlackApiError

from bridge.errors import PermanentError, RateLimitedError, RetryableError, SendError
from bridge.errors import UnknownOutcomeError as Unknown

TOO_MANY = 429
SERVER_ERROR = 500
GATEWAY_TIMEOUT = 504
"""A proxy lost sight of the request, which may still be under way."""
OK = 200
DEFAULT_WAIT = 30.0
"""Seconds to wait where Slack forgets to say; what its own SDK takes."""

_LIMITED = frozenset({"ratelimited", "rate_limited"})
_UNKNOWN = frozenset(
    {
        "fatal_error",
        "internal_error",
        "service_unavailable",
        "request_timeout",
        "duplicate_message_not_found",
        "duplicate_channel_not_found",
    }
)
_LATER = frozenset({"team_added_to_org"})
"""Refused for as long as the workspace is being moved."""

_REINSTALL = "reinstall the app in Slack and set its new token"
_WHAT_TO_DO: Mapping[str, str] = {
    "account_inactive": _REINSTALL,
    "cannot_dm_bot": "direct messages go to people only; address a person",
    "cannot_reply_to_message": "the message takes no replies; post to the channel",
    "channel_not_found": "check the channel, and invite the app to it where it is private",
    "ekm_access_denied": "an admin of the workspace suspended its keys",
    "invalid_auth": _REINSTALL,
    "invalid_blocks": "a bug: please report it together with the message",
    "is_archived": "unarchive the channel, or choose another",
    "message_limit_exceeded": "the workspace posts too much; see its plan",
    "messages_tab_disabled": "allow direct messages in the app's settings, under App Home",
    "msg_blocks_too_long": "a bug: please report it together with the message",
    "msg_too_long": "shorten the text",
    "not_allowed_token_type": "set bot_token to the xoxb- token, app_token to the xapp- one",
    "not_authed": _REINSTALL,
    "not_in_channel": "invite the app to the channel: /invite @ and its name",
    "restricted_action": "an admin of the workspace restricted who may post there",
    "thread_not_found": "the thread is gone; post to the channel",
    "token_expired": _REINSTALL,
    "token_revoked": _REINSTALL,
    "user_disabled": "the person has left; address somebody else",
    "user_not_found": "check the person's id",
    "user_not_visible": "the app may not see this person; address somebody else",
}
_RESTRICTED = "restricted_action"


def translated(error: Exception, doing: str) -> SendError | None:
    """What an error of one API call means; None for what no call should raise (a bug).

    `doing` names the call for people, such as "chat.postMessage in C012". No token gets into a
    text: none of an error's own words are taken over but Slack's error code.
    """
    match error:
        case SlackApiError():
            return _answered(error, doing)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return RetryableError(f"{doing}: Slack cannot be reached ({type(error).__name__})")
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return RetryableError(f"{doing}: no trusted connection ({type(error).__name__})")
        case TimeoutError():
            return Unknown(f"{doing}: no answer in time")
        case aiohttp.ClientError() | ConnectionError():
            return Unknown(f"{doing}: the connection broke ({type(error).__name__})")
    return None


def harmless(error: SendError) -> SendError:
    """The same error of a call that may as well be made twice: there is no outcome to know."""
    return RetryableError(str(error)) if isinstance(error, Unknown) else error


def code(error: SendError) -> str:
    """Slack's own error code behind an error of ours, "" where there is none."""
    cause = error.__cause__
    return _facts(cause)[1] if isinstance(cause, SlackApiError) else ""


def _answered(error: SlackApiError, doing: str) -> SendError:
    status, code, wait = _facts(error)
    if status == TOO_MANY or code in _LIMITED:
        return RateLimitedError(f"{doing}: Slack asks to wait {wait:g} s", wait)
    if status >= SERVER_ERROR or code in _UNKNOWN or (status == OK and not code):
        told = f"{doing}: Slack answered {code or status}"
        return Unknown(told, answered=status != GATEWAY_TIMEOUT)
    if code in _LATER:
        return RetryableError(f"{doing}: Slack answered {code}")
    if not code:
        return PermanentError(f"{doing}: HTTP status {status}; check api_url")
    return PermanentError(f"{doing}: {code}: {_advice(error, code)}")


def _facts(error: SlackApiError) -> tuple[int, str, float]:
    """HTTP status, Slack's error code ("" without one), seconds to wait.

    Where a body was no JSON the SDK hands over aiohttp's response instead of its own.
    """
    answer = error.response
    status = int(getattr(answer, "status_code", 0) or getattr(answer, "status", 0))
    body = getattr(answer, "data", None)
    code = str(body.get("error") or "") if isinstance(body, dict) else ""
    return status, code, _wait(getattr(answer, "headers", {}).get("Retry-After"))


def _wait(header: str | None) -> float:
    try:
        seconds = float(header or DEFAULT_WAIT)
    except ValueError:
        return DEFAULT_WAIT
    return seconds if math.isfinite(seconds) and seconds >= 0 else DEFAULT_WAIT


def _advice(error: SlackApiError, code: str) -> str:
    if code == "missing_scope":
        needed = error.response.get("needed") or "the one that the method needs"
        return f"add the scope {needed} to the app and reinstall it"
    key = _RESTRICTED if code.startswith(_RESTRICTED) else code
    return _WHAT_TO_DO.get(key, "Slack refuses this call; its documentation says more")
