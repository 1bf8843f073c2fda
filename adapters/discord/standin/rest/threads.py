"""Threads: from a message, on their own, and those that are archived."""

import math
from http import HTTPStatus

from adapters.discord.standin import forms, permissions, refusals, shapes
from adapters.discord.standin.call import Answer, Call, Endpoint
from adapters.discord.standin.forms import moment, number
from adapters.discord.standin.limits import Limit
from adapters.discord.standin.workspace import TEXT, Channel

LIMIT = Limit(50, 300.0)


async def from_message(call: Call) -> Answer:
    """Start the thread of a message."""
    channel = _parent(call)
    message = call.message(channel)
    draft = forms.thread(call.body())
    if message.thread:
        raise refusals.thread_exists()
    thread = call.world.deeds.start_thread(call.app, message, draft)
    return Answer(shapes.thread(call.world.workspace, thread), HTTPStatus.CREATED)


async def alone(call: Call) -> Answer:
    """Start a thread without a message."""
    channel = _parent(call)
    thread = call.world.deeds.open_thread(call.app, channel, forms.thread(call.body()))
    return Answer(shapes.thread(call.world.workspace, thread), HTTPStatus.CREATED)


async def join(call: Call) -> Answer:
    """Make our app a member of a thread; it hears public ones in any case."""
    if call.channel().parent is None:
        raise refusals.wrong_channel_type()
    return Answer()


async def archived(call: Call) -> Answer:
    """A page of the channel's archived threads, those put away last first."""
    channel = _parent(call, permissions.READ_MESSAGE_HISTORY)
    limit = number("limit", call.query.get("limit", "50"), 2, 100)
    before = moment("before", call.query["before"]) if "before" in call.query else math.inf
    older = [one for one in channel.threads if one.archived and one.turned_at < before]
    page = sorted(older, key=lambda one: one.turned_at, reverse=True)[:limit]
    own = [one for one in page if one.owner is call.app]
    workspace = call.world.workspace
    return Answer(
        {
            "threads": [shapes.thread(workspace, one) for one in page],
            "members": [shapes.thread_member(one, call.app) for one in own],
            "has_more": len(older) > limit,
        }
    )


def _parent(call: Call, need: int = permissions.CREATE_PUBLIC_THREADS) -> Channel:
    channel = call.channel(need)
    if channel.kind != TEXT:
        raise refusals.wrong_channel_type()
    return channel


_CHANNEL = "/channels/{channel_id}"
ENDPOINTS = (
    Endpoint("POST", f"{_CHANNEL}/messages/{{message_id}}/threads", from_message, LIMIT),
    Endpoint("POST", f"{_CHANNEL}/threads", alone, LIMIT),
    Endpoint("PUT", f"{_CHANNEL}/thread-members/@me", join),
    Endpoint("DELETE", f"{_CHANNEL}/thread-members/@me", join),
    Endpoint("GET", f"{_CHANNEL}/threads/archived/public", archived),
)
