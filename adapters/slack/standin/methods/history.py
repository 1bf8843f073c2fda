"""conversations.history and conversations.replies: what was said, page by page."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from adapters.slack.standin.channels import Message, message_body
from adapters.slack.standin.errors import RefusedError
from adapters.slack.standin.ids import from_cursor, to_cursor
from adapters.slack.standin.limits import TIER_3
from adapters.slack.standin.methods.call import Call, Method
from adapters.standin import JsonDict

_AT = attrgetter("at")
_NEXT = "next_ts"
_FOREVER = 2**62


@dataclass(frozen=True, slots=True)
class Window:
    """The moments asked for, both ends included, in microseconds."""

    first: int
    last: int

    def of(self, messages: Sequence[Message]) -> tuple[int, int]:
        """Where in messages (oldest first) the window begins and ends."""
        begin = bisect_left(messages, self.first, key=_AT)
        return begin, bisect_right(messages, self.last, lo=begin, key=_AT)


def history(call: Call) -> JsonDict:
    """conversations.history: roots and broadcasts, newest first."""
    channel, window, limit = call.joined(), _window(call), call.limit(100, 1000)
    cursor = _cursor(call)
    if cursor is not None:
        window = Window(window.first, min(window.last, cursor))
    begin, end = window.of(channel.timeline)
    page = channel.timeline[max(begin, end - limit) : end]
    more = end - limit > begin
    answer: JsonDict = {
        "messages": [_body(call, one) for one in reversed(page)],
        "has_more": more,
        "pin_count": 0,
        "channel_actions_ts": None,
        "channel_actions_count": 0,
    }
    return answer | _next(channel.timeline[end - limit - 1] if more else None)


def replies(call: Call) -> JsonDict:
    """conversations.replies: a thread, oldest first; every page begins with its root."""
    channel, window, limit = call.joined(), _window(call), call.limit(1000, 1000)
    root = call.world.messages.get(call.needed("ts"))
    if root is None or root.channel is not channel or (root.deleted and not root.replies):
        raise RefusedError("thread_not_found")
    if root.at > _horizon(call):
        raise RefusedError("thread_not_found")
    cursor = _cursor(call)
    if cursor is not None:
        window = Window(max(window.first, cursor), window.last)
    begin, end = window.of(root.replies)
    stop = begin + max(1, limit - 1)
    page = [root, *root.replies[begin : min(stop, end)]]
    answer: JsonDict = {
        "messages": [_body(call, one) for one in page],
        "has_more": stop < end,
    }
    return answer | _next(root.replies[stop] if stop < end else None)


def _window(call: Call) -> Window:
    oldest = call.moment("oldest", "invalid_ts_oldest")
    latest = call.moment("latest", "invalid_ts_latest")
    edge = 0 if call.flag("inclusive") else 1
    first = 0 if oldest is None else oldest + edge
    last = _FOREVER if latest is None else latest - edge
    return Window(first, min(last, _horizon(call)))


def _horizon(call: Call) -> int:
    """The latest moment that history shows yet; Slack's lags behind its posting."""
    lag = call.world.knobs.history_lag
    return int((time.time() - lag) * 1_000_000) if lag else _FOREVER


def _cursor(call: Call) -> int | None:
    cursor = call.text("cursor")
    try:
        return int(from_cursor(_NEXT, cursor)) if cursor else None
    except ValueError:
        raise RefusedError("invalid_cursor") from None


def _next(message: Message | None) -> JsonDict:
    if message is None:
        return {}
    return {"response_metadata": {"next_cursor": to_cursor(_NEXT, message.at)}}


def _body(call: Call, message: Message) -> JsonDict:
    return message_body(message, metadata=call.flag("include_all_metadata"))


METHODS = {
    "conversations.history": Method(history, TIER_3),
    "conversations.replies": Method(replies, TIER_3),
}
