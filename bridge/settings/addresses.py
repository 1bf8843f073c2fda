"""Addresses as config writes them: account:#channel, account:@person, account:ID, dm:author."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ValidationInfo

from bridge.settings.problems import quote

Kind: TypeAlias = Literal["channel", "person", "id", "author"]

AUTHOR = "dm:author"
"""Direct messages with whoever wrote the message that a rule is about."""

ACCOUNT_NAME = re.compile(r"[A-Za-z0-9_-]+")
RESERVED_ACCOUNT = "dm"

_FORMS: dict[Kind, str] = {
    "channel": '"account:#channel"',
    "person": '"account:@person"',
    "id": '"account:ID"',
    "author": '"dm:author"',
}
_ADDRESS = re.compile(
    r"(?P<account>[A-Za-z0-9_-]+):"
    r"(?:#(?P<channel>\S(?:.*\S)?)|@(?P<person>\S(?:.*\S)?)|(?P<id>[^\s:#@][^\s:]*))"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where something goes or comes from. `name` has no leading # or @; an id is native.

    Of kind "author" account and name are empty: they are those of the message's author.
    """

    account: str
    kind: Kind
    name: str


def parse_address(text: str) -> Address:
    """Read an address. Raises ValueError; whether the account exists is not looked at."""
    if text == AUTHOR:
        return Address("", "author", "")
    found = _ADDRESS.fullmatch(text)
    if found is None or found["account"] == RESERVED_ACCOUNT:
        raise ValueError(f"{quote(text)} is not an address; allowed: {', '.join(_FORMS.values())}")
    kinds: tuple[Kind, ...] = ("channel", "person", "id")
    kind = next(kind for kind in kinds if found[kind])
    return Address(found["account"], kind, found[kind])


def _checked(*kinds: Kind) -> Callable[[Any, ValidationInfo], str]:
    """A validator that lets addresses of these kinds pass, of accounts that the context knows."""
    forms = ", ".join(_FORMS[kind] for kind in kinds)

    def check(value: Any, info: ValidationInfo) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{quote(value)} is not an address; allowed: {forms}")  # noqa: TRY004
        address = parse_address(value)
        if address.kind not in kinds:
            raise ValueError(f"{quote(value)} cannot be used here; allowed: {forms}")
        known = (info.context or {}).get("accounts")
        if known is not None and address.account not in known and address.kind != "author":
            raise ValueError(_unknown_account(value, address.account, known))
        return value

    return check


def _unknown_account(text: str, account: str, known: frozenset[str]) -> str:
    if not known:
        return f"{quote(text)} needs its account; add a section [accounts.NAME] first"
    near = difflib.get_close_matches(account, known, n=1)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    names = ", ".join(sorted(known))
    return f"{quote(text)} names an account that is not in [accounts]; {guess}allowed: {names}"


ChannelAddress = Annotated[str, BeforeValidator(_checked("channel", "id"))]
PersonAddress = Annotated[str, BeforeValidator(_checked("person", "id"))]
TargetAddress = Annotated[str, BeforeValidator(_checked("channel", "person", "id"))]
OwedAddress = Annotated[str, BeforeValidator(_checked("channel", "person", "id", "author"))]
