"""The way to the SQL store: one engine, and `transaction()`; nothing else opens a session."""

import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlmodel import Session, SQLModel

from bridge.errors import ConfigError, StoreError
from bridge.writelock import WriteLock

T = TypeVar("T")

_BUSY_SECONDS = 10
_CHUNK = 500
_CONNECT_SECONDS = 5
_LOOK_SECONDS = 10.0
_TCP = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A server that has vanished without a word is noticed within about 10 s."""
_STALLED = (
    "SET SESSION idle_in_transaction_session_timeout = '10s'",
    "SET SESSION lock_timeout = '10s'",
)
"""A process that was stopped in the middle of a transaction holds others up no longer than that."""
_ONE_BY_ONE = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(name, 728462)) FROM "
    "(SELECT unnest(CAST(:names AS text[])) AS name ORDER BY name) AS sorted"
)


class Store:
    """One database, SQLite or PostgreSQL. Safe to share between threads."""

    def __init__(self, url: str, *, synchronous: str = "full") -> None:
        """Take the store at `url`; connects at first use. Raises ConfigError for a bad URL."""
        self.url = _parsed(url)
        self.engine = _engine(self.url, synchronous)
        self._reader = (
            self.engine.execution_options(begin="BEGIN")
            if self.is_sqlite
            else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._writers = WriteLock(self.url.database) if self.is_sqlite else None

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a file of this machine."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def is_postgres(self) -> bool:
        """Whether many machines may share the store."""
        return not self.is_sqlite

    def __str__(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end of the block and rolls back on any error.

        One writer at a time on SQLite. Raises StoreError when the store cannot be reached or
        refuses; a row that it cannot hold raises too, with the driver's error as its cause.
        """
        with (
            self._writers or _NO_LOCK,
            _clear_errors(self),
            Session(self.engine, expire_on_commit=False, autoflush=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one moment of the store and writes nothing."""
        with _clear_errors(self), Session(self._reader) as session:
            yield session

    def require_sound(self) -> None:
        """Raise StoreError for a SQLite file that is damaged, as far as 10 s of looking tell."""
        if not self.is_sqlite:
            return
        end = time.monotonic() + _LOOK_SECONDS
        with self.reading() as session:
            driver: Any = session.connection().connection.dbapi_connection
            driver.set_progress_handler(lambda: time.monotonic() > end, 100_000)
            try:
                [found] = driver.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.OperationalError as error:
                found = "ok" if str(error) == "interrupted" else str(error)
            except sqlite3.DatabaseError as error:
                found = str(error)
            finally:
                driver.set_progress_handler(None, 0)
        if found != "ok":
            what = " ".join(str(found).split())
            raise StoreError(f"store {self} is damaged ({what}); put back a copy of the file")

    def close(self) -> None:
        """Give back all connections. Safe to call twice."""
        self.engine.dispose()
        if self._writers:
            self._writers.close()


def insert_into(session: Session, table: type[SQLModel]) -> Any:
    """INSERT in the words of the session's store, to which ON CONFLICT can be added."""
    insert = sqlite.insert if is_sqlite(session) else postgresql.insert
    return insert(table.__table__)  # type: ignore[attr-defined]


def is_sqlite(session: Session) -> bool:
    """Whether this session talks to SQLite; for the few places where the stores' SQL differs."""
    return session.get_bind().dialect.name == "sqlite"


def one_by_one(session: Session, names: Collection[str]) -> None:
    """Wait for other transactions that gave one of these names; ours holds them to its end.

    For transactions that write the same rows in orders of their own and would otherwise block each
    other for good. SQLite has one writer at a time anyway.
    """
    if names and not is_sqlite(session):
        session.execute(_ONE_BY_ONE, {"names": sorted(names)})


def chunks(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """The ids in pieces small enough for one IN list."""
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


class _NoLock:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_NO_LOCK = _NoLock()


@contextmanager
def _clear_errors(store: Store) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        first_line = str(error.orig).strip().split("\n", 1)[0]
        raise StoreError(f"store {store}: {first_line}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"store {store}: {error}") from error


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise ConfigError(
                f"[store] url: {parsed.get_backend_name()!r} is not supported; allowed: "
                "sqlite:///file.db or postgresql+psycopg://user:password@host/database"
            )
        if parsed.drivername == "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
    except ArgumentError as error:
        raise ConfigError(
            "[store] url: not a database URL; allowed: sqlite:///file.db or "
            "postgresql+psycopg://user:password@host/database"
        ) from error
    return parsed


def _engine(url: URL, synchronous: str) -> Engine:
    try:
        if url.get_backend_name() != "sqlite":
            return _postgres(url)
        return _sqlite(url, synchronous)
    except NoSuchModuleError as error:
        usual = "sqlite:///... or postgresql+psycopg://..."
        raise ConfigError(f"[store] url: no driver {url.drivername!r}; use {usual}") from error


def _postgres(url: URL) -> Engine:
    options = {"connect_timeout": _CONNECT_SECONDS, **_TCP}
    engine = create_engine(url, pool_pre_ping=True, connect_args=options)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            for one in _STALLED:
                cursor.execute(one)
        connection.commit()

    return engine


def _sqlite(url: URL, synchronous: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            f"PRAGMA synchronous = {'NORMAL' if synchronous == 'normal' else 'FULL'}"
        )
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(
            connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
        )

    return engine
