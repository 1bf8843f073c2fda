"""Reads what a digest window holds, in a few statements however much that is. Reads only."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_
from sqlmodel import Session

from bridge.archive import unpacked
from bridge.digest.contents import Contents, Counts, Key, Said, counts_of
from bridge.digest.rule import DigestRule
from bridge.messages import ChannelRef
from bridge.pending import CHANNEL, MESSAGE, PERSON, REACTION
from bridge.times import Window

_CHUNK = 500

LATE = timedelta(days=7)
"""What came in late is still told when it was sent this long before the window."""


def read(session: Session, rule: DigestRule, window: Window, came: Window) -> Contents:
    """What the window holds: what was sent in it and came in before the end of `came`.

    What was sent before the window and came in during `came` is held too, as late: with windows
    and `came` both contiguous, every message is in exactly one window, whenever it came in.
    """
    channels = _channels(session, rule.channels)
    readable = [
        one
        for one in rule.channels
        if rule.may_quote(one) or not (one in channels and channels[one].private)
    ]
    if not readable:
        return Contents(window, rule.zone)
    within = _within(rule, readable, window, came)
    rows = session.execute(_messages().where(within))
    said = [_said(row, late=row.sent_at < window.start) for row in rows]
    wants_before = said and "numbers" in rule.sections
    return Contents(
        window=window,
        zone=rule.zone,
        said=tuple(sorted(said, key=lambda one: (one.sent_at, one.key))),
        roots=_roots(session, rule, said),
        labels=_labels(rule.channels, channels),
        before=_before(session, rule, readable, window) if wants_before else Counts(),
    )


def _channels(session: Session, wanted: Iterable[ChannelRef]) -> dict[ChannelRef, Any]:
    """The rows of those channels that we know by name."""
    keys = [(one.account, one.id) for one in wanted]
    columns = CHANNEL.c
    found = session.execute(select(CHANNEL).where(tuple_(columns.account, columns.id).in_(keys)))
    return {ChannelRef(row.account, row.id): row for row in found}


def _labels(
    wanted: Collection[ChannelRef], channels: Mapping[ChannelRef, Any]
) -> dict[ChannelRef, str]:
    """What to call each channel: by its name, with its account where others share that name."""
    if len(set(wanted)) == 1:
        return {}
    names = {one: channels[one].name if one in channels else one.id for one in wanted}
    shared = Counter(names.values())
    return {
        one: f"#{name}" if shared[name] == 1 else f"{one.account}:#{name}"
        for one, name in names.items()
    }


def _within(
    rule: DigestRule, channels: Iterable[ChannelRef], window: Window, came: Window
) -> ColumnElement[bool]:
    """Whether a message belongs to the window; shaped so that the index message_sent is used."""
    late = came.start < came.end
    since = window.start - LATE if late else window.start
    return and_(
        _in_time(rule, channels, since, window.end),
        MESSAGE.c.received_at < came.end,
        or_(MESSAGE.c.sent_at >= window.start, MESSAGE.c.received_at >= came.start),
    )


def _in_time(
    rule: DigestRule, channels: Iterable[ChannelRef], start: datetime, end: datetime
) -> ColumnElement[bool]:
    """Whether somebody said it in one of these channels from `start` up to `end`."""
    return and_(
        or_(
            *(
                and_(
                    _in_channel(rule, channel),
                    MESSAGE.c.sent_at >= start,
                    MESSAGE.c.sent_at < end,
                )
                for channel in channels
            )
        ),
        MESSAGE.c.posted,
        MESSAGE.c.deleted_at.is_(None),
        ~MESSAGE.c.by_bot,
        ~MESSAGE.c.own,
    )


def _in_channel(rule: DigestRule, channel: ChannelRef) -> ColumnElement[bool]:
    here = and_(MESSAGE.c.account == channel.account, MESSAGE.c.channel == channel.id)
    return here if rule.may_quote(channel) else and_(here, ~MESSAGE.c.private)


def _messages() -> Select[Any]:
    columns = MESSAGE.c
    name = func.coalesce(func.nullif(columns.author_name, ""), PERSON.c.name, columns.author)
    reactions = (
        select(func.count())
        .where(
            REACTION.c.account == columns.account,
            REACTION.c.channel == columns.channel,
            REACTION.c.native_id == columns.native_id,
            REACTION.c.active,
        )
        .correlate(MESSAGE)
        .scalar_subquery()
    )
    return (
        select(MESSAGE, name.label("name"), _answered(), reactions.label("reactions"))
        .select_from(MESSAGE)
        .outerjoin(PERSON, and_(PERSON.c.account == columns.account, PERSON.c.id == columns.author))
    )


def _answered() -> ColumnElement[bool]:
    """Whether somebody else replied to what starts a conversation; the same as in a claim."""
    in_thread, in_reply = MESSAGE.alias("in_thread").c, MESSAGE.alias("in_reply").c
    starts = and_(MESSAGE.c.thread.in_(["", MESSAGE.c.native_id]), MESSAGE.c.reply_to == "")
    answered = or_(
        exists().where(
            *_by_somebody_else(in_thread),
            in_thread.thread == MESSAGE.c.native_id,
            in_thread.thread != "",
            in_thread.position > MESSAGE.c.position,
        ),
        exists().where(
            *_by_somebody_else(in_reply),
            in_reply.reply_to == MESSAGE.c.native_id,
            in_reply.reply_to != "",
        ),
    )
    return and_(starts, answered).label("answered")


def _by_somebody_else(reply: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        reply.account == MESSAGE.c.account,
        reply.channel == MESSAGE.c.channel,
        reply.author != MESSAGE.c.author,
        ~reply.by_bot,
        ~reply.own,
        reply.deleted_at.is_(None),
    )


def _roots(session: Session, rule: DigestRule, said: Sequence[Said]) -> dict[Key, Said]:
    """The messages that these answer, without themselves; bots may have started a conversation."""
    keys = sorted({one.parent for one in said if one.parent} - {one.key for one in said})
    found: dict[Key, Said] = {}
    for start in range(0, len(keys), _CHUNK):
        ids = defaultdict(list)
        for account, channel, native_id in keys[start : start + _CHUNK]:
            ids[ChannelRef(account, channel)].append(native_id)
        statement = _messages().where(
            or_(
                *(
                    and_(_in_channel(rule, channel), MESSAGE.c.native_id.in_(wanted))
                    for channel, wanted in ids.items()
                )
            ),
            MESSAGE.c.posted,
            MESSAGE.c.deleted_at.is_(None),
        )
        roots = (_said(row, late=False) for row in session.execute(statement))
        found.update({one.key: one for one in roots})
    return found


def _before(
    session: Session, rule: DigestRule, channels: Iterable[ChannelRef], window: Window
) -> Counts:
    """How much was going on in the stretch of the same length before the window."""
    start = window.start - (window.end - window.start)
    columns = MESSAGE.c
    statement = select(
        columns.account,
        columns.channel,
        columns.native_id,
        columns.author,
        columns.sent_at,
        columns.thread,
        columns.reply_to,
    ).where(_in_time(rule, channels, start, window.start))
    return counts_of(
        (
            Said(
                channel=ChannelRef(row.account, row.channel),
                native_id=row.native_id,
                author=row.author,
                name="",
                text="",
                sent_at=row.sent_at,
                thread=row.thread,
                reply_to=row.reply_to,
            )
            for row in session.execute(statement)
        ),
        {},
    )


def _said(row: Any, *, late: bool) -> Said:
    return Said(
        channel=ChannelRef(row.account, row.channel),
        native_id=row.native_id,
        author=row.author,
        name=row.name,
        text=row.text,
        sent_at=row.sent_at,
        thread=row.thread,
        reply_to=row.reply_to,
        link=row.link,
        links=unpacked(row.links),
        files=unpacked(row.files),
        reactions=row.reactions,
        answered=bool(row.answered),
        late=late,
    )
