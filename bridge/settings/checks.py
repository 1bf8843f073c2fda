"""Checks across keys, on the tables as they were read, so that all mistakes show at once."""

from collections.abc import Iterator
from typing import Any

from bridge.settings.addresses import ACCOUNT_NAME, RESERVED_ACCOUNT
from bridge.settings.problems import Problem, quote
from bridge.settings.source import Source

_NAMED = ("notifications", "digests", "relays")


def across_keys(data: dict[str, Any], source: Source) -> list[Problem]:
    """Names used twice, names of accounts, and digests without exactly one schedule."""
    return [*_duplicates(data, source), *_accounts(data), *_schedules(data)]


def _tables(data: dict[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
    """The entries of a list of tables; whatever is no table is somebody else's problem."""
    entries = data.get(key)
    if not isinstance(entries, list):
        return []
    return [(number, entry) for number, entry in enumerate(entries) if isinstance(entry, dict)]


def _duplicates(data: dict[str, Any], source: Source) -> Iterator[Problem]:
    for key in _NAMED:
        first: dict[str, int] = {}
        for number, table in _tables(data, key):
            name = table.get("name")
            if isinstance(name, str) and first.setdefault(name, number) != number:
                other = source.where((key, first[name], "name"))
                text = f"{quote(name)} is used already at {other}; names of {key} must differ"
                yield Problem((key, number, "name"), text)


def _accounts(data: dict[str, Any]) -> Iterator[Problem]:
    accounts = data.get("accounts")
    for name in accounts if isinstance(accounts, dict) else ():
        if not ACCOUNT_NAME.fullmatch(name) or name == RESERVED_ACCOUNT:
            allowed = f'letters, digits, - and _, but not "{RESERVED_ACCOUNT}"'
            yield Problem(("accounts", name), f"is no name for an account; allowed: {allowed}")


def _schedules(data: dict[str, Any]) -> Iterator[Problem]:
    for number, table in _tables(data, "digests"):
        if "schedule" in table and "every" in table:
            text = "excludes schedule; allowed: one of the two"
            yield Problem(("digests", number, "every"), text)
        if "schedule" not in table and "every" not in table:
            text = 'when? add schedule = "0 9 * * mon-fri", or every = "4h"'
            yield Problem(("digests", number), text)
