"""What every process is built from: settings, store, accounts and rules, put together once."""

import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from adapters import Adapter, load
from bridge import settings as config
from bridge.digest import DigestRule
from bridge.directory import AUTHOR, Names
from bridge.errors import ConfigError
from bridge.messages import ChannelRef
from bridge.ports import Directory, Listener, Sender
from bridge.rules import NotificationRule, RuleBook, Snapshot, When
from bridge.settings import DigestSettings, NotificationSettings, Settings
from bridge.store import Store

CONFIG_VARIABLE = "CHATBRIDGE_CONFIG"
DEFAULT_CONFIG = "config.toml"


@dataclass(frozen=True, slots=True)
class Account:
    """An [accounts.x] section together with the adapter that understands it."""

    name: str
    platform: str
    adapter: Adapter
    options: BaseModel

    def listener(self) -> Listener:
        """A new way in."""
        return self.adapter.listener(self.name, self.options)

    def sender(self) -> Sender:
        """A new way out."""
        return self.adapter.sender(self.name, self.options)

    def directory(self) -> Directory:
        """A new way to ask for names."""
        return self.adapter.directory(self.name, self.options)


class House:
    """One process's settings and what they lead to. Nothing connects before it is used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.accounts = _accounts(settings)

    @cached_property
    def store(self) -> Store:
        """The store that [store] names."""
        options = self.settings.store
        return Store(self.settings.store_url, synchronous=options.synchronous)

    @property
    def state(self) -> Path:
        """The folder for sockets, locks and the embedded broker's files."""
        return self.settings.folder / ".chatbridge"

    def rule_book(self, names: Names) -> RuleBook:
        """All [[notifications]]. Raises ConfigError with every address that means nothing."""
        problems = Problems()
        rules = [
            rule
            for position, one in enumerate(self.settings.notifications)
            if (rule := problems.catch(_notification, self.settings, position, one, names))
        ]
        problems.raise_any()
        return RuleBook(rules)

    def digest_rules(self, names: Names) -> list[DigestRule]:
        """All [[digests]]. Raises ConfigError with every address that means nothing."""
        problems = Problems()
        rules = [
            rule
            for position, one in enumerate(self.settings.digests)
            if (rule := problems.catch(_digest, self.settings, position, one, names))
        ]
        problems.raise_any()
        return rules


def config_path(given: str = "") -> Path:
    """Where config.toml is: as given, else the environment's CHATBRIDGE_CONFIG, else here."""
    return Path(given or os.environ.get(CONFIG_VARIABLE, "") or DEFAULT_CONFIG).resolve()


def open_house(given: str = "", environ: Mapping[str, str] | None = None) -> House:
    """Read the settings. Raises ConfigError with every problem there is."""
    return House(config.load(config_path(given), os.environ if environ is None else environ))


@lru_cache(maxsize=1)
def this_house() -> House:
    """The house of this process, from the config that its environment names."""
    return open_house()


class Problems:
    """Gathers ConfigErrors, so that an admin sees all of them at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def catch(self, make: Any, *arguments: Any) -> Any:
        """What `make` returns, or None and its problems are kept."""
        try:
            return make(*arguments)
        except ConfigError as error:
            self.lines.extend(error.problems)
            return None

    def raise_any(self) -> None:
        """Raise ConfigError if there were problems."""
        if self.lines:
            raise ConfigError(*self.lines)


def jitter() -> float:
    """A number from 0 to 1."""
    return random.random()  # noqa: S311  (spreads tries; no secret)


def _accounts(settings: Settings) -> dict[str, Account]:
    problems = Problems()
    found = {
        name: account
        for name in settings.accounts
        if (account := problems.catch(_account, settings, name))
    }
    problems.raise_any()
    return found


def _account(settings: Settings, name: str) -> Account:
    section = settings.accounts[name]
    try:
        adapter = load(section.platform)
    except ConfigError as error:
        place = settings.where("accounts", name, "platform")
        raise ConfigError(f"{place}: accounts.{name}.platform: {error}") from error
    try:
        options = adapter.settings.model_validate({"platform": section.platform, **section.options})
    except ValidationError as error:
        raise ConfigError(*_problems(settings, name, adapter, error)) from None
    return Account(name, section.platform, adapter, options)


def _problems(
    settings: Settings, name: str, adapter: Adapter, error: ValidationError
) -> Iterable[str]:
    allowed = ", ".join(sorted(adapter.settings.model_fields))
    for one in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in one["loc"])
        what = {
            "extra_forbidden": f"unknown key; allowed: {allowed}",
            "missing": "is missing; every account of this platform needs it",
        }.get(one["type"], one["msg"].removeprefix("Value error, "))
        yield f"{settings.where('accounts', name, *map(str, one['loc']))}: accounts.{name}.{key}: {what}"


def _notification(
    settings: Settings, position: int, one: NotificationSettings, names: Names
) -> NotificationRule:
    def where(key: str) -> str:
        return f"{settings.where('notifications', position, key)}: notifications[{position}].{key}"

    snapshot = Snapshot(
        name=one.name,
        when=When(
            question=one.when.question,
            keywords=tuple(one.when.keywords),
            pattern=one.when.pattern,
            mentions=tuple(_mention(names, each, where("when")) for each in one.when.mentions),
            bots=one.when.bots,
        ),
        unless=tuple(one.unless),
        text=one.text,
    )
    return NotificationRule(
        snapshot=snapshot,
        snapshot_id=snapshot.id,
        channels=frozenset(_resolved(names, one.channels, where("channels"))),
        after=one.after,
        zone=settings.zone,
        to=_resolved(names, [each for each in one.to if each != AUTHOR], where("to")),
        to_author=AUTHOR in one.to,
        allow_private=one.allow_private,
    )


def _digest(settings: Settings, position: int, one: DigestSettings, names: Names) -> DigestRule:
    def where(key: str) -> str:
        return f"{settings.where('digests', position, key)}: digests[{position}].{key}"

    return DigestRule(
        name=one.name,
        channels=_resolved(names, one.channels, where("channels")),
        to=_resolved(names, one.to, where("to")),
        schedule=one.timing,
        zone=zone_of(settings, one),
        sections=tuple(one.sections),
        catch_up=one.catch_up,
        say_empty=one.empty == "say so",
        allow_private=one.allow_private,
    )


def zone_of(settings: Settings, digest: DigestSettings) -> ZoneInfo:
    """The zone of a digest's schedule: its own, or everybody's."""
    return ZoneInfo(digest.timezone) if digest.timezone else settings.zone


def _resolved(names: Names, addresses: Iterable[str], where: str) -> tuple[ChannelRef, ...]:
    problems = Problems()
    found = [problems.catch(names.resolve, address, where) for address in addresses]
    problems.raise_any()
    return tuple(found)


def _mention(names: Names, address: str, where: str) -> str:
    return address if address in {"here", "channel"} else names.person(address, where)
