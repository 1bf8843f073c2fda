"""The task that closes digest windows: their contents become rows of the outbox."""

from datetime import UTC, datetime

import structlog

from bridge.digest import close_due
from bridge.directory import read_names
from tasks.celery import app
from tasks.engine import current
from tasks.wiring import this_house

log = structlog.get_logger(__name__)


@app.task(name="tasks.digest")  # type: ignore[untyped-decorator]
def digest(names: list[str]) -> int:
    """Close what is due of these digests; says how many windows were closed.

    Safe to run twice and by many: a window is closed once, in one transaction with its rows.
    """
    house = this_house()
    with house.store.reading() as session:
        rules = house.digest_rules(read_names(session))
    windows = 0
    for rule in rules:
        if rule.name not in names:
            continue
        with house.store.transaction() as session:
            closed = close_due(session, rule, datetime.now(UTC))
        if closed.windows:
            log.info("closed", digest=rule.name, windows=closed.windows, lanes=len(closed.lanes))
        if closed.lanes:
            current().ring(closed.lanes)
        windows += closed.windows
    return windows
