"""A config that cannot be used: one clear line per mistake, exit code 2, no trace, no token."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.commands import Result, execute, run

Write = Callable[[str], Path]

COMMANDS = (
    ("check",),
    ("migrate",),
    ("up",),
    ("listen",),
    ("worker",),
    ("scheduler",),
    ("status",),
    ("schedules",),
    ("deliveries", "list"),
    ("deliveries", "show", "1"),
    ("deliveries", "retry", "1"),
    ("deliveries", "cancel", "1"),
)

RULE = """
[[notifications]]
name = "question"
channels = ["slack:#help"]
to = ["discord:#oncall"]
"""
MANY_MISTAKES = """
[scheduler]
sweep = "soon"

[[notifications]]
name = "question"
channels = ["slack:#help"]
to = ["discord:#oncall"]
afterr = "5s"

[[notifications]]
name = "question"
channels = "slack:#help"
to = ["elsewhere:#oncall"]
after = "5 parsecs"

[[digests]]
name = "daily"
channels = ["slack:#help"]
to = ["discord:#digest"]
schedule = "99 9 * * *"
"""


def refused(result: Result) -> list[str]:
    """The lines of a command that would not start."""
    assert result.code == 2, result
    assert "Traceback" not in result.err
    assert result.complaints
    return result.complaints


async def test_every_mistake_is_a_line_with_its_place_and_what_is_allowed(nowhere: Write) -> None:
    lines = refused(await run("check", folder=nowhere(MANY_MISTAKES)))
    told = [line.partition(": ")[2] for line in lines]
    assert [line.split(":")[0] for line in told] == [
        "scheduler.sweep",
        "notifications[0].afterr",
        "notifications[1].name",
        "notifications[1].channels",
        "notifications[1].to[0]",
        "notifications[1].after",
        "digests[0].schedule",
    ]
    assert all(line.startswith("config.toml:") for line in lines)
    assert 'did you mean "after"?' in lines[1]
    assert "used already at config.toml:" in lines[2]
    assert "must be a list" in lines[3]
    assert all("allowed: " in lines[n] for n in (0, 1, 4, 5, 6))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_no_command_starts_with_a_mistake_in_the_config(
    command: tuple[str, ...], nowhere: Write
) -> None:
    result = await run(*command, folder=nowhere(RULE + 'after = "5 parsecs"'))
    (line,) = refused(result)
    assert "notifications[0].after" in line
    assert not result.out


async def test_a_file_that_is_no_toml_is_told_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('timezone = "UTC"\nadmins = acme\n')
    (line,) = refused(await run("check", folder=tmp_path))
    assert line.startswith("config.toml:2: not TOML, column 10")


async def test_a_file_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.toml"
    (line,) = refused(await run("check", "--config", str(path), folder=tmp_path))
    assert line.startswith(f"{path}: there is no such file; copy the example")


async def test_a_token_that_is_not_set_is_named_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[accounts.acme]\nplatform = "slack"\nbot_token = "$ACME_BOT"\napp_token = "$ACME_APP"\n'
    )
    lines = refused(await run("up", folder=tmp_path, env={"ACME_APP": "xapp-1-A1-secret"}))
    assert len(lines) == 1
    assert "config.toml:3: accounts.acme.bot_token: the environment variable ACME_BOT" in lines[0]


async def test_a_token_of_the_wrong_kind_is_refused_but_never_shown(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[accounts.acme]\nplatform = "slack"\nbot_token = "$ACME"\napp_token = "$ACME"\nx = 1\n'
    )
    result = await run("check", folder=tmp_path, env={"ACME": "xapp-1-A1-verysecret"})
    lines = refused(result)
    assert [line.split(": ")[1] for line in lines] == ["accounts.acme.bot_token", "accounts.acme.x"]
    assert "verysecret" not in result.out + result.err


@pytest.mark.parametrize("command", ["up", "listen"])
@pytest.mark.parametrize("text", ["", "[accounts]\n"], ids=["nothing", "empty section"])
async def test_without_any_account_there_is_nothing_to_run(
    command: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(text)
    (line,) = refused(await run(command, folder=tmp_path))
    assert "config.toml:1: accounts: there is none; add a section [accounts.NAME]" in line


async def test_check_says_that_there_is_no_account(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    result = await run("check", folder=tmp_path)
    assert result.code == 2
    assert "WRONG config.toml:1: accounts: there is none" in result.out


async def test_listening_to_an_account_that_is_not_there_lists_those_that_are(
    nowhere: Write,
) -> None:
    (line,) = refused(await run("listen", "nobody", folder=nowhere("")))
    assert "nobody" in line
    assert "discord, slack" in line


async def test_celerys_own_command_refuses_a_broken_config_in_our_words(nowhere: Write) -> None:
    folder = nowhere(RULE + 'after = "5 parsecs"')
    command = (sys.executable, "-m", "celery", "-A", "tasks", "worker", "-l", "info")
    (line,) = refused(await execute(*command, folder=folder))
    assert "notifications[0].after" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("check", "--no-such-option"),
        ("standin", "--slack-port", "99999"),
        ("standin", "--slack-port", "many"),
        ("demo", "--speed", "0"),
        ("deliveries", "list", "--limit", "0"),
    ],
    ids=" ".join,
)
async def test_wrong_use_of_the_command_line_ends_with_2_and_a_word(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    refused(await run(*arguments, folder=tmp_path))


@pytest.mark.parametrize("text", ["<talk><message>", "<talk><message><ts>x</ts></message></talk>"])
async def test_a_transcript_that_is_none_is_refused_before_anything_starts(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "talk.xml").write_text(text)
    for more in ((), ("--check",)):
        (line,) = refused(await run("demo", "--replay", "talk.xml", *more, folder=tmp_path))
        assert line.startswith("talk.xml: ")


async def test_a_status_that_there_is_not_is_refused_with_those_that_are(nowhere: Write) -> None:
    folder = nowhere("")
    (line,) = refused(await run("deliveries", "list", "--status", "lost", folder=folder))
    assert "allowed: owed, sent, cancelled, dead" in line
