"""Messages: list, create, get, edit, delete."""

import time

from adapters.discord.standin import forms, permissions, refusals, wire
from adapters.discord.standin.call import Answer, Call, Endpoint
from adapters.discord.standin.forms import Draft, number, snowflake
from adapters.discord.standin.gateway import intents
from adapters.discord.standin.limits import Limit
from adapters.discord.standin.rest import files
from adapters.discord.standin.snowflakes import at_moment
from adapters.discord.standin.speech import Allowed
from adapters.discord.standin.workspace import Channel, Message
from adapters.standin import JsonDict

PAGE, LARGEST_PAGE = 50, 100
CREATE = EDIT = Limit(5, 5.0)
DELETE = Limit(5, 1.0)


async def create(call: Call) -> Answer:
    """Post a message, or find the one the same nonce made before."""
    channel = call.channel()
    draft = forms.draft(call.body())
    if draft.nonce is not None and draft.enforce_nonce:
        known = call.world.nonces.recall(call.app, draft.nonce, time.monotonic())
        if known:
            if known.deleted:
                raise refusals.unknown("Message")
            return Answer({**_readable(call, known), "nonce": draft.nonce})
    draft.files = files.sent(call, channel)
    _check(call, channel, draft)
    answers = _answered(call, channel, draft)
    message = call.world.deeds.post(call.app, channel, draft, answers)
    found = wire.view(call.world.workspace, message)
    if draft.nonce is None:
        return Answer(found)
    call.world.nonces.keep(call.app, draft.nonce, message, time.monotonic())
    return Answer({**found, "nonce": draft.nonce})


async def history(call: Call) -> Answer:
    """A page of messages, newest first; `after` takes the oldest ones behind that id."""
    channel = call.channel()
    limit = number("limit", call.query.get("limit", str(PAGE)), 1, LARGEST_PAGE)
    if not channel.allows(permissions.READ_MESSAGE_HISTORY):
        return Answer([])
    page = _page(call, channel, limit)
    return Answer([_readable(call, one) for one in reversed(page)])


async def get(call: Call) -> Answer:
    """One message."""
    channel = call.channel(permissions.READ_MESSAGE_HISTORY)
    return Answer(_readable(call, call.message(channel)))


async def edit(call: Call) -> Answer:
    """Change our app's own message."""
    message = call.message(call.open_channel())
    changes = forms.changes(call.body())
    if message.author is not call.app:
        raise refusals.not_the_author()
    if not wire.listed(message):
        raise refusals.system_message()
    allowed = changes.pop("allowed_mentions", Allowed())
    if "flags" in changes:
        keep = message.wire["flags"] & ~forms.SUPPRESS_EMBEDS
        changes["flags"] = keep | changes["flags"] & forms.SUPPRESS_EMBEDS
    if call.form or "attachments" in changes:
        changes["attachments"] = _files(call, message, changes.get("attachments"))
    left = {**message.wire, **changes}
    if not any(left[part] for part in ("content", "embeds", "components", "attachments")):
        raise refusals.empty_message()
    call.world.deeds.edit(message, changes, allowed)
    return Answer(wire.view(call.world.workspace, message))


async def delete(call: Call) -> Answer:
    """Take a message away: our app's own, or anybody's with the permission."""
    message = call.message(call.channel())
    # Our app is no moderator anywhere, so the permission is never there.
    if message.author is not call.app:
        raise refusals.missing_permissions()
    call.world.deeds.delete(message)
    return Answer()


def _check(call: Call, channel: Channel, draft: Draft) -> None:
    """Raise Refusal if our app may not send this here."""
    if draft.empty:
        raise refusals.empty_message()
    if channel.recipient and (channel.recipient.closed or channel.recipient.bot):
        raise refusals.closed_to_us()
    speak = permissions.SEND_MESSAGES_IN_THREADS if channel.parent else permissions.SEND_MESSAGES
    call.channel(
        speak,
        *[permissions.EMBED_LINKS] * bool(draft.embeds),
        *[permissions.ATTACH_FILES] * bool(draft.files),
    )


def _answered(call: Call, channel: Channel, draft: Draft) -> Message | None:
    reference = draft.reference
    if reference is None:
        return None
    if not channel.allows(permissions.READ_MESSAGE_HISTORY):
        raise refusals.no_history()
    found = call.world.workspace.messages.get(reference.message_id)
    if found and not found.deleted and found.channel is channel:
        return found
    if reference.must:
        form = refusals.Form()
        form.wrong(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        form.settle()
    return None


def _page(call: Call, channel: Channel, limit: int) -> list[Message]:
    """The messages of a page, oldest first."""
    lag = call.world.knobs.history_lag
    end = channel.place(at_moment(time.time() - lag)) if lag else len(channel.messages)
    marks = {
        name: int(snowflake(name, call.query[name]))
        for name in ("around", "before", "after")
        if name in call.query
    }
    if "around" in marks:
        middle = channel.place(marks["around"])
        older = _older(channel, min(middle, end), limit // 2)
        return older + _newer(channel, middle, end, limit - len(older))
    if "after" in marks:
        return _newer(channel, channel.place(marks["after"] + 1), end, limit)
    if "before" in marks:
        end = min(end, channel.place(marks["before"]))
    return _older(channel, end, limit)


def _older(channel: Channel, end: int, limit: int) -> list[Message]:
    found: list[Message] = []
    while end > 0 and len(found) < limit:
        end -= 1
        if not channel.messages[end].deleted:
            found.append(channel.messages[end])
    return found[::-1]


def _newer(channel: Channel, start: int, end: int, limit: int) -> list[Message]:
    found: list[Message] = []
    while start < end and len(found) < limit:
        if not channel.messages[start].deleted:
            found.append(channel.messages[start])
        start += 1
    return found


def _readable(call: Call, message: Message) -> JsonDict:
    """A message as our app may read it: without the content intent most of it is empty."""
    found = wire.view(call.world.workspace, message)
    if call.world.gateway.privileged & intents.MESSAGE_CONTENT:
        return found
    return wire.hidden(call.world.workspace, message, found)


def _files(call: Call, message: Message, kept: list[str] | None) -> list[JsonDict]:
    """An edit's files: those of the message that are kept, and new ones."""
    old: list[JsonDict] = message.wire["attachments"]
    if kept is not None:
        old = [one for one in old if one["id"] in kept]
    return old + files.sent(call, message.channel)


_LIST = "/channels/{channel_id}/messages"
_ONE = "/channels/{channel_id}/messages/{message_id}"
ENDPOINTS = (
    Endpoint("POST", _LIST, create, CREATE),
    Endpoint("GET", _LIST, history),
    Endpoint("PATCH", _ONE, edit, EDIT),
    Endpoint("DELETE", _ONE, delete, DELETE),
    Endpoint("GET", _ONE, get),
)
