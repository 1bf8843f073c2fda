"""What is to be done: the outbox, its lanes, who works on them, and digests."""

from datetime import datetime

from sqlalchemy import BigInteger, SmallInteger, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from bridge.models.base import Status, big_column, id_column, moment_column, partial


class Worker(SQLModel, table=True):
    """A process that holds lanes or leases. `beat` grows while it lives.

    Others call it dead when `beat` has not moved for the TTL by their own clock, and take the row
    away; without its row nothing belongs to it any more.
    """

    id: str = Field(primary_key=True)
    beat: int = big_column()
    role: str = "worker"
    host: str = ""
    pid: int = 0
    started_at: datetime = moment_column()


class Lane(SQLModel, table=True):
    """The ordered queue to one destination, held by one worker at a time.

    `epoch` grows with every change of holder: the fencing token.
    """

    __table_args__ = (UniqueConstraint("account", "channel"),)

    id: int | None = id_column()
    account: str
    channel: str
    holder: str | None = None
    epoch: int = big_column()
    paused_until: datetime | None = moment_column(nullable=True)
    last_receipt: str = ""


class Rule(SQLModel, table=True):
    """A rule as it was when something was owed by it; `id` is a hash of `body` (JSON)."""

    id: str = Field(primary_key=True)
    name: str
    body: str


class Delivery(SQLModel, table=True):
    """The outbox: one message that is owed to one lane. See Status.

    `key` is unique per thing owed and goes out with it. `message` is what caused it, `body` the
    content where it was made beforehand (a digest; JSON), or has to be found again as it was sent.
    `trying` is the epoch of the attempt under way, or 0: an old non-zero one means an attempt of
    unknown outcome. Of such a one, `tried_at` is when it was made, and a look-up that finds
    nothing counts from `sure_at` on. `looked_at` is when the message was last read anew from its
    platform. Rows that leave as one message name the first of them in `bundle`. `crashes` counts
    the attempts in a row before this one whose end nobody recorded.
    """

    __table_args__ = (
        UniqueConstraint("key"),
        partial("delivery_lane", "lane", "due_at", "id", where="status = 0"),
        partial("delivery_unsure", "lane", where="status = 0 AND trying != 0"),
        partial("delivery_due", "due_at", where="status = 0"),
        partial("delivery_bundle", "bundle", where="bundle != 0"),
        partial("delivery_message", "message", where="status = 0"),
    )

    id: int | None = id_column()
    key: str
    lane: int = big_column(None)
    kind: str = "notification"
    rule: str = ""
    message: int | None = Field(default=None, sa_type=BigInteger)
    body: str = ""
    due_at: datetime = moment_column()
    owed_at: datetime = moment_column()
    status: int = Field(default=Status.OWED, sa_type=SmallInteger)
    attempts: int = 0
    trying: int = big_column()
    tried_at: datetime | None = moment_column(nullable=True)
    sure_at: datetime | None = moment_column(nullable=True)
    looked_at: datetime | None = moment_column(nullable=True)
    bundle: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")}
    )
    crashes: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    cancel_wanted: bool = False
    settled_at: datetime | None = moment_column(nullable=True)
    receipt: str = ""
    reason: str = ""


class Lease(SQLModel, table=True):
    """A role that one process at a time holds, such as leading the schedulers."""

    name: str = Field(primary_key=True)
    holder: str


class Budget(SQLModel, table=True):
    """How far ahead an account's sending is booked, over all workers. See bridge/budgets.py."""

    account: str = Field(primary_key=True)
    tat: datetime = moment_column()


class Digest(SQLModel, table=True):
    """Up to where a digest has been told: the start of its next window."""

    name: str = Field(primary_key=True)
    watermark: datetime = moment_column()


class DigestWindow(SQLModel, table=True):
    """A digest window that was closed; half-open, `start_at` <= sent_at < `end_at`."""

    __tablename__ = "digest_window"  # WINDOW is a reserved word
    __table_args__ = (UniqueConstraint("digest", "end_at"),)

    id: int | None = id_column()
    digest: str
    start_at: datetime = moment_column()
    end_at: datetime = moment_column()
    closed_at: datetime = moment_column()
    messages: int = 0
