"""What every process is built from: settings, store, accounts and rules, put together once."""

import os
import random
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from pydantic import BaseModel, ValidationError

from adapters import Adapter, load
from bridge import settings as config
from bridge.digest import DigestRule
from bridge.directory import AUTHOR, Names, read_names
from bridge.errors import ConfigError
from bridge.lanes import ensure_lanes
from bridge.messages import ChannelRef
from bridge.ports import Directory, History, Listener, Sender
from bridge.rules import NotificationRule, RuleBook, Snapshot, When
from bridge.settings import DigestSettings, NotificationSettings, Settings
from bridge.store import Store
from tasks.problems import Problems, of_options
from tasks.watched import WatchedHistory, WatchedListener, WatchedSender

CONFIG_VARIABLE = "CHATBRIDGE_CONFIG"
DEFAULT_CONFIG = "config.toml"
WRONG_USE = 2
"""Exit code of a process whose config (or the store or broker it names) cannot be used."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """An [accounts.x] section together with the adapter that understands it."""

    name: str
    platform: str
    adapter: Adapter
    options: BaseModel

    def listener(self) -> Listener:
        """A new way in."""
        return WatchedListener(self.adapter.listener(self.name, self.options), self.name)

    def sender(self) -> Sender:
        """A new way out."""
        return WatchedSender(self.adapter.sender(self.name, self.options), self.name)

    def history(self) -> History:
        """What the platform remembers."""
        return WatchedHistory(self.adapter.history(self.name, self.options), self.name)

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

    def admin_lane(self) -> int | None:
        """The lane in which admins are told of trouble; None where there is none."""
        address = self.settings.admin_channel
        if not address:
            return None
        try:
            with self.store.transaction() as session:
                target = read_names(session).resolve(address, "admin_channel")
                return ensure_lanes(session, [target])[target]
        except ConfigError as error:
            log.warning("admins cannot be told", reason=str(error))
            return None

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
    """The house of this process, from the config that its environment names.

    Ends the process, with the problems on stderr and exit code 2, where that cannot be used: our
    own commands have read it before, and Celery's would show a traceback.
    """
    try:
        return open_house()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(WRONG_USE) from None


def require_accounts(house: House) -> None:
    """Raise ConfigError where there is nobody to listen to."""
    if not house.accounts:
        place = house.settings.where("accounts")
        raise ConfigError(
            f"{place}: accounts: there is none; add a section [accounts.NAME] with a platform and "
            "its tokens (docs/configuration.md), or try `chatbridge demo` without any"
        )


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
        lines = of_options(settings, name, adapter.settings, error)
        raise ConfigError(*lines) from None
    return Account(name, section.platform, adapter, options)


class _Section:
    """A section of config whose addresses are being resolved; keeps what means nothing."""

    def __init__(self, settings: Settings, key: str, position: int, names: Names) -> None:
        self.problems = Problems()
        self._settings = settings
        self._path = (key, position)
        self._names = names

    def channels(self, key: str, addresses: Iterable[str]) -> tuple[ChannelRef, ...]:
        """What the addresses under a key mean."""
        where = self._where(key)
        found = [self.problems.catch(self._names.resolve, one, where) for one in addresses]
        return tuple(one for one in found if one is not None)

    def people(self, key: str, addresses: Iterable[str]) -> tuple[str, ...]:
        """The people that the addresses under a key mean."""
        where = self._where(*key.split("."))
        found = [self.problems.catch(self._names.person, one, where) for one in addresses]
        return tuple(one for one in found if one is not None)

    def _where(self, *keys: str) -> str:
        section, position = self._path
        place = self._settings.where(section, position, *keys)
        return f"{place}: {section}[{position}].{'.'.join(keys)}"


def _notification(
    settings: Settings, position: int, one: NotificationSettings, names: Names
) -> NotificationRule:
    section = _Section(settings, "notifications", position, names)
    when = When(
        question=one.when.question,
        keywords=one.when.keywords,
        pattern=one.when.pattern,
        mentions=section.people("when.mentions", one.when.mentions),
        bots=one.when.bots,
    )
    snapshot = Snapshot(name=one.name, when=when, unless=one.unless, text=one.text)
    rule = NotificationRule(
        snapshot=snapshot,
        snapshot_id=snapshot.id,
        channels=frozenset(section.channels("channels", one.channels)),
        after=one.after,
        zone=settings.zone,
        to=section.channels("to", [each for each in one.to if each != AUTHOR]),
        to_author=AUTHOR in one.to,
        allow_private=one.allow_private,
    )
    section.problems.raise_any()
    return rule


def _digest(settings: Settings, position: int, one: DigestSettings, names: Names) -> DigestRule:
    section = _Section(settings, "digests", position, names)
    rule = DigestRule(
        name=one.name,
        channels=section.channels("channels", one.channels),
        to=section.channels("to", one.to),
        schedule=one.timing,
        zone=settings.zone_of(one),
        sections=one.sections,
        catch_up=one.catch_up,
        say_empty=one.empty == "say so",
        allow_private=one.allow_private,
    )
    section.problems.raise_any()
    return rule


def zone_of(settings: Settings, digest: DigestSettings) -> ZoneInfo:
    """The zone of a digest's schedule: its own, or everybody's."""
    return settings.zone_of(digest)
