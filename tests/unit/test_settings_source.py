"""The line of every key is found, however the TOML is written."""

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.settings.source import KeyPath, Source, spelled

WRITTEN = '''\
title = "one" # a = 2
"quoted \\" key".sub = 'x'  # 2
dotted . "a.b" . c = 1979-05-27 07:32:00
text = """
not = a key
[neither] \\""" still in
"quotes" at the end"""""
raw = \'\'\'
# no comment
[no.table]\'\'\'\'
after = 1 # 11
list = [ # 12
  "a]", # ]
  { x = 1, y = [ 2,
    3 ] },
  [],

  "last", # 18
]
[table] # 20
key = { a.b = 1, c = "}" }
[table.sub]
[[many]] # 23
[many.inner] # 24
x = 1
[[many]]

  [[many.deep]] # 28
  name = ","
  [[many.deep]]
  name = "]" # 31
[later.implied]
[later] # 33
end = true'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 1),
        (('quoted " key', "sub"), 2),
        (("dotted", "a.b", "c"), 3),
        (("dotted",), 3),
        (("text",), 4),
        (("raw",), 8),
        (("after",), 11),
        (("list",), 12),
        (("list", 0), 13),
        (("list", 1, "x"), 14),
        (("list", 1, "y", 1), 15),
        (("list", 2), 16),
        (("list", 3), 18),
        (("table",), 20),
        (("table", "key", "a", "b"), 21),
        (("table", "key", "c"), 21),
        (("table", "sub"), 22),
        (("many",), 23),
        (("many", 0), 23),
        (("many", 0, "inner", "x"), 25),
        (("many", 1), 26),
        (("many", 1, "deep", 0, "name"), 29),
        (("many", 1, "deep", 1), 30),
        (("many", 1, "deep", 1, "name"), 31),
        (("later", "implied"), 32),
        (("later",), 33),
        (("later", "end"), 34),
    ],
)
def test_a_key_is_found_on_its_line(path: KeyPath, line: int) -> None:
    tomllib.loads(WRITTEN)
    assert Source.read("config.toml", WRITTEN).line(path) == line
    assert Source.read("config.toml", WRITTEN.replace("\n", "\r\n")).line(path) == line


def test_a_missing_key_is_on_the_line_of_its_table() -> None:
    source = Source.read("my.toml", WRITTEN)
    assert source.where(("many", 1, "deep", 0, "missing", "too")) == "my.toml:28"
    assert source.where(("nowhere",)) == "my.toml:1"
    assert Source().where(("nowhere",)) == "config.toml:1"


def test_a_key_path_is_spelled_as_people_read_it() -> None:
    assert spelled(("notifications", 2, "after")) == "notifications[2].after"
    assert spelled(("accounts", "my team", "token")) == 'accounts."my team".token'
    assert spelled(()) == ""


KEYS = st.text("ab-\"' .#[]=é", min_size=1, max_size=4)
TEXTS = st.text("ab\"'\\#[]{},=\n é", max_size=8)
VALUES = st.recursive(
    TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
DOCUMENTS = st.dictionaries(
    KEYS,
    VALUES
    | st.dictionaries(KEYS, VALUES, max_size=3).map(lambda table: ("table", table))
    | st.lists(st.dictionaries(KEYS, VALUES, max_size=2), min_size=1, max_size=3).map(
        lambda tables: ("tables", tables)
    ),
    max_size=4,
)


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class Writer:
    """Writes TOML and notes on which line each value went."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.text = ""
        self.expected: dict[KeyPath, int] = {}
        plain = {key: value for key, value in document.items() if not isinstance(value, tuple)}
        self.pairs((), plain)
        for key, value in document.items():
            if isinstance(value, tuple):
                self.tables(key, *value)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def tables(self, key: str, kind: str, content: Any) -> None:
        for number, table in enumerate(content if kind == "tables" else [content]):
            path: KeyPath = (key, number) if kind == "tables" else (key,)
            self.expected[path] = self.line
            name = quoted(key)
            self.text += f"[[{name}]] # ]\n" if kind == "tables" else f"[ {name} ]\n"
            self.pairs(path, table)

    def pairs(self, above: KeyPath, table: dict[str, Any]) -> None:
        for key, value in table.items():
            self.expected[*above, key] = self.line
            self.text += f"{quoted(key)} = "
            self.value((*above, key), value)
            self.text += " # =\n\n"

    def value(self, path: KeyPath, value: Any) -> None:
        if isinstance(value, str) and "\n" in value and '"' not in value and "\\" not in value:
            self.text += f'"""\n{value}"""'
        elif isinstance(value, str):
            self.text += quoted(value)
        elif isinstance(value, list):
            self.text += "[ # [\n"
            for number, each in enumerate(value):
                self.expected[*path, number] = self.line
                self.value((*path, number), each)
                self.text += ",\n"
            self.text += "]"
        else:
            self.text += "{"
            for number, (key, each) in enumerate(value.items()):
                self.text += ", " if number else " "
                self.expected[*path, key] = self.line
                self.text += f"{quoted(key)} = "
                self.value((*path, key), each)
            self.text += "}"


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in inner if isinstance(value, dict | list) else ():
        yield from paths(each, (*path, key))


@given(DOCUMENTS)
def test_every_key_of_any_document_is_found(document: dict[str, Any]) -> None:
    written = Writer(document)
    source = Source.read("config.toml", written.text)
    parsed = tomllib.loads(written.text)
    assert written.expected.items() <= dict(source.lines).items()
    assert set(source.lines) == set(paths(parsed))
