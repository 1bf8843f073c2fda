"""A process's life in the store: it joins, beats, finds others dead, and leaves."""

import os
import socket
import time
import uuid
from datetime import UTC, datetime

import structlog
from sqlmodel import Session

from bridge import workers
from bridge.models import Worker
from bridge.store import Store

_MARGIN_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Life:
    """Used from one thread. `id` changes when others took the process for dead meanwhile."""

    def __init__(self, store: Store, role: str) -> None:
        self._store = store
        self._role = role
        self._observer = workers.Observer()
        self._beaten_at = 0.0
        self.id = ""

    def begin(self) -> None:
        """Join the living. Raises StoreError when the store is away."""
        began = _clock()
        with self._store.transaction() as session:
            self._join(session)
        self._beaten_at = began

    def beat(self) -> bool:
        """Show life and bury the dead; False when we were taken for dead and joined anew.

        What we held before belongs to others then. Raises StoreError when the store is away.
        """
        began = _clock()
        with self._store.transaction() as session:
            alive = workers.beat(session, self.id)
            workers.bury(session, self._observer.dead(workers.beats(session), time.monotonic()))
            if not alive:
                log.warning("others took this process for dead; it joins again", role=self._role)
                self._join(session)
        self._beaten_at = began
        return alive

    def end(self) -> None:
        """Leave in good order: all that we hold is free at once."""
        with self._store.transaction() as session:
            workers.leave(session, self.id)

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken us for dead yet, by our own clock."""
        return _clock() - self._beaten_at < workers.TTL_SECONDS - _MARGIN_SECONDS

    def _join(self, session: Session) -> None:
        self.id = uuid.uuid4().hex
        worker = Worker(
            id=self.id,
            role=self._role,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=datetime.now(UTC),
        )
        workers.register(session, worker)


def _clock() -> float:
    """Seconds by a clock that goes on while the machine is suspended, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
