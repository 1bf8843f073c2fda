"""What was said and done, kept as rows. Transactions only; every function may safely be repeated.

Rows are written in the order of their keys, so that two writers cannot block each other for good.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Column, case, func, or_, update
from sqlmodel import Session

from bridge.messages import (
    ChannelRef,
    Deleted,
    Edited,
    Event,
    Posted,
    Reacted,
    Shown,
)
from bridge.models import Message, Reaction
from bridge.pending import MESSAGE, REACTION
from bridge.rules import Trigger
from bridge.store import insert_into

MessageKey: TypeAlias = tuple[str, str, str]
"""Account, channel, native id."""
Own: TypeAlias = Callable[[str], bool]
"""Whether an author is one of our own accounts."""
Row: TypeAlias = dict[str, Any]
E = TypeVar("E")

_KEY = ["account", "channel", "native_id"]
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def add_posts(
    session: Session,
    posts: Sequence[Posted],
    now: datetime,
    own: Own,
    behind: Collection[ChannelRef] = (),
) -> tuple[int, list[Trigger]]:
    """Write posts. Returns how many were new, and those to be judged by rules now.

    Not judged are our own, and those in channels that are behind. A row that only an edit or a
    delete had made becomes whole; what they said of it stays.
    """
    rows = [
        _message_row(post, now, own=own(post.author)) | {"judged": post.channel not in behind}
        for post in _latest(posts, message_key)
    ]
    if not rows:
        return 0, []
    insert = insert_into(session, Message)
    new, old = insert.excluded, MESSAGE.c
    untouched = old.edited_at.is_(None) & old.deleted_at.is_(None)
    kept_if_touched = ("text", "mentions", "links", "files")
    taken_over = ("author", "author_name", "thread", "reply_to", "by_bot", "own", "private", "link")
    statement = insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "posted": True,
            "judged": new.judged,
            "sent_at": new.sent_at,
            **{name: new[name] for name in taken_over},
            **{name: case((untouched, new[name]), else_=old[name]) for name in kept_if_touched},
        },
        where=~old.posted,
    ).returning(*trigger_columns())
    new_rows = session.execute(statement, sorted(rows, key=_row_key)).all()
    return len(new_rows), triggers(row for row in new_rows if row.judged)


def trigger_columns() -> tuple[Column[Any], ...]:
    """The columns that `triggers` reads."""
    names = ("id", "account", "channel", "native_id", "author", "text", "sent_at", "mentions")
    flags = ("position", "by_bot", "private", "own", "judged", "deleted_at")
    return tuple(MESSAGE.c[name] for name in (*names, *flags))


def triggers(rows: Iterable[Any]) -> list[Trigger]:
    """Messages for rules to look at: by others, and still there."""
    return [
        Trigger(
            id=row.id,
            channel=ChannelRef(row.account, row.channel),
            native_id=row.native_id,
            author=row.author,
            text=row.text,
            sent_at=row.sent_at,
            mentions=unpacked(row.mentions),
            by_bot=row.by_bot,
            private=row.private,
            position=row.position,
        )
        for row in rows
        if not row.own and row.deleted_at is None
    ]


def apply_edits(session: Session, edits: Iterable[Edited], now: datetime, own: Own) -> None:
    """Write how messages read now; the newest edit wins, whatever the order of arrival."""
    newest = _latest(
        sorted(edits, key=lambda one: one.edited_at), lambda one: message_key(one.message)
    )
    rows = [
        _message_row(edit.message, now, own=own(edit.message.author))
        | {"edited_at": edit.edited_at, "posted": False}
        for edit in newest
    ]
    if not rows:
        return
    insert = insert_into(session, Message)
    new, old = insert.excluded, MESSAGE.c
    statement = insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={name: new[name] for name in ("text", "mentions", "links", "files", "edited_at")},
        where=or_(old.edited_at.is_(None), old.edited_at <= new.edited_at),
    )
    session.execute(statement, sorted(rows, key=_row_key))


def apply_deletes(session: Session, deletes: Sequence[Deleted], now: datetime) -> None:
    """Mark messages as gone, also those that we have not seen yet."""
    rows = [
        {
            "account": one.channel.account,
            "channel": one.channel.id,
            "native_id": one.native_id,
            "position": one.position,
            "author": "",
            "sent_at": one.deleted_at,
            "received_at": now,
            "deleted_at": one.deleted_at,
            "posted": False,
        }
        for one in _latest(deletes, message_key)
    ]
    if not rows:
        return
    insert = insert_into(session, Message)
    statement = insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={"deleted_at": func.coalesce(MESSAGE.c.deleted_at, insert.excluded.deleted_at)},
    )
    session.execute(statement, sorted(rows, key=_row_key))


def apply_reactions(session: Session, reactions: Iterable[Reacted]) -> None:
    """Write who reacts with what now; the newest event wins."""
    in_time = sorted(reactions, key=lambda one: one.at)
    newest = _latest(in_time, lambda one: (*message_key(one), one.person, one.emoji))
    rows = [
        {
            "account": one.channel.account,
            "channel": one.channel.id,
            "native_id": one.native_id,
            "person": one.person,
            "emoji": storable(one.emoji),
            "active": one.added,
            "at": one.at,
        }
        for one in newest
    ]
    if not rows:
        return
    insert = insert_into(session, Reaction)
    statement = insert.on_conflict_do_update(
        index_elements=[*_KEY, "person", "emoji"],
        set_={"active": insert.excluded.active, "at": insert.excluded.at},
        where=REACTION.c.at <= insert.excluded.at,
    )
    session.execute(statement, sorted(rows, key=_row_key))


def show(session: Session, events: Sequence[Event], now: datetime, own: Own) -> None:
    """Write how a message and its replies stand, as their platform shows them.

    For whoever looks before sending. A post that is new to us is not whole until it is heard or
    read up: rules judge it then.
    """
    shown = [event for event in events if isinstance(event, Shown)]
    _foresee(session, [one.message for one in shown], now, own)
    edits = [Edited(one.message, one.edited_at) for one in shown if one.edited_at]
    apply_edits(session, edits, now, own)
    apply_deletes(session, [event for event in events if isinstance(event, Deleted)], now)
    show_reactions(session, shown)


def _foresee(session: Session, posts: Sequence[Posted], now: datetime, own: Own) -> None:
    rows = [
        _message_row(post, now, own=own(post.author)) | {"posted": False}
        for post in _latest(posts, message_key)
    ]
    if rows:
        insert = insert_into(session, Message).on_conflict_do_nothing(index_elements=_KEY)
        session.execute(insert, sorted(rows, key=_row_key))


def show_reactions(session: Session, shown: Iterable[Shown]) -> None:
    """Write who reacts with what, as history shows it: what it does not show was taken back."""
    read = [one for one in shown if one.reactions is not None]
    for one in read:
        account, channel, native = message_key(one.message)
        session.execute(
            update(REACTION)
            .where(
                REACTION.c.account == account,
                REACTION.c.channel == channel,
                REACTION.c.native_id == native,
                REACTION.c.at <= one.at,
            )
            .values(active=False, at=one.at)
        )
    apply_reactions(
        session,
        [
            Reacted(
                one.message.channel, one.message.native_id, person, emoji, added=True, at=one.at
            )
            for one in read
            for emoji, person in one.reactions or ()
        ],
    )


def message_key(event: Posted | Deleted | Reacted) -> MessageKey:
    """What names a message everywhere."""
    return event.channel.account, event.channel.id, event.native_id


def _message_row(post: Posted, now: datetime, *, own: bool) -> Row:
    return {
        "account": post.channel.account,
        "channel": post.channel.id,
        "native_id": post.native_id,
        "position": post.position,
        "author": post.author,
        "author_name": storable(post.author_name),
        "text": storable(post.text),
        "sent_at": post.sent_at,
        "received_at": now,
        "thread": post.thread,
        "reply_to": post.reply_to,
        "by_bot": post.by_bot,
        "own": own,
        "private": post.private,
        "posted": True,
        "mentions": packed(post.mentions),
        "links": packed(post.links),
        "files": packed(post.files),
        "link": storable(post.link),
    }


def storable(text: str) -> str:
    """The text with what a store cannot hold (NUL, lone surrogates) as U+FFFD."""
    return text if text.isascii() and "\0" not in text else _UNSTORABLE.sub("\ufffd", text)


def packed(items: Iterable[str]) -> str:
    """Several short texts in one column, a line each."""
    return storable("\n".join(item.replace("\n", " ") for item in items))


def unpacked(text: str) -> tuple[str, ...]:
    """The texts that `packed` put together."""
    return tuple(text.split("\n")) if text else ()


def _latest(events: Iterable[E], key: Callable[[E], Any]) -> list[E]:
    return list({key(event): event for event in events}.values())


def _row_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """One order for all writers; posts of a channel in the platform's own order."""
    return (
        row["account"],
        row["channel"],
        row.get("position", 0),
        row["native_id"],
        row.get("person", ""),
        row.get("emoji", ""),
    )
