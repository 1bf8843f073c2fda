"""Who may send what and when holds on PostgreSQL too: the unit tier's tests, run there."""

from collections.abc import Iterator

import pytest

from bridge.store import Store
from tests.unit.test_delivery import *  # noqa: F403  (the tests themselves)

del test_the_hot_statements_use_their_indexes  # noqa: F821  (reads SQLite's plans)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    made = Store(postgres_url)
    yield made
    made.close()
