"""conversations.* but for what was said in them: which there are, who is in them, opening one."""

from adapters.slack.standin.channels import Channel, channel_body
from adapters.slack.standin.errors import RefusedError
from adapters.slack.standin.limits import TIER_2, TIER_3, TIER_4
from adapters.slack.standin.methods.call import Call, Method
from adapters.slack.standin.methods.paging import paged
from adapters.standin import JsonDict

_TYPES = {"public_channel": "public", "private_channel": "private", "im": "im", "mpim": "mpim"}
_MOST_PEOPLE = 8


def everything(call: Call) -> JsonDict:
    """conversations.list: public channels, and what else our app is a member of."""
    return _listed(call, [one for one in call.world.channels.values() if _knows(call, one)])


def mine(call: Call) -> JsonDict:
    """users.conversations: what our app, or the `user` asked for, is a member of."""
    user = call.text("user") or call.world.app.user.id
    if user not in call.world.people:
        raise RefusedError("user_not_found")
    known = (one for one in call.world.channels.values() if _knows(call, one))
    return _listed(call, [one for one in known if user in one.members])


def info(call: Call) -> JsonDict:
    """conversations.info."""
    channel = call.channel()
    body = _body(call, channel)
    if call.flag("include_num_members"):
        body["num_members"] = len(channel.members)
    return {"channel": body}


def members(call: Call) -> JsonDict:
    """conversations.members."""
    channel = call.channel()
    page, metadata = paged(call, "user", sorted(channel.members), default=100)
    return {"members": page, "response_metadata": metadata}


def join(call: Call) -> JsonDict:
    """conversations.join, for public channels."""
    channel = call.channel()
    if channel.kind != "public":
        raise RefusedError("method_not_supported_for_channel_type")
    if channel.archived:
        raise RefusedError("is_archived")
    if call.world.app.user.id in channel.members:
        warned = {"warning": "already_in_channel"}
        metadata = {"response_metadata": {"warnings": ["already_in_channel"]}}
        return {"channel": _body(call, channel), **warned, **metadata}
    call.world.join(channel)
    return {"channel": _body(call, channel)}


def open_(call: Call) -> JsonDict:
    """conversations.open: direct messages with `users`, or a known conversation again."""
    if call.text("channel"):
        channel = call.channel()
        if channel.kind not in {"im", "mpim"}:
            raise RefusedError("method_not_supported_for_channel_type")
        return {"no_op": True, "already_open": True, "channel": _opened(call, channel)}
    channel, known = _direct(call)
    state = {"no_op": True, "already_open": True} if known else {}
    return {**state, "channel": _opened(call, channel)}


def _direct(call: Call) -> tuple[Channel, bool]:
    """The conversation with `users`, and whether it was there."""
    world = call.world
    ids = list(dict.fromkeys(filter(None, call.text("users").replace(" ", "").split(","))))
    if not ids:
        raise RefusedError("users_list_not_supplied")
    if len(ids) > _MOST_PEOPLE:
        raise RefusedError("too_many_users")
    if any(one not in world.people or world.people[one].bot for one in ids):
        raise RefusedError("user_not_found")
    names = sorted(world.people[one].name for one in ids)
    name = f"dm:{names[0]}" if len(names) == 1 else f"mpdm-{'--'.join(names)}-1"
    if name in world.channel_ids:
        return world.channels[world.channel_ids[name]], True
    if len(names) == 1:
        return world.direct(world.people[ids[0]]), False
    return world.add_channel(name, "mpim", (world.app.user.id, *ids)), False


def _opened(call: Call, channel: Channel) -> JsonDict:
    return _body(call, channel) if call.flag("return_im") else {"id": channel.id}


def _knows(call: Call, channel: Channel) -> bool:
    return channel.kind == "public" or call.world.app.user.id in channel.members


def _listed(call: Call, channels: list[Channel]) -> JsonDict:
    wanted = [one.strip() for one in call.text("types", "public_channel").split(",")]
    if not set(wanted) <= _TYPES.keys():
        raise RefusedError("invalid_types")
    kinds, hide_archived = {_TYPES[one] for one in wanted}, call.flag("exclude_archived")
    shown = {
        one.id: one
        for one in channels
        if one.kind in kinds and not (one.archived and hide_archived)
    }
    page, metadata = paged(call, "team", sorted(shown), default=100)
    bodies = [_body(call, shown[one]) for one in page]
    return {"channels": bodies, "response_metadata": metadata}


def _body(call: Call, channel: Channel) -> JsonDict:
    return channel_body(channel, call.world.app.user.id, call.world.app.team_id)


METHODS = {
    "conversations.list": Method(everything, TIER_2),
    "users.conversations": Method(mine, TIER_3),
    "conversations.info": Method(info, TIER_3),
    "conversations.members": Method(members, TIER_4),
    "conversations.join": Method(join, TIER_3),
    "conversations.open": Method(open_, TIER_3),
}
