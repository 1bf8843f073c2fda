"""Channels, and that our app is typing in one."""

import time

from adapters.discord.standin import permissions, shapes
from adapters.discord.standin.call import Answer, Call, Endpoint
from adapters.discord.standin.limits import Limit


async def get(call: Call) -> Answer:
    """A channel, thread or direct messages."""
    return Answer(shapes.channel(call.world.workspace, call.channel()))


async def typing(call: Call) -> Answer:
    """Show that our app is typing."""
    channel, workspace = call.channel(permissions.SEND_MESSAGES), call.world.workspace
    told: dict[str, object] = {
        "channel_id": channel.id,
        "user_id": workspace.app.id,
        "timestamp": int(time.time()),
    }
    if not channel.recipient:
        told["guild_id"] = workspace.guild_id
        told["member"] = shapes.member(workspace, workspace.app)
    call.world.hub.dispatch("TYPING_START", told, direct=channel.recipient is not None)
    return Answer()


ENDPOINTS = (
    Endpoint("GET", "/channels/{channel_id}", get),
    Endpoint("POST", "/channels/{channel_id}/typing", typing, Limit(5, 5.0)),
)
