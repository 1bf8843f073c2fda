"""Everything people and apps do with messages: done in the workspace, told to all who listen."""

import time

from adapters.discord.standin import permissions, shapes, wire
from adapters.discord.standin.forms import HAS_THREAD, Draft, ThreadDraft
from adapters.discord.standin.gateway.hub import Hub
from adapters.discord.standin.snowflakes import iso
from adapters.discord.standin.speech import Allowed, Mentions, mention, mentions
from adapters.discord.standin.workspace import Channel, Message, Person, Workspace
from adapters.standin import Journal, JsonDict


class Deeds:
    """Carries out what was allowed already: permissions and limits are checked before."""

    def __init__(self, workspace: Workspace, hub: Hub, journal: Journal) -> None:
        self._workspace = workspace
        self._hub = hub
        self._journal = journal

    def post(
        self, author: Person, channel: Channel, draft: Draft, answers: Message | None = None
    ) -> Message:
        """Post a message. A nonce is told to listeners and then forgotten.

        An archived thread opens again by it (documented).
        """
        if channel.archived:
            self.turn(channel, archived=False)
        native_id = self._workspace.snowflakes.make()
        found = self._mentions(author, channel, draft.content, draft.allowed, answers)
        message = Message(
            native_id, channel, author, wire.message(native_id, channel, author, draft, found)
        )
        message.pinged = found.pinged
        if answers:
            self._refer(message, wire.REPLY, answers)
        self._keep(message, draft.nonce)
        self._journal.note("posted", **wire.facts(self._workspace, message))
        return message

    def edit(self, message: Message, changes: JsonDict, allowed: Allowed) -> None:
        """Change what is given of content, embeds, components, attachments and flags.

        Mentions of the new content count again: an edit may ping (documented).
        """
        message.wire = {**message.wire, **changes, "edited_timestamp": iso(time.time())}
        if "content" in changes:
            content = changes["content"]
            found = self._mentions(
                message.author, message.channel, content, allowed, message.answers
            )
            message.wire["mentions"] = [shapes.user(person) for person in found.people]
            message.wire["mention_roles"] = found.roles
            message.wire["mention_everyone"] = found.everyone
            message.pinged += [name for name in found.pinged if name not in message.pinged]
        self._tell("MESSAGE_UPDATE", message)
        self._journal.note("edited", **wire.facts(self._workspace, message))

    def delete(self, message: Message) -> None:
        """Take a message away; watchers still see it, marked."""
        message.deleted = True
        if message.channel.parent and wire.listed(message):
            message.channel.counted -= 1
        self._dispatch(
            "MESSAGE_DELETE",
            message.channel,
            {"id": message.id, **wire.place(self._workspace, message)},
        )
        self._journal.note("deleted", **wire.facts(self._workspace, message))

    def react(self, person: Person, message: Message, sign: str) -> None:
        """Add a reaction. Safe to call twice: the second does nothing."""
        by = message.reactions.setdefault(sign, {})
        if person.id in by:
            return
        by[person.id] = person
        told = wire.reaction(self._workspace, message, sign, person)
        told["message_author_id"] = message.author.id
        if not message.channel.recipient:
            told["member"] = shapes.member(self._workspace, person)
        self._reacted("MESSAGE_REACTION_ADD", "reacted", message, told)

    def unreact(self, person: Person, message: Message, sign: str) -> None:
        """Take a reaction back. Safe to call twice: the second does nothing."""
        by = message.reactions.get(sign, {})
        if by.pop(person.id, None) is None:
            return
        if not by:
            del message.reactions[sign]
        told = wire.reaction(self._workspace, message, sign, person)
        self._reacted("MESSAGE_REACTION_REMOVE", "unreacted", message, told)

    def start_thread(self, person: Person, root: Message, draft: ThreadDraft) -> Channel:
        """Start the thread of a message; both have the same id from now on."""
        thread = self._workspace.add_thread(root.channel, root.id, draft.name, person)
        thread.archive_minutes = draft.archive_minutes
        root.thread = thread
        root.wire = {**root.wire, "flags": root.wire["flags"] | HAS_THREAD}
        self._announce(thread)
        self._tell("MESSAGE_UPDATE", root)
        self._system_message(person, thread, wire.THREAD_STARTER, root)
        return thread

    def open_thread(self, person: Person, parent: Channel, draft: ThreadDraft) -> Channel:
        """Start a thread without a message; the parent channel gets a note about it."""
        native_id = self._workspace.snowflakes.make()
        thread = self._workspace.add_thread(parent, native_id, draft.name, person)
        thread.archive_minutes = draft.archive_minutes
        self._announce(thread)
        note = Draft(content=draft.name)
        message = self._blank(person, parent, wire.THREAD_CREATED, note)
        message.wire["message_reference"] = {
            "type": 0,
            "channel_id": thread.id,
            "guild_id": self._workspace.guild_id,
        }
        self._keep(message, None)
        return thread

    def turn(self, thread: Channel, *, archived: bool) -> None:
        """Archive a thread or open it again."""
        thread.archived, thread.turned_at = archived, round(time.time(), 6)
        self._dispatch("THREAD_UPDATE", thread, shapes.thread(self._workspace, thread))

    def add_channel(self, name: str, *, private: bool = False, denied: int = 0) -> Channel:
        """Make a text channel."""
        channel = self._workspace.add_channel(name, private=private, denied=denied)
        self._hub.dispatch("CHANNEL_CREATE", shapes.channel(self._workspace, channel))
        return channel

    def change_channel(self, channel: Channel, *, private: bool, denied: int) -> None:
        """Change who may do what in a text channel."""
        channel.private, channel.denied = private, denied
        self._hub.dispatch("CHANNEL_UPDATE", shapes.channel(self._workspace, channel))

    def add_person(self, name: str, *, closed: bool = False) -> Person:
        """Let somebody join the guild."""
        person = self._workspace.add_person(name, closed=closed)
        told = {**shapes.member(self._workspace, person), "guild_id": self._workspace.guild_id}
        self._hub.dispatch("GUILD_MEMBER_ADD", told)
        return person

    def _mentions(
        self,
        author: Person,
        channel: Channel,
        content: str,
        allowed: Allowed,
        answers: Message | None,
    ) -> Mentions:
        everyone = channel.recipient is None and (
            author is not self._workspace.app or channel.allows(permissions.MENTION_EVERYONE)
        )
        found = mentions(self._workspace, content, allowed, everyone=everyone)
        if answers and allowed.replied and answers.author is not author:
            mention(found, answers.author)
        if author.name in found.pinged:
            found.pinged.remove(author.name)
        return found

    def _refer(self, message: Message, kind: int, answers: Message) -> None:
        message.answers = answers
        message.wire["type"] = kind
        message.wire["message_reference"] = {
            "type": 0,
            "channel_id": answers.channel.id,
            "message_id": answers.id,
        }
        if not answers.channel.recipient:
            message.wire["message_reference"]["guild_id"] = self._workspace.guild_id

    def _blank(self, person: Person, channel: Channel, kind: int, draft: Draft) -> Message:
        native_id = self._workspace.snowflakes.make()
        told = wire.message(native_id, channel, person, draft, Mentions())
        told["type"] = kind
        return Message(native_id, channel, person, told)

    def _system_message(self, person: Person, thread: Channel, kind: int, answers: Message) -> None:
        message = self._blank(person, thread, kind, Draft())
        self._refer(message, kind, answers)
        self._keep(message, None)

    def _keep(self, message: Message, nonce: str | int | None) -> None:
        channel = message.channel
        if channel.parent:
            message.wire["position"] = channel.counted
            channel.counted += wire.listed(message)
        self._workspace.add(message)
        self._tell("MESSAGE_CREATE", message, nonce)

    def _announce(self, thread: Channel) -> None:
        told = {**shapes.thread(self._workspace, thread), "newly_created": True}
        self._dispatch("THREAD_CREATE", thread, told)

    def _reacted(self, event: str, what: str, message: Message, told: JsonDict) -> None:
        self._dispatch(event, message.channel, told)
        person = self._workspace.people[told["user_id"]]
        self._journal.note(
            what,
            **wire.facts(self._workspace, message)
            | {
                "author": person.name,
                "by_app": person is self._workspace.app,
                "emoji": wire.short_name(told["emoji"]["name"]),
            },
        )

    def _tell(self, event: str, message: Message, nonce: str | int | None = None) -> None:
        if not (self._hub.listened and message.channel.allows(permissions.VIEW_CHANNEL)):
            return
        told = wire.event(self._workspace, message)
        if nonce is not None:
            told["nonce"] = nonce
        self._hub.dispatch(
            event,
            told,
            direct=message.channel.recipient is not None,
            hidden=wire.hidden(self._workspace, message, told),
        )

    def _dispatch(self, event: str, channel: Channel, told: JsonDict) -> None:
        if channel.allows(permissions.VIEW_CHANNEL):
            self._hub.dispatch(event, told, direct=channel.recipient is not None)
