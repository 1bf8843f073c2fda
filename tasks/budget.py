"""The sending budget of an account, shared by all workers: who sends next, and when."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis.asyncio
import redis.asyncio.retry
import redis.retry
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from sqlmodel import Session

from bridge import budgets
from bridge.budgets import HORIZON, SECOND, Pace
from bridge.errors import StoreError
from bridge.store import Store
from tasks import broker
from tasks.wiring import House

REDIS_SECONDS = 0.5
STORE_SECONDS = 5.0
"""So long the shared count may take to answer; then this process counts alone for a while."""
_MEND_SECONDS = 1.0
_PREFIX = "chatbridge:budget:"

# Pace.book in the server, by the server's clock; a wait beyond the horizon books nothing
_BOOK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local horizon, furthest = tonumber(ARGV[3]), tonumber(ARGV[4])
local tat = tonumber(redis.call('GET', KEYS[1]) or 0)
if tat < now or tat > now + furthest then tat = now end
local wait = math.max(tat - tolerance - now, 0)
if wait <= horizon then
    tat = tat + interval
    redis.call('SET', KEYS[1], string.format('%.0f', tat),
               'PX', math.ceil((tat - now) / 1000) + 1000)
end
return wait
"""

log = structlog.get_logger(__name__)


class Budget(Protocol):
    """What all workers together may send. One event loop owns it."""

    async def reserve(self, account: str, rate: float) -> float:
        """Book the next of `rate` slots a second; returns the seconds to wait before using it.

        First come, first served. Returns late rather than far ahead: nobody books more than 5 s.
        """

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""


class Local:
    """The budget of a process that counts alone."""

    def __init__(self) -> None:
        self._tats: dict[str, int] = {}

    def book(self, account: str, rate: float) -> int:
        """As budgets.book, by this process's clock."""
        now = time.monotonic_ns() // 1000
        wait, self._tats[account] = Pace.of(rate).book(self._tats.get(account, now), now)
        return wait


class _Shared:
    """What both kinds have in common: turns within this process, and a fallback."""

    def __init__(self, what: str, patience: float) -> None:
        self._what = what
        self._patience = patience
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._local = Local()
        self._mending: asyncio.Task[None] | None = None

    async def reserve(self, account: str, rate: float) -> float:
        """See Budget."""
        async with self._turns[account]:
            wait = await self._next(account, rate)
            while wait > HORIZON:
                await asyncio.sleep((wait - HORIZON) / SECOND)
                wait = await self._next(account, rate)
        return wait / SECOND

    async def close(self) -> None:
        """See Budget."""
        mending, self._mending = self._mending, None
        if mending:
            mending.cancel()
            await asyncio.wait([mending])

    async def _next(self, account: str, rate: float) -> int:
        if self._mending is None or self._mending.done():
            try:
                return await asyncio.wait_for(self._book(account, rate), self._patience)
            except (RedisError, StoreError, OSError, TimeoutError) as error:
                self._lose(error)
        return self._local.book(account, rate)

    def _lose(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        log.warning("this process counts alone: the shared budget is away", reason=reason)
        self._mending = asyncio.create_task(self._mend())

    async def _mend(self) -> None:
        """Ask beside the sending until it answers, so that nobody waits for it meanwhile."""
        while True:
            await asyncio.sleep(_MEND_SECONDS)
            with contextlib.suppress(RedisError, StoreError, OSError, TimeoutError):
                await asyncio.wait_for(self._ask(), self._patience)
                break
        log.info("the shared budget is back", by=self._what)

    async def _book(self, account: str, rate: float) -> int:
        raise NotImplementedError

    async def _ask(self) -> None:
        """Return once it answers."""
        raise NotImplementedError


class RedisBudget(_Shared):
    """Counts in Redis or Valkey, by the server's clock."""

    def __init__(self, url: str) -> None:
        super().__init__("broker", REDIS_SECONDS)
        self._redis = _configured(redis.asyncio.Redis, url)
        self._script = self._redis.register_script(_BOOK)

    async def close(self) -> None:
        """See Budget."""
        await super().close()
        await self._redis.aclose()

    async def _book(self, account: str, rate: float) -> int:
        pace = Pace.of(rate)
        arguments = [pace.interval, pace.tolerance, HORIZON, pace.furthest]
        return int(await self._script(keys=[_PREFIX + account], args=arguments))

    async def _ask(self) -> None:
        await self._book("", SECOND)


class StoreBudget(_Shared):
    """Counts in the store, where the broker is no Redis."""

    def __init__(self, store: Store) -> None:
        super().__init__("store", STORE_SECONDS)
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="budget")

    async def close(self) -> None:
        """See Budget."""
        await super().close()
        self._thread.shutdown(wait=False)

    async def _book(self, account: str, rate: float) -> int:
        return int(await self._run(self._book_now, account, rate))

    async def _ask(self) -> None:
        await self._run(self._look)

    def _book_now(self, account: str, rate: float) -> int:
        with self._store.transaction() as session:
            return budgets.book(session, account, rate)

    def _look(self) -> None:
        with self._store.reading() as session:
            budgets.ahead(session)

    async def _run(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def budget(house: House) -> Budget:
    """The budget of this house: in the broker where it can count, else in the store."""
    url = broker.use(house.settings.broker.url, house.state)
    return StoreBudget(house.store) if is_amqp(url) else RedisBudget(url)


def booked(house: House, session: Session) -> dict[str, float]:
    """By how many seconds each account is booked ahead; empty where nobody can tell at once."""
    url = house.settings.broker.url
    if is_amqp(url):
        return _rounded(budgets.ahead(session))
    if url == broker.EMBEDDED:
        url = broker.EmbeddedBroker(house.state).url  # looked at, not started
    try:
        with _configured(redis.Redis, url) as client:
            seconds, micros = client.time()
            tats = client.mget([_PREFIX + name for name in house.accounts])
    except (RedisError, OSError, ValueError):
        return {}
    now = seconds * SECOND + micros
    pairs = zip(house.accounts, tats, strict=True)
    return _rounded({name: max(int(tat) - now, 0) / SECOND for name, tat in pairs if tat})


def _rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {account: round(seconds, 1) for account, seconds in found.items()}


def is_amqp(url: str) -> bool:
    """Whether a broker only carries messages, and cannot count."""
    return url.startswith("amqp")


def redis_url(url: str) -> str:
    """A broker's URL in the words of redis-py: Celery has its own for sockets and certificates."""
    parts = urlsplit(url.partition(";")[0])
    given = dict(parse_qsl(parts.query))
    options = {key: value for key, value in given.items() if key.startswith("ssl_")}
    if "ssl_cert_reqs" in options:
        options["ssl_cert_reqs"] = options["ssl_cert_reqs"].removeprefix("CERT_").lower()
    scheme = parts.scheme.partition("+")[0]
    if parts.scheme.endswith("+socket"):
        scheme, options["db"] = "unix", given.get("virtual_host", "0").strip("/") or "0"
    return parts._replace(scheme=scheme, query=urlencode(options), fragment="").geturl()


def _configured(kind: Any, url: str) -> Any:
    """A client, async or not, that gives up soon."""
    retry = redis.asyncio.retry.Retry if kind is redis.asyncio.Redis else redis.retry.Retry
    return kind.from_url(
        redis_url(url),
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        # a connection that was lost while nothing was sent is made anew at once
        retry=retry(NoBackoff(), 1),
    )
