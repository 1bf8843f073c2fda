"""Reads config.toml and says everything that is wrong with it at once."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.errors import ConfigError
from bridge.settings.checks import across_keys
from bridge.settings.environment import Environment
from bridge.settings.models import Settings
from bridge.settings.problems import problems_of, told
from bridge.settings.source import Source

_AT = re.compile(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)")
_HINTS = {
    "Invalid value": "; texts need quotes",
    "Cannot overwrite a value": "; the key is there already",
}


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings in a file, with $NAME read from `environ`.

    Raises ConfigError with one line per mistake, in the order of the file. No line shows a value
    that came from the environment.
    """
    text = _read(path)
    written = _parsed(path.name, text)
    source, environment = Source.read(path.name, text), Environment(environ)
    data = environment.expand(written)
    found = across_keys(data, source)
    settings: Settings | None = None
    try:
        settings = _validated(data, path, source)
    except ValidationError as error:
        found += problems_of(error, Settings)
    problems = environment.missing + [
        environment.redacted(each) for each in found if not environment.is_missing(each.path)
    ]
    if problems or settings is None:
        raise ConfigError(*told(problems, source))
    return settings


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file; copy the example with "
            f"`cp PROJECT/config.toml {path}` and edit it, or name yours with --config PATH"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); name another with --config PATH"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path.name}:{line}: is not UTF-8; save the file as UTF-8") from None


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT.fullmatch(str(error))
        reason = found[1] if found else str(error)
        line = int(found[2]) if found and found[2] else text.count("\n") + 1
        column = f", column {found[3]}" if found and found[3] else ""
        hint = _HINTS.get(reason, "")
        raise ConfigError(f"{name}:{line}: not TOML{column}: {reason}{hint}") from None


def _validated(data: dict[str, Any], path: Path, source: Source) -> Settings:
    accounts = data.get("accounts", {})
    known = frozenset(accounts) if isinstance(accounts, dict) else None
    context = {"accounts": known, "path": path, "source": source}
    return Settings.model_validate(data, context=context, by_alias=True, by_name=False)
