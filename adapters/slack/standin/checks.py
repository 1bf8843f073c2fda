"""The small checks that Slack's rules for blocks are made of.

A check takes a value and its JSON pointer and yields Slack's complaints, such as
"must be less than 3001 characters [json-pointer:/blocks/0/text/text]".
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

Check: TypeAlias = Callable[[object, str], Iterator[str]]


def at(message: str, path: str) -> str:
    """A complaint about the value at a JSON pointer."""
    return f"{message} [json-pointer:{path}]"


def anything(_: object, __: str) -> Iterator[str]:
    """No complaint at all."""
    return iter(())


def string(most: int, least: int = 1) -> Check:
    """A string of so many characters."""

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield at("must provide a string", path)
        elif len(value) < least:
            yield at(f"must be more than {least - 1} characters", path)
        elif len(value) > most:
            yield at(f"must be less than {most + 1} characters", path)

    return check


def kinds(fields: Mapping[str, Mapping[str, Check]]) -> Check:
    """An object with a known `type`, whose required fields pass their checks."""

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield at("must provide an object", path)
        elif value.get("type") not in fields:
            yield at(f"unsupported type: {value.get('type')}", f"{path}/type")
        else:
            for name, inner in fields[value["type"]].items():
                yield from inner(value.get(name), f"{path}/{name}")

    return check


def text(most: int, *allowed: str) -> Check:
    """A text object (plain_text or mrkdwn) of at most so many characters."""
    return kinds({kind: {"text": string(most)} for kind in allowed})


def items(most: int, item: Check, least: int = 1) -> Check:
    """An array of so many items that pass a check."""

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield at("must provide an array", path)
        elif len(value) < least:
            yield at(f"no fewer than {least} items allowed", path)
        elif len(value) > most:
            yield at(f"no more than {most} items allowed", path)
        else:
            for number, one in enumerate(value):
                yield from item(one, f"{path}/{number}")

    return check
