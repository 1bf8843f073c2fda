"""How the store's tables came to be, step by step, and how to bring a store up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import Session

from bridge.errors import StoreError
from bridge.store import Store

_HERE = Path(__file__).parent


def newest() -> str:
    """The revision that this program was written for."""
    return str(_scripts().get_current_head())


def current(session: Session) -> str:
    """The revision of the store; "" for an empty one."""
    context = MigrationContext.configure(session.connection())
    return context.get_current_revision() or ""


def upgrade(store: Store) -> bool:
    """Bring the store up to date; says whether anything changed. Safe to run by many at once.

    Raises StoreError for a store that a newer version of this program has written.
    """
    with store.reading() as session:
        if current(session) == newest():
            return False
    with store.transaction() as session:
        if store.is_postgres:
            session.connection().exec_driver_sql("SELECT pg_advisory_xact_lock(728461)")
        before = current(session)
        if before == newest():
            return False
        _refuse_newer(store, before)
        config = Config()
        config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "head")
    return True


def require_current(store: Store) -> None:
    """Raise StoreError, saying what to do, unless the store is as this program needs it."""
    with store.reading() as session:
        found = current(session)
    _refuse_newer(store, found)
    if found != newest():
        state = f"at {found}" if found else "empty"
        raise StoreError(f"store {store}: is {state}, needs {newest()}; run `chatbridge migrate`")


def _refuse_newer(store: Store, found: str) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found and found not in known:
        raise StoreError(
            f"store {store}: was written by a newer version (schema {found}, this one knows "
            f"{newest()}); upgrade chatbridge, or point [store] url at another store"
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_HERE))
