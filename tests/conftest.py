"""Fixtures that every tier shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.migrations import upgrade
from bridge.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated SQLite store."""
    made = Store(f"sqlite:///{tmp_path / 'store.db'}", synchronous="normal")
    upgrade(made)
    yield made
    made.close()
