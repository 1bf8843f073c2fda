"""Each process tells over HTTP whether it lives, whether it is ready, and what it counted."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from kombu.connection import Connection

from bridge.migrations import require_current
from tasks import broker, metrics
from tasks.depths import Depths, read_depths
from tasks.logs import cleaner
from tasks.watched import Probe
from tasks.web.port import bound, url_of
from tasks.wiring import House

LOOK_SECONDS = 1.0
"""So long each look may take; what has not answered by then counts as not well."""
_STOP_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Probes:
    """What a process wants to be looked at, by name: is it `alive`, and is it `ready`."""

    alive: Mapping[str, Probe] = field(default_factory=dict)
    ready: Mapping[str, Probe] = field(default_factory=dict)


def pulse(loop: asyncio.AbstractEventLoop) -> Probe:
    """Looks whether an event loop still gets round to things."""

    def look() -> str:
        answered = threading.Event()
        try:
            loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return "has ended"
        return "" if answered.wait(LOOK_SECONDS) else f"has been busy for {LOOK_SECONDS:g} s"

    return look


class Health:
    """A small web server in a thread of its own, so that it answers however busy the rest is."""

    def __init__(self, house: House, role: str, probes: Probes) -> None:
        self._role = role
        self._house = house
        self._clean = cleaner(house)
        self._running: dict[Callable[[], Any], asyncio.Future[Any]] = {}
        self._alive = dict(probes.alive)
        self._ready = {
            "store": lambda: store_probe(house),
            "broker": lambda: broker_probe(house),
            **probes.ready,
        }
        self._socket = bound(house.settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._over = asyncio.Event()
        self.url = url_of(self._socket)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        log.info("health", url=self.url, role=self._role)

    def stop(self) -> None:
        """End, and give back the port. Safe to call twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket).start()
            await self._over.wait()
        finally:
            await runner.cleanup()
            self._socket.close()

    async def _healthz(self, _: web.Request) -> web.Response:
        return self._answer("alive", await self._wrong(self._alive))

    async def _readyz(self, _: web.Request) -> web.Response:
        return self._answer("ready", await self._wrong(self._alive | self._ready))

    async def _metrics(self, request: web.Request) -> web.Response:
        looks = self._alive | self._ready
        wrong, depths = await asyncio.gather(self._wrong(looks), self._depths())
        well = {name: name not in wrong for name in looks}
        accept = request.headers.get("Accept", "")
        body, kind = metrics.exposed(accept, self._role, well, depths)
        return web.Response(body=body, headers={"Content-Type": kind})

    def _answer(self, word: str, wrong: Mapping[str, str]) -> web.Response:
        told = {word: not wrong, "role": self._role, "reasons": wrong}
        status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
        return web.json_response(told, status=status)

    async def _wrong(self, probes: Mapping[str, Probe]) -> dict[str, str]:
        found = await asyncio.gather(*(self._look(probe) for probe in probes.values()))
        named = zip(probes, found, strict=True)
        return {name: self._clean(reason) for name, reason in named if reason}

    async def _look(self, probe: Probe) -> str:
        try:
            return str(await self._soon(probe))
        except TimeoutError:
            return f"no answer within {LOOK_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001  (drivers raise what they like)
            return str(error) or type(error).__name__

    async def _depths(self) -> Depths | None:
        """What waits in the store, or None while it cannot be read."""
        try:
            found: Depths = await self._soon(self._read_depths)
        except Exception:  # noqa: BLE001  (whatever it is, the store's own probe tells)
            return None
        return found

    def _read_depths(self) -> Depths:
        with self._house.store.reading() as session:
            return read_depths(session, datetime.now(UTC))

    async def _soon(self, work: Callable[[], Any]) -> Any:
        """What the work returns or raises. Who asks while it still runs shares that one run."""
        running = self._running.get(work)
        if running is None or running.done():
            running = self._running[work] = self._loop.create_future()
            running.add_done_callback(_retrieved)
            threading.Thread(target=self._work, args=(work, running), daemon=True).start()
        return await asyncio.wait_for(asyncio.shield(running), LOOK_SECONDS)

    def _work(self, work: Callable[[], Any], done: asyncio.Future[Any]) -> None:
        settle: Callable[[], None]
        try:
            settle = partial(done.set_result, work())
        except Exception as error:  # noqa: BLE001  (it rises where it is waited for)
            settle = partial(done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # meanwhile the server may have ended
            self._loop.call_soon_threadsafe(settle)


def serve_in_thread(house: House, role: str, probes: Probes | None = None) -> Health | None:
    """Begin to tell of this process where [metrics] says; None where it says nothing.

    Raises ConfigError for an address that is not of this machine.
    """
    if not house.settings.metrics.listen:
        return None
    server = Health(house, role, probes or Probes())
    server.start()
    return server


@contextlib.asynccontextmanager
async def serving(house: House, role: str, ready: Mapping[str, Probe]) -> AsyncIterator[None]:
    """Tell of a process whose work runs on this loop, as long as the block lasts."""
    loop = asyncio.get_running_loop()
    server = serve_in_thread(house, role, Probes({"loop": pulse(loop)}, ready))
    try:
        yield
    finally:
        if server:
            await asyncio.to_thread(server.stop)


def store_probe(house: House) -> str:
    """Looks whether the store can be read and is as this program needs it."""
    require_current(house.store)
    return ""


def broker_probe(house: House) -> str:
    """Looks whether the broker answers."""
    url = broker.use(house.settings.broker.url, house.state)
    options = {} if url.startswith("amqp") else {"socket_connect_timeout": LOOK_SECONDS}
    connection = Connection(  # type: ignore[no-untyped-call]
        url, connect_timeout=LOOK_SECONDS, transport_options=options
    )
    with connection:
        connection.ensure_connection(  # type: ignore[no-untyped-call]
            max_retries=1, timeout=LOOK_SECONDS
        )
    return ""


def _retrieved(done: asyncio.Future[Any]) -> None:
    """Keep asyncio from complaining of an error that came too late for whoever waited."""
    if not done.cancelled():
        done.exception()
