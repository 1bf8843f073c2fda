"""chat.*: what an app posts, changes and takes away."""

from adapters.slack.standin.blocks import accept
from adapters.slack.standin.channels import Channel, Message, message_body
from adapters.slack.standin.errors import RefusedError
from adapters.slack.standin.ids import to_ts
from adapters.slack.standin.limits import POSTING, SPECIAL, TIER_3, TIER_4
from adapters.slack.standin.methods.call import Call, Method, is_ts
from adapters.slack.standin.typed import normalised
from adapters.slack.standin.visible import seen
from adapters.standin import JsonDict

MOST_TEXT = 40_000
MOST_ATTACHMENTS = 100
NO_FALLBACK = "This content can't be displayed."
"""Slack's own text for a message that has blocks only."""


def post_message(call: Call) -> JsonDict:
    """chat.postMessage. No argument makes it idempotent; `client_msg_id` is ignored."""
    channel = _destination(call)
    body, root = _body(call), _root(call, channel)
    message = call.world.post(
        channel,
        call.world.app.user,
        body,
        root=root,
        broadcast=bool(root) and call.flag("reply_broadcast"),
        metadata=_metadata(call),
    )
    return {"channel": channel.id, "ts": message.ts, "message": message_body(message)}


def post_ephemeral(call: Call) -> JsonDict:
    """chat.postEphemeral: shown to one member, kept nowhere."""
    channel, world = _destination(call), call.world
    user = call.needed("user")
    if user not in channel.members:
        raise RefusedError("user_not_in_channel")
    body = _body(call)
    ts = to_ts(world.clock.tick())
    world.journal.note(
        "whispered",
        channel=channel.name,
        author=world.app.user.name,
        by_app=True,
        text=seen(body, world.labels),
        id=ts,
        thread=call.text("thread_ts"),
        to=world.people[user].name,
    )
    return {"message_ts": ts}


def update(call: Call) -> JsonDict:
    """chat.update. Text without blocks takes the old blocks away; attachments stay unless given."""
    channel = _channel(call)
    message = _own(call, channel, "cant_update_message")
    content = _content(call)
    gone = {"blocks"} if call.args.get("attachments") is None else {"blocks", "attachments"}
    changes: JsonDict = {**dict.fromkeys(gone), **content}
    metadata = _metadata(call)
    if metadata:
        message.metadata = metadata
    call.world.edit(message, call.world.app.user, changes)
    body = message_body(message)
    return {"channel": channel.id, "ts": message.ts, "text": body["text"], "message": body}


def delete(call: Call) -> JsonDict:
    """chat.delete."""
    channel = _channel(call)
    message = _own(call, channel, "cant_delete_message")
    call.world.delete(message, call.world.app.user)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(call: Call) -> JsonDict:
    """chat.getPermalink."""
    channel = _channel(call)
    message = call.message(channel, "message_ts")
    return {"channel": channel.id, "permalink": permalink(call, message)}


def permalink(call: Call, message: Message) -> str:
    """Where a browser finds a message; a reply names its thread."""
    channel = message.channel.id
    base = f"https://{call.world.app.domain}.slack.com/archives"
    link = f"{base}/{channel}/p{message.ts.replace('.', '')}"
    return f"{link}?thread_ts={message.thread}&cid={channel}" if message.thread else link


def _channel(call: Call) -> Channel:
    channel = call.world.visible(call.text("channel"))
    if channel is None:
        raise RefusedError("channel_not_found")
    return channel


def _destination(call: Call) -> Channel:
    """Where to post: an id, a name, or a person's id for direct messages."""
    world, wanted = call.world, call.text("channel")
    known = world.visible(wanted) or world.visible(
        world.channel_ids.get(wanted.removeprefix("#"), "")
    )
    someone = world.people.get(wanted)
    if known is None and someone is not None and not someone.bot:
        known = world.direct(someone)
    if known is None:
        raise RefusedError("channel_not_found")
    if world.app.user.id not in known.members:
        raise RefusedError("not_in_channel")
    if known.archived:
        raise RefusedError("is_archived")
    return known


def _own(call: Call, channel: Channel, refusal: str) -> Message:
    message = call.message(channel, "ts")
    if message.author is not call.world.app.user:
        raise RefusedError(refusal)
    return message


def _root(call: Call, channel: Channel) -> Message | None:
    ts = call.text("thread_ts")
    if not ts:
        return None
    found = call.world.messages.get(ts) if is_ts(ts) else None
    if found is None or found.channel is not channel or (found.deleted and not found.replies):
        raise RefusedError("thread_not_found")
    return found.root or found


def _body(call: Call) -> JsonDict:
    app = call.world.app
    body: JsonDict = {"user": app.user.id, "bot_id": app.bot_id, "app_id": app.app_id}
    body |= _content(call) | {"bot_profile": call.world.bot_profile}
    if call.text("username"):
        del body["user"]
        body |= {"subtype": "bot_message", "username": call.text("username")}
        icon = call.text("icon_emoji")
        body |= {"icons": {"emoji": icon}} if icon else {}
    return body


def _content(call: Call) -> JsonDict:
    """What a message says: `text`, and `blocks` and `attachments` where given."""
    text = call.text("text")
    blocks = call.structure("blocks", "invalid_blocks_format")
    attachments = call.structure("attachments", "invalid_arguments")
    if not text.strip() and not blocks and not attachments:
        raise RefusedError("no_text")
    if len(text) > MOST_TEXT:
        raise RefusedError("msg_too_long")
    content: JsonDict = {"text": normalised(text)}
    if blocks:
        content["blocks"] = accept(blocks)
        content["text"] = content["text"] or NO_FALLBACK
    if attachments:
        content["attachments"] = _attachments(attachments)
    return content


def _attachments(attachments: object) -> list[JsonDict]:
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        raise RefusedError("invalid_arguments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise RefusedError("too_many_attachments")
    return [
        {"fallback": "[no preview available]", **one, "id": number}
        for number, one in enumerate(attachments, 1)
    ]


def _metadata(call: Call) -> JsonDict | None:
    metadata = call.structure("metadata", "invalid_metadata_format")
    if not metadata:
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise RefusedError("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise RefusedError("invalid_metadata_format")
    return {"event_type": metadata["event_type"], "event_payload": metadata["event_payload"]}


METHODS = {
    "chat.postMessage": Method(post_message, POSTING, per_channel=True),
    "chat.postEphemeral": Method(post_ephemeral, TIER_4),
    "chat.update": Method(update, TIER_3),
    "chat.delete": Method(delete, TIER_3),
    "chat.getPermalink": Method(get_permalink, SPECIAL),
}
