"""Threads: from a message, on their own, and those that are archived."""

from http import HTTPStatus

from adapters.discord.standin import forms, permissions, refusals, shapes
from adapters.discord.standin.call import Answer, Call, Endpoint
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
    """No thread is ever archived here."""
    _parent(call)
    return Answer({"threads": [], "members": [], "has_more": False})


def _parent(call: Call) -> Channel:
    channel = call.channel(permissions.CREATE_PUBLIC_THREADS)
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
