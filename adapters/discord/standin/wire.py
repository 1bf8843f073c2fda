"""How Discord writes messages: MessageResponse and the gateway's variants of it."""

import emoji

from adapters.discord.standin import embeds, shapes
from adapters.discord.standin.forms import Draft
from adapters.discord.standin.snowflakes import seconds, stamp
from adapters.discord.standin.speech import Mentions, shown
from adapters.discord.standin.workspace import Channel, Message, Person, Workspace
from adapters.standin import JsonDict, Seen

DEFAULT, THREAD_CREATED, REPLY, THREAD_STARTER = 0, 18, 19, 21
"""The message types there are here, with Discord's numbers."""
_HIDDEN: JsonDict = {"content": "", "embeds": [], "attachments": [], "components": []}


def message(
    native_id: str, channel: Channel, author: Person, draft: Draft, mentions: Mentions
) -> JsonDict:
    """The lasting part of a message's wire form."""
    return {
        "id": native_id,
        "type": DEFAULT,
        "channel_id": channel.id,
        "author": shapes.user(author),
        "content": draft.content,
        "embeds": draft.embeds,
        "attachments": draft.files,
        "components": draft.components,
        "mentions": [shapes.user(person) for person in mentions.people],
        "mention_roles": mentions.roles,
        "mention_everyone": mentions.everyone,
        "pinned": False,
        "tts": draft.tts,
        "flags": draft.flags,
        "timestamp": stamp(native_id),
        "edited_timestamp": None,
    }


def view(workspace: Workspace, one: Message) -> JsonDict:
    """A message as it reads now: with its reactions, its thread and what it answers."""
    found = one.wire
    if one.reactions:
        given = [_reaction(workspace, sign, by) for sign, by in one.reactions.items()]
        found = {**found, "reactions": given}
    if one.thread:
        found = {**found, "thread": shapes.thread(workspace, one.thread)}
    if one.wire["type"] in {REPLY, THREAD_STARTER}:
        there = one.answers and not one.answers.deleted
        found = {**found, "referenced_message": one.answers.wire if there else None}  # type: ignore[union-attr]
    return found


def event(workspace: Workspace, one: Message) -> JsonDict:
    """A message as MESSAGE_CREATE and MESSAGE_UPDATE carry it."""
    found = {**view(workspace, one), "channel_type": one.channel.kind}
    if one.channel.recipient:
        return found
    found["guild_id"] = workspace.guild_id
    found["member"] = shapes.bare_member(workspace, one.author)
    return found


def place(workspace: Workspace, one: Message) -> JsonDict:
    """Where a message is, as the events about it say."""
    found: JsonDict = {"channel_id": one.channel.id}
    return found if one.channel.recipient else {**found, "guild_id": workspace.guild_id}


def hidden(workspace: Workspace, one: Message, found: JsonDict) -> JsonDict:
    """What an app without the message content intent gets of it (documented)."""
    app = workspace.app
    told = one.author is app or one.channel.recipient or app.user in one.wire["mentions"]
    return found if told else {**found, **_HIDDEN}


def reaction(workspace: Workspace, one: Message, sign: str, by: Person) -> JsonDict:
    """What MESSAGE_REACTION_ADD and MESSAGE_REACTION_REMOVE have in common."""
    return {
        **place(workspace, one),
        "user_id": by.id,
        "message_id": one.id,
        "emoji": {"id": None, "name": sign},
        "burst": False,
        "type": 0,
    }


def _reaction(workspace: Workspace, sign: str, by: dict[str, Person]) -> JsonDict:
    return {
        "emoji": {"id": None, "name": sign},
        "count": len(by),
        "count_details": {"normal": len(by), "burst": 0},
        "burst_colors": [],
        "me": workspace.app.id in by,
        "me_burst": False,
    }


def reads(workspace: Workspace, one: Message) -> str:
    """What a reader sees of a message: content, then the texts of its embeds."""
    texts = [one.wire["content"]] if one.wire["content"] else []
    texts += [line for embed in one.wire["embeds"] for line in embeds.lines(embed)]
    return "\n".join(shown(workspace, text) for text in texts)


def facts(workspace: Workspace, one: Message) -> JsonDict:
    """A message in words that know no platform, for the journal."""
    return {
        "channel": one.channel.seen_as,
        "author": one.author.name,
        "by_app": one.author is workspace.app,
        "text": reads(workspace, one),
        "id": one.id,
        "thread": one.channel.id if one.channel.parent else "",
    }


def seen(workspace: Workspace, one: Message) -> Seen:
    """A message as whoever watches the stand-in lists it."""
    return Seen(
        **facts(workspace, one),
        at=seconds(one.id),
        deleted=one.deleted,
        edited=one.wire["edited_timestamp"] is not None,
        reactions={
            short_name(sign): [by.name for by in people.values()]
            for sign, people in one.reactions.items()
        },
        raw={**view(workspace, one), "pinged": one.pinged},
    )


def listed(one: Message) -> bool:
    """Whether somebody said it; the platform's own notes about threads are not listed."""
    return one.wire["type"] in {DEFAULT, REPLY}


def short_name(sign: str) -> str:
    """The short name of an emoji, such as white_check_mark."""
    return emoji.demojize(sign, language="alias").strip(":")


def sign_of(name: str) -> str | None:
    """The emoji with a short name (or the emoji itself), None if there is none."""
    found = emoji.emojize(f":{name.strip(':')}:", language="alias")
    if emoji.is_emoji(found):
        return found
    return emoji.emojize(emoji.demojize(name)) if emoji.is_emoji(name) else None
