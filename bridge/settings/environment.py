"""Replaces $NAME in the texts of config.toml by the environment, and keeps it out of messages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.settings.problems import Problem, quote
from bridge.settings.source import KeyPath

_NAME = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")

SHORTEST_SECRET = 6


@dataclass(slots=True)
class Environment:
    """The variables that a config file reads, and where."""

    variables: Mapping[str, str]
    missing: list[Problem] = field(default_factory=list)
    used: dict[KeyPath, dict[str, str]] = field(default_factory=dict)

    def expand(self, value: Any, path: KeyPath = ()) -> Any:
        """The value with every $NAME and ${NAME} in it replaced, at any depth; $$ becomes $.

        A variable that is not set is noted in `missing`, and its text stays as it is.
        """
        if isinstance(value, str):
            return _NAME.sub(lambda found: self._replaced(found, path), value)
        if isinstance(value, dict):
            return {key: self.expand(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.expand(inner, (*path, n)) for n, inner in enumerate(value)]
        return value

    def _replaced(self, found: re.Match[str], path: KeyPath) -> str:
        name = found[2] or found[3]
        if found[1]:
            return "$"
        if name not in self.variables:
            text = f"the environment variable {name} is not set; set it, or write $$ for a plain $"
            self.missing.append(Problem(path, text))
            return found[0]
        self.used.setdefault(path, {})[name] = self.variables[name]
        return self.variables[name]

    def is_missing(self, path: KeyPath) -> bool:
        """Whether this very value could not be read, so that nothing else need be said of it."""
        return any(problem.path == path for problem in self.missing)

    def redacted(self, problem: Problem) -> Problem:
        """The same problem without any value from the environment: its $NAME stands there."""
        text = problem.text
        for path, variables in self.used.items():
            shared = min(len(path), len(problem.path))
            if path[:shared] != problem.path[:shared]:
                continue
            for name, value in variables.items():
                text = _hidden(text, value, f"${name}")
        return Problem(problem.path, text)


def _hidden(text: str, value: str, name: str) -> str:
    text = text.replace(quote(value), quote(name)).replace(f'"{value}"', quote(name))
    # a shorter one is no secret, and would be found in the middle of our own words
    if len(value) < SHORTEST_SECRET:
        return text
    return text.replace(quote(value)[1:-1], name).replace(value, name)
