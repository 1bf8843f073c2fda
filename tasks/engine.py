"""The engine of a worker process: one event loop owns the SDK clients, one thread the store.

Whatever wants the store while a transaction runs goes into the next one (bridge/delivery.py). A
lane is rung, active (its row is being sent) or neither; a ring for an active lane is remembered.
"""

import asyncio
import threading
from collections.abc import Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from bridge.delivery import Settlement, Turn, turn
from bridge.errors import StoreError
from bridge.lanes import lanes_with_due
from bridge.messages import Receipt
from bridge.pending import Pending
from bridge.workers import BEAT_SECONDS
from tasks import metrics
from tasks.budget import budget
from tasks.life import Life
from tasks.outlets import Outlets
from tasks.pace import Pace
from tasks.wiring import House, jitter, this_house

MOST_ACTIVE = 100
"""Lanes that one process sends to at the same time."""
_STOP_SECONDS = 8.0
_LEAVE_SECONDS = 1.0
_LOCAL_WAKE_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Engine:
    """Drains lanes. `ring` may be called from any thread; the rest runs on the engine's own."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._outlets = Outlets(house, budget(house))
        self._admin_lane: int | None = None
        self._pace = Pace()
        self._resting: set[int] = set()
        self._store = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._rung: dict[int, None] = {}
        self._again: set[int] = set()
        self._held: set[int] = set()
        self._active: dict[int, Pending] = {}
        self._settled: list[Settlement] = []
        self._life = Life(house.store, "worker")
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._main: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Join the living workers and begin to drain. Raises StoreError if the store is away."""
        self._life.begin()
        self._admin_lane = self._house.admin_lane()
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result()

    @property
    def ailing(self) -> str:
        """Why the engine is not well; "" while it is."""
        if not self._thread.is_alive():
            return "the engine's loop has ended"
        return "" if self._life.certain else "the heartbeat is late"

    def ring(self, lanes: Collection[int]) -> None:
        """Drain these lanes; returns when all have been taken up, or the engine stops."""
        asyncio.run_coroutine_threadsafe(self._admit(lanes), self._loop).result()

    def hold(self) -> None:
        """Take up no more lanes; what is being sent ends as usual."""
        self._loop.call_soon_threadsafe(self._stop_soon)

    def stop(self) -> None:
        """Finish what is being sent, hand back every lane, close the clients. Within 10 s."""
        if not self._thread.is_alive():
            return
        self.hold()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._store.shutdown(wait=False)

    # ---- on the loop

    async def _begin(self) -> None:
        self._main = asyncio.ensure_future(self._drain())
        self._spawn(self._beat())

    async def _admit(self, lanes: Collection[int]) -> None:
        waiting = set()
        for lane in lanes:
            if lane in self._active:
                self._again.add(lane)
            else:
                waiting.add(lane)
                self._rung[lane] = None
        self._work.set()
        while not self._stopping and not waiting.isdisjoint(self._rung):
            room = self._room
            await room.wait()

    async def _drain(self) -> None:
        while not (self._stopping and not self._active and not self._settled):
            await self._work.wait()
            self._work.clear()
            settled, self._settled = self._settled, []
            room = 0 if self._stopping else max(MOST_ACTIVE - len(self._active), 0)
            rung = list(self._rung)[:room]
            held, self._held = self._held, set()
            for lane in rung:  # before the turn: a ring during it must not be lost
                self._rung.pop(lane, None)
            if not (settled or rung or held):
                continue
            try:
                done = await self._run(partial(self._turn, settled, rung, held))
            except Exception as error:  # noqa: BLE001  (try again, all of it)
                _log_failure(error)
                self._settled = settled + self._settled
                # it may have been written all the same: then what was rung is ours by now
                self._held |= held | (set(rung) - self._active.keys())
                self._rung.update(dict.fromkeys(rung))
                self._loop.call_later(0.5 + jitter(), self._work.set)
                continue
            self._apply(done, settled)

    def _apply(self, done: Turn, settled: Collection[Settlement]) -> None:
        metrics.count_turn(done)
        for one in settled:
            self._active.pop(one.job.lane, None)
        for job in done.jobs:
            self._active[job.lane] = job
            self._spawn(self._send(job, done.worker))
        self._held |= done.more
        for lane, until in done.waiting:
            wait = (until - datetime.now(UTC)).total_seconds()
            if wait < _LOCAL_WAKE_SECONDS:
                self._loop.call_later(max(wait, 0.0), self._ring_all, [lane])
        for lane in self._again - self._active.keys():
            self._again.discard(lane)
            self._rung[lane] = None
        if self._rung or self._held:
            self._work.set()
        self._room.set()
        self._room = asyncio.Event()

    def _ring_all(self, lanes: Collection[int]) -> None:
        self._rung.update(dict.fromkeys(lanes))
        self._work.set()

    async def _send(self, job: Pending, worker: str) -> None:
        def still_ours() -> bool:
            return self._life.certain and self._life.id == worker

        verdict = await self._outlets.attempt(job, still_ours)
        if isinstance(verdict, Receipt):
            self._rest(job)
        self._settled.append(Settlement(job, verdict))
        self._work.set()

    def _rest(self, job: Pending) -> None:
        """Keep a lane that has sent until its pace allows the next message; it takes no room."""
        limits = self._outlets.limits(job.target.account)
        wait = self._pace.rest(job.lane, limits, self._loop.time())
        if wait > 0 and not self._stopping:
            self._resting.add(job.lane)
            self._loop.call_later(wait, self._rested, job.lane)

    def _rested(self, lane: int) -> None:
        self._resting.discard(lane)
        self._held.add(lane)
        self._work.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                self._pace.forget(self._loop.time())
                await self._run(self._life.beat)
            except Exception as error:  # noqa: BLE001  (the next beat tries again)
                _log_failure(error)

    async def _end(self) -> None:
        if self._main:
            await asyncio.wait([self._main], timeout=_STOP_SECONDS)
            self._main.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._outlets.close()
        try:
            await asyncio.wait_for(self._run(self._life.end), _LEAVE_SECONDS)
        except (StoreError, TimeoutError) as error:
            log.warning("store away; the lanes are free after the time-out", reason=str(error))

    def _stop_soon(self) -> None:
        self._stopping = True
        self._rung.clear()
        self._work.set()
        self._room.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Any) -> Any:
        return await self._loop.run_in_executor(self._store, work)

    # ---- on the store's thread

    def _turn(
        self, settled: list[Settlement], rung: Collection[int], held: Collection[int]
    ) -> Turn:
        store = self._house.store
        # nothing new is begun while we stop; whoever comes next finds all lanes free
        kept = {one.job.lane for one in settled} | set(held) if self._stopping else set()
        with store.transaction() as session:
            done = turn(
                session,
                self._life.id,
                settled,
                rung,
                held,
                datetime.now(UTC),
                resting=self._resting | kept,
                late_limit=self._house.settings.delivery.late_limit,
                admin_lane=self._admin_lane,
            )
        if done.freed and store.is_postgres:
            self._loop.call_soon_threadsafe(self._ring_all, self._missed(done.freed))
        return done

    def _missed(self, freed: Collection[int]) -> Collection[int]:
        """What was committed between our look and our commit may have rung in vain elsewhere."""
        try:
            with self._house.store.reading() as session:
                return lanes_with_due(session, freed, datetime.now(UTC))
        except StoreError:
            return freed  # the turn itself was committed


def _log_failure(error: Exception) -> None:
    if isinstance(error, StoreError):
        log.warning("store away", reason=str(error))
    else:
        log.error("the store's work failed", exc_info=error)


_lock = threading.Lock()
_engines: list[Engine] = []


def current() -> Engine:
    """This process's engine, started at first use."""
    with _lock:
        if not _engines:
            engine = Engine(this_house())
            engine.start()
            _engines.append(engine)
        return _engines[0]


def well() -> str:
    """Why this process's engine is not well; "" while it is, or while there is none."""
    return next((why for engine in _engines if (why := engine.ailing)), "")


def hold() -> None:
    """Take up no more lanes in this process."""
    for engine in _engines:
        engine.hold()


def stop() -> None:
    """Stop this process's engine, if it has one."""
    with _lock:
        while _engines:
            _engines.pop().stop()
