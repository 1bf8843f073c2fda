"""The events that Slack sends to an app, as pure functions of what happened."""

from adapters.slack.standin.channels import KINDS, Channel, Message, channel_body, message_body
from adapters.slack.standin.ids import to_ts
from adapters.slack.standin.people import App, Person, user_body
from adapters.standin import JsonDict


def posted(message: Message) -> JsonDict:
    """`message`: somebody posted. An app's metadata arrives without its payload."""
    event = {**message.body, **_where(message.channel, message.at)}
    if message.metadata:
        event["metadata"] = {"event_type": message.metadata["event_type"]}
    if message.broadcast and message.root:
        event["root"] = message_body(message.root)
    return event


def changed(message: Message, previous: JsonDict, at: int) -> JsonDict:
    """`message` of subtype message_changed: an edit, or the root of a thread gone."""
    return {
        "type": "message",
        "subtype": "message_changed",
        "message": message_body(message) | {"source_team": message.body.get("team")},
        "previous_message": previous,
        "hidden": True,
        "ts": to_ts(at),
        **_where(message.channel, at),
    }


def deleted(message: Message, previous: JsonDict, at: int) -> JsonDict:
    """`message` of subtype message_deleted."""
    return {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": previous,
        "hidden": True,
        "deleted_ts": message.ts,
        "ts": to_ts(at),
        **_where(message.channel, at),
    }


def reacted(message: Message, person: Person, emoji: str, at: int, *, added: bool) -> JsonDict:
    """`reaction_added` or `reaction_removed`."""
    return {
        "type": "reaction_added" if added else "reaction_removed",
        "user": person.id,
        "reaction": emoji,
        "item": {"type": "message", "channel": message.channel.id, "ts": message.ts},
        "item_user": message.author.id,
        "event_ts": to_ts(at),
    }


def channel_created(channel: Channel, team_id: str, at: int) -> JsonDict:
    """`channel_created`; Slack sends it for public channels only."""
    body = channel_body(channel, "", team_id)
    del body["is_member"], body["parent_conversation"]
    return {"type": "channel_created", "channel": body, "event_ts": to_ts(at)}


def channel_archived(channel: Channel, person: Person, at: int) -> JsonDict:
    """`channel_archive`, or `group_archive` for a private one."""
    kind = "channel_archive" if channel.kind == "public" else "group_archive"
    return {"type": kind, "channel": channel.id, "user": person.id, "event_ts": to_ts(at)}


def joined(channel: Channel, person: Person, team_id: str, at: int) -> JsonDict:
    """`member_joined_channel`."""
    return {
        "type": "member_joined_channel",
        "user": person.id,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "public" else "G",
        "team": team_id,
        "inviter": channel.creator,
        "event_ts": to_ts(at),
    }


def team_joined(person: Person, app: App, at: int) -> JsonDict:
    """`team_join`: somebody new in the workspace."""
    return {"type": "team_join", "user": user_body(person, app), "event_ts": to_ts(at)}


def wrapped(event: JsonDict, app: App, event_id: str, at: int) -> JsonDict:
    """The outer wrapper of the Events API around an event; `at` is whole seconds."""
    return {
        "token": "standin-verification",
        "team_id": app.team_id,
        "context_team_id": app.team_id,
        "context_enterprise_id": None,
        "api_app_id": app.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": at,
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": app.team_id,
                "user_id": app.user.id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{app.team_id}-{event_id}",
    }


def _where(channel: Channel, at: int) -> JsonDict:
    return {"channel": channel.id, "event_ts": to_ts(at), "channel_type": KINDS[channel.kind]}
