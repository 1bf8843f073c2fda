"""The ids that follow one message through every process: the same fields on every line about it.

`account`, `channel` and `message` (native id) name what was heard; `delivery` and `key` what is
owed because of it, with `message` again.
"""

import logging
from collections.abc import Sequence
from typing import Any

import structlog

from bridge.intake import Taken
from bridge.messages import ChannelNamed, Edited, Event, Gap, PersonNamed, Shown
from bridge.pending import Pending
from tasks import metrics

log = structlog.get_logger(__name__)


def committed(batch: Sequence[Event], taken: Taken) -> None:
    """Count what was committed; at level debug a line for every event."""
    metrics.count_taken(batch, taken)
    if logging.getLogger(__name__).isEnabledFor(logging.DEBUG):
        for event in batch:
            log.debug("committed", **ids_of_event(event))


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


def _ids(one: Any) -> dict[str, str]:
    return {
        "account": one.channel.account,
        "channel": one.channel.id,
        "message": one.native_id,
    }
