"""Digest windows are closed once and whole on PostgreSQL too: the unit tier's tests, run there."""

from collections.abc import Iterator

import pytest

from bridge.store import Store
from tests.integration.databases import Postgres
from tests.unit.test_digest_window import *  # noqa: F403  (the tests themselves)

del test_a_window_is_read_by_index_in_a_few_statements  # noqa: F821  (reads SQLite's plans)


@pytest.fixture(scope="module")
def shared_store(postgres: Postgres) -> Iterator[Store]:
    url = postgres.fresh()
    made = Store(url)
    yield made
    made.close()
    postgres.drop(url)
