"""What was said, by whom and where."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from bridge.models.base import big_column, flag_column, id_column, moment_column, partial


class Account(SQLModel, table=True):
    """Who we are on each account: messages by these people match no rule."""

    name: str = Field(primary_key=True)
    platform: str
    person: str
    display: str = ""
    workspace: str = ""
    paused_until: datetime | None = moment_column(nullable=True)


class Channel(SQLModel, table=True):
    """What a channel is called, and up to where we know all that was said in it.

    `cursor` is the position up to which it is complete (NULL: nothing was heard yet). `behind`
    says that events after it may be missing; live ones do not move it then. `gap_at` is when the
    last gap ended.
    """

    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    private: bool = False
    cursor: int | None = Field(default=None, sa_type=BigInteger)
    behind: bool = flag_column(default=False)
    gap_at: datetime | None = moment_column(nullable=True)


class Person(SQLModel, table=True):
    """What a person is called, and the zone of their profile."""

    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    bot: bool = False
    zone: str = ""


class Message(SQLModel, table=True):
    """A message as it reads now.

    `posted` is false while only an edit or delete was seen, `judged` until the rules have run,
    which waits while its channel is behind.
    """

    __table_args__ = (
        UniqueConstraint("account", "channel", "native_id"),
        partial("message_thread", "account", "channel", "thread", where="thread != ''"),
        partial("message_reply", "account", "channel", "reply_to", where="reply_to != ''"),
        Index("message_sent", "account", "channel", "sent_at"),
        partial(
            "message_unjudged",
            "account",
            "channel",
            "position",
            where="judged = 0",
            where_postgres="NOT judged",
        ),
    )

    id: int | None = id_column()
    account: str
    channel: str
    native_id: str
    position: int = big_column()
    author: str
    author_name: str = ""
    text: str = ""
    sent_at: datetime = moment_column()
    received_at: datetime = moment_column()
    edited_at: datetime | None = moment_column(nullable=True)
    deleted_at: datetime | None = moment_column(nullable=True)
    thread: str = ""
    reply_to: str = ""
    by_bot: bool = False
    own: bool = False
    private: bool = False
    posted: bool = True
    judged: bool = flag_column(default=True)
    mentions: str = ""
    links: str = ""
    files: str = ""
    link: str = ""


class Reaction(SQLModel, table=True):
    """A reaction of one person; `active` is false once it was taken back."""

    account: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)
    native_id: str = Field(primary_key=True)
    person: str = Field(primary_key=True)
    emoji: str = Field(primary_key=True)
    active: bool = True
    at: datetime = moment_column()


class Quarantine(SQLModel, table=True):
    """An event that no store could take: kept as text with the reason, acknowledged, counted."""

    id: int | None = id_column()
    at: datetime = moment_column()
    event: str
    reason: str
