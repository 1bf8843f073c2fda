"""The clock: APScheduler as a ticker that sweeps the outbox and closes digest windows.

Any number may run. One leads, by a lease in the store; another takes over when it is gone. All
that a tick does may safely be done twice.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger
from celery import Celery
from sqlmodel import select

from bridge import workers
from bridge.digest import SETTLE, DigestRule
from bridge.directory import read_names
from bridge.errors import BridgeError, ConfigError, StoreError
from bridge.lanes import due_lanes
from bridge.migrations import require_current
from bridge.models import Digest
from bridge.times import Schedule
from tasks import broker
from tasks.bells import Bells
from tasks.celery import QUEUE
from tasks.life import Life
from tasks.web.health import Probes, serve_in_thread
from tasks.wiring import House, zone_of

MOST_WAITING_BELLS = 1000
"""With so many bells unheard, no worker is there, and more would only pile up."""
ROLE = "scheduler"
_TICKS_MISSED = 3
_LONGEST_TICK = 30.0

log = structlog.get_logger(__name__)


class EdgeTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires a little after each edge of a schedule of ours; APScheduler's cron skips at DST."""

    def __init__(self, schedule: Schedule, zone: ZoneInfo, settle: timedelta) -> None:
        self._schedule = schedule
        self._zone = zone
        self._settle = settle

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The first moment after `now` (or after the previous one) that is due."""
        last = max(previous, now) if previous else now
        edge = self._schedule.next_after((last - self._settle).astimezone(UTC), self._zone)
        return edge + self._settle


class Ticker:
    """What happens at each tick, for the one that leads."""

    def __init__(self, house: House, app: Celery) -> None:
        self._house = house
        self._app = app
        self._bells = Bells(app)
        self._life = Life(house.store, ROLE)
        self._ticks = threading.Lock()
        self._ticked = time.monotonic()

    def start(self) -> None:
        """Join the living. Raises StoreError when the store is away or not migrated."""
        require_current(self._house.store)
        self._life.begin()
        self._bells.start()

    def stop(self) -> None:
        """Leave in good order, so that another leads at once."""
        self._bells.close()
        try:
            self._life.end()
        except StoreError as error:
            log.warning("store away", reason=str(error))

    def late(self) -> str:
        """Whether ticks do not come any more; a probe, see tasks/watched.py."""
        since = time.monotonic() - self._ticked
        allowed = max(_TICKS_MISSED * self._house.settings.scheduler.sweep, _LONGEST_TICK)
        return f"has not ticked for {since:.0f} s" if since > allowed else ""

    def tick(self) -> None:
        """Show life, and sweep if we lead. Never raises: the next tick tries again."""
        with self._ticks:
            self._ticked = time.monotonic()
            try:
                if self._leads():
                    broker.revive()
                    self._sweep(datetime.now(UTC))
            except BridgeError as error:
                log.warning("tick failed", reason=str(error))
            except Exception:
                log.exception("tick failed")

    def beat(self) -> None:
        """Show life between two sweeps that are far apart. Never raises."""
        with self._ticks:
            try:
                self._leads()
            except BridgeError as error:
                log.warning("store away", reason=str(error))

    def close_digest(self, name: str) -> None:
        """Ask a worker to close what is due of a digest."""
        try:
            self._app.send_task("tasks.digest", args=[[name]], retry=False)
        except Exception as error:  # noqa: BLE001  (the next sweep asks again)
            log.warning("bell lost", digest=name, reason=str(error))

    def _leads(self) -> bool:
        self._life.beat()
        with self._house.store.transaction() as session:
            return workers.lead(session, ROLE, self._life.id)

    def _sweep(self, now: datetime) -> None:
        until = now + timedelta(seconds=self._house.settings.scheduler.sweep)
        with self._house.store.reading() as session:
            due = due_lanes(session, until, now)
        if due and self._waiting() < MOST_WAITING_BELLS:
            self._bells.ring(due)
        for name in self._digests_due(now):
            self.close_digest(name)

    def _digests_due(self, now: datetime) -> list[str]:
        """Digests whose window has ended, or that were never begun. Their task knows more."""
        with self._house.store.reading() as session:
            marks = {row.name: row.watermark for row in session.exec(select(Digest))}
            try:
                rules = self._house.digest_rules(read_names(session))
            except ConfigError as error:
                log.warning("digests wait", reason=str(error))
                return []
        return [rule.name for rule in rules if _is_due(rule, marks.get(rule.name), now)]

    def _waiting(self) -> int:
        """Bells that no worker has taken yet; 0 where the broker cannot tell."""
        try:
            with self._app.connection_for_read() as connection:
                declared = connection.default_channel.queue_declare(queue=QUEUE, passive=True)
                return int(declared.message_count)
        except Exception:  # noqa: BLE001  (no such queue yet, or the broker is away)
            return 0


def run(house: House, app: Celery, until: threading.Event) -> None:
    """Tick until the event is set."""
    ticker = Ticker(house, app)
    ticker.start()
    health = serve_in_thread(house, ROLE, Probes(alive={"clock": ticker.late}))
    clock = BackgroundScheduler(
        timezone=UTC,
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    sweep = house.settings.scheduler.sweep
    clock.add_job(ticker.tick, IntervalTrigger(seconds=sweep), id="sweep")
    if sweep > workers.BEAT_SECONDS:
        clock.add_job(ticker.beat, IntervalTrigger(seconds=workers.BEAT_SECONDS), id="beat")
    for one in house.settings.digests:
        trigger = EdgeTrigger(one.timing, zone_of(house.settings, one), SETTLE)
        clock.add_job(ticker.close_digest, trigger, args=[one.name], id=f"digest {one.name}")
    clock.start()
    ticker.tick()
    try:
        until.wait()
    finally:
        clock.shutdown(wait=True)
        ticker.stop()
        if health:
            health.stop()


def _is_due(rule: DigestRule, watermark: datetime | None, now: datetime) -> bool:
    return watermark is None or rule.schedule.next_after(watermark, rule.zone) + SETTLE <= now
