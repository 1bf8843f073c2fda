"""Finds the line of a key in a TOML text, since tomllib keeps no positions."""

import json
import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""From the top: names of keys, and numbers of list entries from 0."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_SKIP = re.compile(r"(?:\s|#[^\n]*)*")
_SCALAR = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?!")"{0,2}'
    r"|'''.*?'''(?!')'{0,2}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the keys of a TOML file are. `name` is what messages call the file."""

    name: str = "config.toml"
    lines: Mapping[KeyPath, int] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def read(cls, name: str, text: str) -> "Source":
        """The positions in a text, which tomllib must have accepted."""
        return cls(name, MappingProxyType(_Scanner(text).scan()))

    def line(self, path: KeyPath) -> int:
        """The line of a key, or of the table that lacks it; 1 is the first."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def where(self, path: KeyPath) -> str:
        """As messages say it: config.toml:41."""
        return f"{self.name}:{self.line(path)}"


def spelled(path: KeyPath) -> str:
    """A key path as people read it: notifications[2].after."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            name = key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)
            text += f".{name}" if text else name
    return text


class _Scanner:
    """Walks a valid TOML text once. It only has to find its way, not to judge."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.entries: dict[KeyPath, int] = {}
        self.breaks = [found.start() for found in re.finditer("\n", self.text)]

    def scan(self) -> dict[KeyPath, int]:
        """The line of every table, key and list entry."""
        table: KeyPath = ()
        while self._more():
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.lines

    def _more(self) -> bool:
        self._take(_SKIP)
        return self.at < len(self.text)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def _line(self) -> int:
        return bisect_right(self.breaks, self.at - 1) + 1

    def _header(self) -> KeyPath:
        """Read [a.b] or [[a.b]]; where a is a list of tables, it means its newest entry."""
        line, many = self._line(), self.text.startswith("[[", self.at)
        self.at += 2 if many else 1
        *above, last = self._keys()
        self.at += 2 if many else 1
        path: KeyPath = ()
        for key in above:
            path = (*path, key)
            self.lines.setdefault(path, line)
            if path in self.entries:
                path = (*path, self.entries[path])
        path = (*path, last)
        if many:
            self.lines.setdefault(path, line)
            self.entries[path] = self.entries.get(path, -1) + 1
            path = (*path, self.entries[path])
        self.lines[path] = line
        return path

    def _keys(self) -> list[str]:
        """A dotted key."""
        keys = []
        while True:
            self._take(_SKIP)
            keys.append(_unquoted(self._take(_KEY)))
            if not self._take(_DOT):
                self._take(_SKIP)
                return keys

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        for key in self._keys():
            table = (*table, key)
            self.lines.setdefault(table, line)
        self.at += 1  # the equals sign
        self._value(table)

    def _value(self, path: KeyPath) -> None:
        self._take(_SKIP)
        opening = self.text[self.at]
        if opening == "[":
            self._list(path)
        elif opening == "{":
            self._inline(path)
        else:
            self._take(_SCALAR)

    def _list(self, path: KeyPath) -> None:
        self.at += 1
        number = 0
        while self._more() and self.text[self.at] != "]":
            self.lines[*path, number] = self._line()
            self._value((*path, number))
            number += 1
            self._comma()
        self.at += 1

    def _inline(self, path: KeyPath) -> None:
        self.at += 1
        while self._more() and self.text[self.at] != "}":
            self._pair(path)
            self._comma()
        self.at += 1

    def _comma(self) -> None:
        if self._more() and self.text[self.at] == ",":
            self.at += 1


def _unquoted(key: str) -> str:
    if not key.startswith(('"', "'")):
        return key
    value: str = tomllib.loads(f"key = {key}")["key"]
    return value
