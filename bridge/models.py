"""The tables of the store, the status of a delivery, and the one type for moments."""

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, Dialect, Index, Integer, SmallInteger, UniqueConstraint, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware moment, kept as microseconds since 1970 in UTC: exact, ordered, alike everywhere.

    SQLite would drop the offset of its own date type; a naive datetime is refused.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Aware datetime -> integer."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment without a zone: {value!r}")
        return (value - EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Integer -> aware datetime in UTC."""
        del dialect
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Status(IntEnum):
    """Where a delivery stands. Only bridge/outbox.py moves it.

    OWED ──sent──────▶ SENT        a receipt is recorded
      │ ▲
      │ └─retry──┐
      ├──────────┘                 refused or unknown: still owed, its lane waits
      ├──cancel────▶ CANCELLED     it no longer matters
      ├──give up───▶ DEAD          permanent error, too many tries, or too late
      └──hold──────▶ HELD          nobody can tell whether it arrived: a person decides
    DEAD, HELD ──revive, by command──▶ OWED
    """

    OWED = 0
    SENT = 1
    CANCELLED = 2
    DEAD = 3
    HELD = 4


def _id() -> Any:
    # SQLite numbers rows by itself only where the type is exactly INTEGER
    return Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger().with_variant(Integer, "sqlite"),
    )


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=Moment, nullable=nullable)


def _big(default: int | None = 0) -> Any:
    return Field(default=default, sa_type=BigInteger)


class Account(SQLModel, table=True):
    """Who we are on each account: messages by these people match no rule."""

    name: str = Field(primary_key=True)
    platform: str
    person: str
    display: str = ""
    workspace: str = ""
    paused_until: datetime | None = _moment(nullable=True)


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
    behind: bool = False
    gap_at: datetime | None = _moment(nullable=True)


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
        Index(
            "message_thread",
            "account",
            "channel",
            "thread",
            sqlite_where=text("thread != ''"),
            postgresql_where=text("thread != ''"),
        ),
        Index(
            "message_reply",
            "account",
            "channel",
            "reply_to",
            sqlite_where=text("reply_to != ''"),
            postgresql_where=text("reply_to != ''"),
        ),
        Index("message_sent", "account", "channel", "sent_at"),
        Index(
            "message_unjudged",
            "account",
            "channel",
            "position",
            sqlite_where=text("judged = 0"),
            postgresql_where=text("NOT judged"),
        ),
    )

    id: int | None = _id()
    account: str
    channel: str
    native_id: str
    position: int = _big()
    author: str
    author_name: str = ""
    text: str = ""
    sent_at: datetime = _moment()
    received_at: datetime = _moment()
    edited_at: datetime | None = _moment(nullable=True)
    deleted_at: datetime | None = _moment(nullable=True)
    thread: str = ""
    reply_to: str = ""
    by_bot: bool = False
    own: bool = False
    private: bool = False
    posted: bool = True
    judged: bool = True
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
    at: datetime = _moment()


class Worker(SQLModel, table=True):
    """A process that holds lanes or leases. `beat` grows while it lives.

    Others call it dead when `beat` has not moved for the TTL by their own clock, and take the row
    away; without its row nothing belongs to it any more.
    """

    id: str = Field(primary_key=True)
    beat: int = _big()
    role: str = "worker"
    host: str = ""
    pid: int = 0
    started_at: datetime = _moment()


class Lane(SQLModel, table=True):
    """The ordered queue to one destination, held by one worker at a time.

    `epoch` grows with every change of holder: the fencing token.
    """

    __table_args__ = (UniqueConstraint("account", "channel"),)

    id: int | None = _id()
    account: str
    channel: str
    holder: str | None = None
    epoch: int = _big()
    paused_until: datetime | None = _moment(nullable=True)
    last_receipt: str = ""


class Rule(SQLModel, table=True):
    """A rule as it was when something was owed by it; `id` is a hash of `body` (JSON)."""

    id: str = Field(primary_key=True)
    name: str
    body: str


class Delivery(SQLModel, table=True):
    """The outbox: one message that is owed to one lane. See Status.

    `key` is unique per thing owed and goes out with it. `message` is what caused it, `body` the
    content where it was made beforehand (a digest; JSON). `trying` is the epoch of the attempt
    under way, or 0: an old non-zero one means an attempt of unknown outcome. Of such a one,
    `tried_at` is when it was made, and a look-up that finds nothing counts from `sure_at` on.
    `looked_at` is when the message was last read anew from its platform. Rows that leave as one
    message name the first of them in `bundle`.
    """

    __table_args__ = (
        UniqueConstraint("key"),
        Index(
            "delivery_lane",
            "lane",
            "due_at",
            "id",
            sqlite_where=text("status = 0"),
            postgresql_where=text("status = 0"),
        ),
        Index(
            "delivery_due",
            "due_at",
            sqlite_where=text("status = 0"),
            postgresql_where=text("status = 0"),
        ),
        Index(
            "delivery_bundle",
            "bundle",
            sqlite_where=text("bundle != 0"),
            postgresql_where=text("bundle != 0"),
        ),
        Index(
            "delivery_message",
            "message",
            sqlite_where=text("status = 0"),
            postgresql_where=text("status = 0"),
        ),
    )

    id: int | None = _id()
    key: str
    lane: int = _big(None)
    kind: str = "notification"
    rule: str = ""
    message: int | None = Field(default=None, sa_type=BigInteger)
    body: str = ""
    due_at: datetime = _moment()
    owed_at: datetime = _moment()
    status: int = Field(default=Status.OWED, sa_type=SmallInteger)
    attempts: int = 0
    trying: int = _big()
    tried_at: datetime | None = _moment(nullable=True)
    sure_at: datetime | None = _moment(nullable=True)
    looked_at: datetime | None = _moment(nullable=True)
    bundle: int = _big()
    cancel_wanted: bool = False
    settled_at: datetime | None = _moment(nullable=True)
    receipt: str = ""
    reason: str = ""


class Lease(SQLModel, table=True):
    """A role that one process at a time holds, such as leading the schedulers."""

    name: str = Field(primary_key=True)
    holder: str


class Budget(SQLModel, table=True):
    """How far ahead an account's sending is booked, over all workers. See bridge/budgets.py."""

    account: str = Field(primary_key=True)
    tat: datetime = _moment()


class Digest(SQLModel, table=True):
    """Up to where a digest has been told: the start of its next window."""

    name: str = Field(primary_key=True)
    watermark: datetime = _moment()


class DigestWindow(SQLModel, table=True):
    """A digest window that was closed; half-open, `start_at` <= sent_at < `end_at`."""

    __tablename__ = "digest_window"  # WINDOW is a reserved word
    __table_args__ = (UniqueConstraint("digest", "end_at"),)

    id: int | None = _id()
    digest: str
    start_at: datetime = _moment()
    end_at: datetime = _moment()
    closed_at: datetime = _moment()
    messages: int = 0


class Quarantine(SQLModel, table=True):
    """An event that no store could take: kept as text with the reason, acknowledged, counted."""

    id: int | None = _id()
    at: datetime = _moment()
    event: str
    reason: str
