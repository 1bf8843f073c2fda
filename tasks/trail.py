"""The ids that follow one message through every process: the same fields on every line about it.

`account`, `channel` and `message` (native id) name what was heard; `delivery` and `key` what is
owed because of it, with `message` again.
"""

import logging
from typing import Any

import structlog

from bridge.messages import ChannelNamed, Edited, Event, Gap, Page, PersonNamed, Shown
from bridge.pending import Pending
from tasks import metrics

log = structlog.get_logger(__name__)


def committed(event: Event) -> None:
    """Count an event that is in the store now; at level debug a line about it."""
    ids = ids_of_event(event)
    metrics.events.labels(ids["account"], ids["kind"]).inc()
    if _debugging():
        log.debug("committed", **ids)


def read(page: Page) -> None:
    """At level debug a line for every event on a page of history."""
    if _debugging():
        for event in page.events:
            log.debug("read", **ids_of_event(event))


def ids_of_event(event: Event) -> dict[str, Any]:
    """What an event is about."""
    kind = type(event).__name__.lower()
    match event:
        case Gap(account=account) | PersonNamed(account=account):
            return {"kind": kind, "account": account}
        case ChannelNamed(channel=channel):
            return {"kind": kind, "account": channel.account, "channel": channel.id}
        case Edited(message=message) | Shown(message=message):
            return {"kind": kind, **_ids(message)}
    return {"kind": kind, **_ids(event)}


def ids_of_job(job: Pending) -> dict[str, Any]:
    """What an attempt is about."""
    known = {
        "delivery": job.id,
        "key": job.key,
        "account": job.target.account,
        "to": job.target.id,
    }
    return known | ({"message": job.source.native_id} if job.source else {})


def _debugging() -> bool:
    # asked first, since a line that is thrown away costs more than the event's share of a commit
    return logging.getLogger(__name__).isEnabledFor(logging.DEBUG)


def _ids(one: Any) -> dict[str, str]:
    return {
        "account": one.channel.account,
        "channel": one.channel.id,
        "message": one.native_id,
    }
