"""What config.toml may say already but this version cannot carry out yet. Rows only ever go."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from bridge.settings.problems import Problem, quote
from bridge.settings.source import KeyPath

LATER: dict[tuple[str, ...], tuple[str, ...]] = {
    # key path (* is every entry): the entries of its list that are meant; none: any use of it
    ("store", "retention"): (),
    ("notifications", "*", "when", "authors"): (),
    ("notifications", "*", "when", "thread"): (),
    ("notifications", "*", "when", "has"): (),
    ("notifications", "*", "when", "first"): (),
    ("notifications", "*", "count"): (),
    ("notifications", "*", "unless"): ("edited", "acknowledged", "seen"),
    ("notifications", "*", "quiet_hours"): (),
    ("notifications", "*", "then"): (),
    ("notifications", "*", "debounce"): (),
    ("notifications", "*", "limit"): (),
    ("digests", "*", "sections"): ("files", "top"),
    ("relays", "*"): (),
}

_NOT_YET = "is understood, but this version cannot carry it out yet; take it out"


def not_yet(settings: BaseModel) -> list[Problem]:
    """One problem per use of a feature in the table; a key at its default is no use."""
    return [
        problem
        for pattern, entries in LATER.items()
        for path, value in _uses(settings, pattern, ())
        for problem in _problems(path, value, entries)
    ]


def _problems(path: KeyPath, value: Any, entries: tuple[str, ...]) -> list[Problem]:
    if not entries:
        return [Problem(path, _NOT_YET)]
    found = [(number, entry) for number, entry in enumerate(value) if entry in entries]
    return [Problem((*path, number), f"{quote(entry)} {_NOT_YET}") for number, entry in found]


def _uses(value: Any, pattern: tuple[str, ...], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Where a key differs from its default, and what it says."""
    if not pattern:
        yield path, value
        return
    key, *rest = pattern
    if key == "*":
        for number, entry in enumerate(value):
            yield from _uses(entry, tuple(rest), (*path, number))
        return
    inner = getattr(value, key)
    if inner != type(value).model_fields[key].get_default(call_default_factory=True):
        yield from _uses(inner, tuple(rest), (*path, key))
