"""Bells: Celery tasks that say which lanes have something due. Losing one costs a sweep."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from celery import Celery

from bridge.errors import BridgeError
from tasks import broker, metrics
from tasks.celery import HORIZON_SECONDS

LANES_PER_BELL = 100
_BUCKET = timedelta(milliseconds=10)

log = structlog.get_logger(__name__)

Due = tuple[int, datetime]


class Bells:
    """Rings from a thread of its own, so that a slow or absent broker holds nobody up."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._waiting: list[Due] = []
        self._more = threading.Condition()
        self._open = True
        self._connection: Any = None
        self._producer: Any = None
        self._thread = threading.Thread(target=self._run, name="bells", daemon=True)
        self.rung = 0
        self.lost = 0

    def start(self) -> None:
        """Begin to ring."""
        self._thread.start()

    def ring(self, due: Iterable[Due]) -> None:
        """Let workers know of (lane, moment) pairs; returns at once. Far moments need no bell."""
        end = datetime.now(UTC) + timedelta(seconds=HORIZON_SECONDS)
        near = [(lane, at) for lane, at in due if at <= end]
        if near:
            with self._more:
                self._waiting += near
                self._more.notify()

    def close(self) -> None:
        """Ring what waits and stop; the rest is found by the sweep."""
        with self._more:
            self._open = False
            self._more.notify()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while True:
            with self._more:
                while self._open and not self._waiting:
                    self._more.wait()
                waiting, self._waiting = self._waiting, []
            if not waiting:
                break
            self._publish(waiting)
        self._disconnect()

    def _publish(self, waiting: list[Due]) -> None:
        rings = bundled(waiting, datetime.now(UTC))
        try:
            producer = self._opened()
            for lanes, at in rings:
                self._app.send_task(
                    "tasks.deliver", args=[lanes], eta=at, producer=producer, retry=False
                )
            self.rung += len(rings)
            metrics.bells_rung.inc(len(rings))
        except Exception as error:  # noqa: BLE001  (whatever the transport raises, the sweep helps)
            self.lost += len(rings)
            metrics.bells_lost.inc(len(rings))
            log.warning("bells lost", bells=len(rings), reason=str(error))
            self._reconnect()

    def _opened(self) -> Any:
        """A producer on a connection of our own: a pool that was once closed never opens again."""
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            self._producer = self._app.amqp.Producer(self._connection)
        return self._producer

    def _disconnect(self) -> None:
        if self._producer is not None:
            with contextlib.suppress(Exception):
                self._connection.collect()
        self._producer = None

    def _reconnect(self) -> None:
        """Drop a connection that may be broken; an embedded broker that is gone comes back."""
        self._disconnect()
        with contextlib.suppress(BridgeError):
            broker.revive()


def bundled(due: Iterable[Due], now: datetime) -> list[tuple[list[int], datetime | None]]:
    """One ring per due moment (10 ms apart at least) and at most 100 lanes; None: at once."""
    moments: dict[datetime | None, dict[int, None]] = defaultdict(dict)
    for lane, at in due:
        late = at <= now
        bucket = None if late else now + -(-(at - now) // _BUCKET) * _BUCKET
        moments[bucket][lane] = None
    return [
        (lanes[start : start + LANES_PER_BELL], at)
        for at, bundle in moments.items()
        for lanes in [list(bundle)]
        for start in range(0, len(lanes), LANES_PER_BELL)
    ]
