"""The one type for moments, the status of a delivery, and the columns that tables share."""

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, Dialect, Index, Integer, false, text, true
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field

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


def id_column() -> Any:
    """A key that the store numbers by itself."""
    # SQLite numbers rows by itself only where the type is exactly INTEGER
    return Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger().with_variant(Integer, "sqlite"),
    )


def moment_column(*, nullable: bool = False) -> Any:
    """A moment, see Moment."""
    return Field(default=None, sa_type=Moment, nullable=nullable)


def flag_column(*, default: bool) -> Any:
    """A flag that came to a table with rows in it."""
    server = true() if default else false()
    return Field(default=default, sa_column_kwargs={"server_default": server})


def big_column(default: int | None = 0) -> Any:
    """A 64-bit integer."""
    return Field(default=default, sa_type=BigInteger)


def partial(name: str, *columns: str, where: str, where_postgres: str = "") -> Index:
    """An index over the rows that meet a condition alone."""
    return Index(
        name, *columns, sqlite_where=text(where), postgresql_where=text(where_postgres or where)
    )
