"""The SDK's HTTP client, pointed at one account's host."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Any, TypeVar

import aiohttp
import discord
from discord.http import HTTPClient, Ratelimit, Route, json_or_text

from adapters.discord.invalid import InvalidRequests
from adapters.discord.payload import JsonDict
from adapters.discord.settings import DiscordSettings
from bridge.errors import RateLimitedError

LONGEST_WAIT = 30.0
"""Seconds the SDK may sleep for a rate limit in one call; the least that it allows."""


@dataclass(slots=True)
class Attempt:
    """Whether a request has left us: from then on its outcome may be unknown."""

    sent: bool = False


class Api(HTTPClient):
    """REST calls of one account. Make it on the loop that will use it."""

    def __init__(self, api_url: str) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_sent)
        super().__init__(
            asyncio.get_running_loop(), http_trace=trace, max_ratelimit_timeout=LONGEST_WAIT
        )
        self._api_url = api_url
        self.me: JsonDict = {}

    async def request(
        self,
        route: Route,
        *,
        files: Sequence[discord.File] | None = None,
        form: Iterable[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Any:
        """One call as the SDK does it, at this account's host."""
        # The SDK keeps its host in Route.BASE, one for the whole process. Changing that would
        # move every other account too, so each route is moved on its way through.
        route.url = self._api_url + route.url.removeprefix(Route.BASE)
        return await super().request(route, files=files, form=form, **options)


class PromptApi(Api):
    """REST calls that never sleep: what the SDK would wait for or retry is raised at once.

    Our outbox does the waiting, because it can wait for one lane while the others go on. Every
    refusal is counted in `invalid`; once there are too many, nothing leaves us any more.
    """

    def __init__(self, api_url: str, invalid: InvalidRequests) -> None:
        super().__init__(api_url)
        self._invalid = invalid

    async def request(
        self,
        route: Route,
        *,
        files: Sequence[discord.File] | None = None,
        form: Iterable[dict[str, Any]] | None = None,
        **options: Any,
    ) -> Any:
        """One try. Raises Refused for 429 and 5xx, RateLimited before a bucket runs over.

        Raises RateLimitedError where one refusal more could get this address banned.
        """
        wait = self._invalid.wait(self.loop.time())
        if wait:
            told = f"Discord refused {self._invalid.most} requests in 10 minutes and would ban us"
            raise RateLimitedError(told, wait, "account")
        return await super().request(
            route, files=files, form=form, raise_for_status=self._judge, **options
        )

    async def _judge(self, response: aiohttp.ClientResponse) -> None:
        scope = response.headers.get("X-RateLimit-Scope", "")
        self._invalid.note(response.status, scope, self.loop.time())
        if response.status >= 500 or response.status == 429:  # noqa: PLR2004
            raise Refused(response, await json_or_text(response))

    def get_ratelimit(self, key: str) -> Ratelimit:
        """The bucket of a route, as the SDK keeps them, but prompt."""
        if key not in self._buckets:
            self._buckets[key] = _PromptRatelimit(self.max_ratelimit_timeout)
            self._try_clear_expired_ratelimits()
        return self._buckets[key]


class Refused(discord.HTTPException):
    """A 429 or 5xx, with the whole body of the answer."""

    def __init__(self, response: aiohttp.ClientResponse, body: JsonDict | str) -> None:
        super().__init__(response, body)
        self.body: JsonDict = body if isinstance(body, dict) else {}
        self.headers = response.headers


AnyApi = TypeVar("AnyApi", bound=Api)


async def log_in(api: AnyApi, settings: DiscordSettings) -> AnyApi:
    """Ask who the token belongs to and keep the answer in `me`. Closes the client if that fails."""
    try:
        api.me = dict(await api.static_login(settings.token.get_secret_value()))
    except BaseException:
        await api.close()
        raise
    return api


class _PromptRatelimit(Ratelimit):
    """A bucket that says when it is empty.

    The SDK's own sleeps in two places: before a call, and after the call that took the last
    token. The second would hold back the receipt of a message that is already there.
    """

    __slots__ = ()

    async def acquire(self) -> None:
        self._last_request = self._loop.time()
        if self.is_expired():
            self.reset()  # type: ignore[no-untyped-call]
        if self.remaining <= 0 and self.expires is not None:
            raise discord.RateLimited(max(self.expires - self._loop.time(), 0.0))
        self.remaining -= 1
        self.outgoing += 1

    # The SDK names these `type`, `value` and `traceback`; it passes them by position.
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.outgoing -= 1


async def _note_sent(
    _: aiohttp.ClientSession,
    context: SimpleNamespace,
    __: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    attempt = getattr(context, "trace_request_ctx", None)
    if isinstance(attempt, Attempt):
        attempt.sent = True
