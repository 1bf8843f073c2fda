"""reactions.*: what an app thinks of a message."""

import re

from adapters.slack.standin.channels import Message, message_body
from adapters.slack.standin.errors import RefusedError
from adapters.slack.standin.limits import TIER_2, TIER_3
from adapters.slack.standin.methods.call import Call, Method, is_ts
from adapters.slack.standin.methods.chat import permalink
from adapters.standin import JsonDict

_EMOJI = re.compile(r"[a-z0-9_+'-]{1,100}(::skin-tone-[2-6])?")
_MOST_EMOJI = 50
_MOST_BY_ONE = 23


def add(call: Call) -> JsonDict:
    """reactions.add."""
    message, name, me = _message(call), _name(call), call.world.app.user
    if me.id in message.reactions.get(name, ()):
        raise RefusedError("already_reacted")
    if name not in message.reactions and len(message.reactions) >= _MOST_EMOJI:
        raise RefusedError("too_many_emoji")
    if sum(me.id in people for people in message.reactions.values()) >= _MOST_BY_ONE:
        raise RefusedError("too_many_reactions")
    call.world.react(message, me, name, added=True)
    return {}


def remove(call: Call) -> JsonDict:
    """reactions.remove."""
    message, name, me = _message(call), _name(call), call.world.app.user
    if me.id not in message.reactions.get(name, ()):
        raise RefusedError("no_reaction")
    call.world.react(message, me, name, added=False)
    return {}


def get(call: Call) -> JsonDict:
    """reactions.get; with `full` it names everybody."""
    message = _message(call)
    shown = message_body(message, full=call.flag("full"))
    body = shown | {"permalink": permalink(call, message)}
    return {"type": "message", "channel": message.channel.id, "message": body}


def _message(call: Call) -> Message:
    if not call.text("timestamp") or not call.text("channel"):
        raise RefusedError("no_item_specified")
    if not is_ts(call.text("timestamp")):
        raise RefusedError("bad_timestamp")
    return call.message(call.joined(), "timestamp")


def _name(call: Call) -> str:
    name = call.text("name").strip(":")
    if not _EMOJI.fullmatch(name):
        raise RefusedError("invalid_name")
    return name


METHODS = {
    "reactions.add": Method(add, TIER_3),
    "reactions.remove": Method(remove, TIER_2),
    "reactions.get": Method(get, TIER_3),
}
