"""Reactions: add and take back our app's, and list who gave one."""

from adapters.discord.standin import permissions, refusals, shapes, wire
from adapters.discord.standin.call import Answer, Call, Endpoint
from adapters.discord.standin.forms import number, snowflake
from adapters.discord.standin.limits import Limit
from adapters.discord.standin.workspace import Message

MOST = 20
BURST = 1
LIMIT = Limit(1, 0.25)


async def add(call: Call) -> Answer:
    """Add our app's reaction. Safe to call twice."""
    channel = call.open_channel(permissions.READ_MESSAGE_HISTORY)
    message, sign = call.message(channel), _sign(call)
    if sign not in message.reactions:
        call.channel(permissions.ADD_REACTIONS)
        if len(message.reactions) >= MOST:
            raise refusals.too_many_reactions()
    call.world.deeds.react(call.app, message, sign)
    return Answer()


async def remove(call: Call) -> Answer:
    """Take our app's reaction back. Safe to call twice."""
    message = _message(call)
    call.world.deeds.unreact(call.app, message, _sign(call))
    return Answer()


async def people(call: Call) -> Answer:
    """Who gave a reaction, by id. Nobody here has the paid kind, which is listed apart."""
    by = _message(call).reactions.get(_sign(call), {})
    if number("type", call.query.get("type", "0"), 0, 1) == BURST:
        by = {}
    limit = number("limit", call.query.get("limit", "25"), 1, 100)
    after = int(snowflake("after", call.query.get("after", 0)))
    found = sorted((one for one in by.values() if int(one.id) > after), key=lambda one: int(one.id))
    return Answer([shapes.user(one) for one in found[:limit]])


def _message(call: Call) -> Message:
    return call.message(call.channel())


def _sign(call: Call) -> str:
    sign = wire.sign_of(call.params["emoji"])
    if sign is None or call.params["emoji"].isascii():
        raise refusals.unknown_emoji()
    return sign


_ALL = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}"
ENDPOINTS = (
    Endpoint("PUT", f"{_ALL}/@me", add, LIMIT),
    Endpoint("DELETE", f"{_ALL}/@me", remove, LIMIT),
    Endpoint("GET", _ALL, people),
)
