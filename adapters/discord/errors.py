"""What the SDK and the network raise, as the errors that retry rules know. One function judges."""

import json

import aiohttp
import discord

from adapters.discord.client import Refused
from bridge.errors import (
    PermanentError,
    RateLimitedError,
    RetryableError,
    SendError,
    UnknownOutcomeError,
)

TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
GATEWAY_TIMEOUT = 504
"""A proxy lost sight of the request, which may still be under way."""
CLOUDFLARE_WAIT = 60.0
"""Seconds to keep quiet after a 429 that names no time (a ban by the proxy before Discord)."""
GUILD_WRITES = 20029
"""The code of a limit that counts a whole server's writes."""
UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
UNKNOWN_EMOJI = 10014

_ADVICE = {
    10003: "the channel does not exist (any more): correct its address",
    10004: "the server does not exist, or the bot is not in it: invite the bot",
    10008: "the message does not exist any more",
    10013: "there is no such person: correct the address",
    20028: "this channel's write limit is reached",
    40001: "the token may not do this: check the bot in the developer portal",
    40002: "the bot's owner must verify their Discord account first",
    40005: "the message is too large",
    40333: "Discord's proxy refuses this client",
    50001: "the bot cannot see this channel: give it View Channel there",
    50006: "there is nothing to send in it",
    50007: "this person takes no direct messages from the bot: they must allow them, "
    "or share a server with it",
    50008: "this kind of channel takes no messages: choose a text channel",
    50009: "the server's verification level keeps the bot out",
    50013: "the bot lacks a permission here: give it Send Messages, Embed Links, "
    "Send Messages in Threads and Read Message History",
    50035: "Discord refuses the form of the message",
    50083: "the thread is archived: reopen it",
    160005: "the thread is locked: unlock it",
    200000: "the server's AutoMod blocked the message",
    200001: "the server's AutoMod blocked the message's title",
    240000: "a link in it is blocked by Discord as harmful",
}


def translate(  # noqa: PLR0911 - one line per kind of error
    error: Exception, where: str, *, sent: bool
) -> SendError | None:
    """The bridge's error for one of the SDK's or the network's; None for a bug, which must rise.

    `where` opens the text. `sent` says whether the request that matters had left us: if so, a
    failure that explains nothing leaves the outcome unknown.
    """
    match error:
        case SendError():
            return error
        case discord.RateLimited(retry_after=seconds):
            return RateLimitedError(f"{where}: the rate limit is used up", seconds)
        case discord.HTTPException(status=status) if status == TOO_MANY_REQUESTS:
            return _limited(error, where)
        case discord.HTTPException(status=status) if status >= SERVER_ERROR:
            over = status != GATEWAY_TIMEOUT
            return _unclear(f"{where}: Discord answers {status}", sent=sent, answered=over)
        case discord.LoginFailure():
            return PermanentError(f"{where}: Discord refuses the token; set a new one")
        case discord.HTTPException():
            return PermanentError(f"{where}: {_advice(error)}")
        case TimeoutError():
            return _unclear(f"{where}: no answer in time", sent=sent)
        case aiohttp.ClientError() | OSError() | json.JSONDecodeError():
            return _unclear(f"{where}: {_reason(error)}", sent=sent)
        case _:
            return None


def _unclear(text: str, *, sent: bool, answered: bool = False) -> SendError:
    if sent:
        return UnknownOutcomeError(f"{text}; it may have arrived", answered=answered)
    return RetryableError(f"{text}; nothing was sent")


def _limited(error: discord.HTTPException, where: str) -> RateLimitedError:
    body = error.body if isinstance(error, Refused) else {}
    headers = error.headers if isinstance(error, Refused) else {}
    seconds = CLOUDFLARE_WAIT
    for told in (body.get("retry_after"), headers.get("Retry-After")):
        try:
            seconds = max(float(told), 0.0)  # type: ignore[arg-type]
            break
        except (TypeError, ValueError):
            continue
    everywhere = (
        not body  # the proxy's answer, which holds for the whole address
        or bool(body.get("global"))
        or headers.get("X-RateLimit-Scope") == "global"
        or error.code == GUILD_WRITES
    )
    scope = "account" if everywhere else "lane"
    return RateLimitedError(f"{where}: Discord asks to wait {seconds:g} s", seconds, scope)


def _advice(error: discord.HTTPException) -> str:
    if error.status == 401:  # noqa: PLR2004
        return "Discord refuses the token; set a new one"
    said = "; ".join(line.strip() for line in error.text.splitlines() if line.strip())[:300]
    told = f"Discord error {error.code}: {said}" if error.code else f"{error.status} {said}".strip()
    advice = _ADVICE.get(error.code)
    return f"{advice} ({told})" if advice else told


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} cannot be resolved"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {error.host}:{error.port}"
        case aiohttp.ServerDisconnectedError():
            return "the connection broke off"
        case _:
            return type(error).__name__
