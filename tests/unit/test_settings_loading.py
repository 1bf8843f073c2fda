"""The file itself and the environment: what load() reads, and what it never shows."""

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.settings import load

ACCOUNTS = '[accounts.acme]\nplatform = "one"\n[accounts.community]\nplatform = "other"\n'
RULE = ACCOUNTS + '[[notifications]]\nname = "a"\nchannels = ["acme:#a"]\nto = ["acme:#b"]\n'


def problems(folder: Path, text: str | bytes, **environ: str) -> tuple[str, ...]:
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return caught.value.problems


def problem(folder: Path, text: str, **environ: str) -> str:
    found = problems(folder, text, **environ)
    assert len(found) == 1, found
    return found[0]


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    text = '[accounts.acme]\nplatform = "one"\ntokens = [\n  "$NO",\n  "a${NO_2}b",\n]\n'
    unset = "is not set; set it, or write $$ for a plain $"
    assert problems(tmp_path, text, OTHER="x") == (
        f"config.toml:4: accounts.acme.tokens[0]: the environment variable NO {unset}",
        f"config.toml:5: accounts.acme.tokens[1]: the environment variable NO_2 {unset}",
    )


@pytest.mark.parametrize(
    "line",
    [
        'after = "$SECRET"',
        'limit = "$SECRET"',
        'text = "{$SECRET}"',
        'unless = ["$SECRET"]',
        'to = ["$SECRET"]',
        'count = "$SECRET"',
        "when = { pattern = '($SECRET' }",
        'quiet_hours = { from = "$SECRET", to = "08:00", days = "$SECRET" }',
    ],
)
@pytest.mark.parametrize("secret", ["xoxb-1234-5678", 'with "quotes" and\nlines', "nobody:#secret"])
def test_no_message_shows_a_value_from_the_environment(
    tmp_path: Path, line: str, secret: str
) -> None:
    text = RULE.replace('to = ["acme:#b"]\n', "") + f'{line}\nname2 = "x"\n'
    told = "\n".join(problems(tmp_path, text, SECRET=secret))
    assert secret not in told
    assert "1234" not in told
    assert "quotes" not in told
    assert "#secret" not in told
    assert "$SECRET" in told


def test_a_name_used_twice_from_the_environment_stays_hidden(tmp_path: Path) -> None:
    text = RULE.replace('"a"', '"$SECRET"') + RULE.removeprefix(ACCOUNTS).replace(
        '"a"', '"$SECRET"'
    )
    assert 'name: "$SECRET" is used already' in problem(tmp_path, text, SECRET="hidden-name")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1\nb = x\n", "2: not TOML, column 5: Invalid value; texts need quotes"),
        ("a = 1\na = 2\n", "2: not TOML, column 6: Cannot overwrite a value; the key is there"),
        ('a = """x\n\n', "3: not TOML: Unterminated string"),
        ("a = 1\n[b\n", "2: not TOML, column 3: Expected ']' at the end of a table declaration"),
    ],
)
def test_broken_toml_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    assert problem(tmp_path, text).startswith(f"config.toml:{told}"), problem(tmp_path, text)


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    text = '\ufeff[log]\r\n# x\r\nlevel = "x"\r\n'
    assert problem(tmp_path, text).startswith("config.toml:3: log.level")


def test_other_encodings_are_told(tmp_path: Path) -> None:
    found = problems(tmp_path, b'a = "x"\nb = "\xe9"\n')
    assert found == ("config.toml:2: is not UTF-8; save the file as UTF-8",)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; copy the example with `cp .*--config"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match=r"cannot be read .*--config PATH"):
        load(tmp_path, {})
