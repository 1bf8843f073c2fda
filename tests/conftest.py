"""Fixtures that every tier shares."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bridge.migrations import upgrade
from bridge.store import Store

# HYPOTHESIS_PROFILE=deep looks much harder; what runs at every change must be quick
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("deep", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite file, to be copied: migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    made = Store(f"sqlite:///{path}", synchronous="normal")
    upgrade(made)
    made.close()
    return path


@pytest.fixture
def store(tmp_path: Path, _migrated: Path) -> Iterator[Store]:
    """An empty, migrated SQLite store."""
    shutil.copy(_migrated, tmp_path / "store.db")
    made = Store(f"sqlite:///{tmp_path / 'store.db'}", synchronous="normal")
    yield made
    made.close()
