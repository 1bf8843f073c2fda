"""A store becomes what the program needs, once, whoever begins; a newer one is left alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

import bridge.models  # noqa: F401  (fills the metadata)
from bridge.errors import StoreError
from bridge.migrations import current, newest, require_current, upgrade
from bridge.store import Store

ROOT = Path(__file__).parents[2]


def test_an_empty_store_is_brought_up_to_date_once(store_url: str) -> None:
    store = Store(store_url)
    with pytest.raises(StoreError, match="is empty, needs .*; run `chatbridge migrate`"):
        require_current(store)
    assert upgrade(store)
    assert not upgrade(store)
    require_current(store)
    with store.reading() as session:
        assert current(session) == newest()
    store.close()


def test_the_migrated_tables_are_those_of_the_models(store_on: Store) -> None:
    with store_on.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_the_migrated_indexes_cover_only_the_rows_that_the_models_say(store_on: Store) -> None:
    """Their conditions escape the comparison above, and the hot statements need them."""
    with store_on.reading() as session:
        inspector = inspect(session.connection())
        key = f"{store_on.engine.dialect.name}_where"
        partial = {
            index["name"]: str(index["dialect_options"][key])
            for table in inspector.get_table_names()
            for index in inspector.get_indexes(table)
            if key in index.get("dialect_options", {})
        }
    columns = {
        name: re.search(r"\b(?!NOT\b)\w+", condition)[0] for name, condition in partial.items()
    }
    assert columns == {
        "delivery_bundle": "bundle",
        "message_unjudged": "judged",
        "delivery_lane": "status",
        "delivery_unsure": "status",
        "delivery_due": "status",
        "delivery_message": "status",
        "message_thread": "thread",
        "message_reply": "reply_to",
    }


def test_a_newer_store_is_refused_in_one_clear_line(store_on: Store) -> None:
    with store_on.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999_from_tomorrow'"))
    for use in (upgrade, require_current):
        with pytest.raises(StoreError, match="newer version .*9999_from_tomorrow") as raised:
            use(store_on)
        assert "\n" not in str(raised.value)


def test_the_command_refuses_a_newer_store_without_a_traceback(
    store_on: Store, tmp_path: Path
) -> None:
    with store_on.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999_from_tomorrow'"))
    ended = subprocess.run(
        _migrate(store_on.url.render_as_string(hide_password=False), tmp_path),
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "newer version" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_many_processes_may_migrate_at_once(store_url: str, tmp_path: Path) -> None:
    command = _migrate(store_url, tmp_path)
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, said
    assert sum("now at" in one for one in said) == 1
    assert sum("already at" in one for one in said) == 2


def test_a_failed_migration_leaves_nothing_behind(store_url: str, monkeypatch) -> None:
    store = Store(store_url)

    def fail(*_: object) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(MigrationContext, "_ensure_version_table", fail)
        with pytest.raises(RuntimeError):
            upgrade(store)
    with store.reading() as session:
        assert inspect(session.connection()).get_table_names() == []
    assert upgrade(store)
    store.close()


def _migrate(url: str, folder: Path) -> list[str]:
    config = folder / "config.toml"
    config.write_text(f"[store]\nurl = {url!r}\n")
    return [sys.executable, "-m", "tasks.cli", "migrate", "--config", str(config)]
