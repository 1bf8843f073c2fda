"""config.toml as frozen values: every key with its default, parsed and checked."""

from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from bridge.settings.addresses import PersonAddress, TargetAddress
from bridge.settings.fields import Listen, Seconds, Text, Wait, Zone
from bridge.settings.later import not_yet
from bridge.settings.problems import quote, told
from bridge.settings.rules import DigestSettings, NotificationSettings, RelaySettings, Table
from bridge.settings.source import Source
from bridge.times import Clock, Duration, WorkingTime, parse_zone

SQLITE = "sqlite:///"
POSTGRESQL = "postgresql+psycopg://"
BROKERS = ("redis://", "rediss://", "redis+socket://", "amqp://", "amqps://")
EMBEDDED = "embedded"
SLOWEST_SWEEP = 60.0

_IN_FILE = "db+sqlite:///"


def _store_url(url: str) -> str:
    file = url.removeprefix(SQLITE).partition("?")[0]
    if url.startswith(POSTGRESQL) or (url.startswith(SQLITE) and file not in {"", ":memory:"}):
        return url
    raise ValueError(
        f'{quote(url)} is no store; allowed: "{SQLITE}FILE", "{POSTGRESQL}USER:PASSWORD@HOST/NAME"'
    )


def _broker_url(url: str) -> str:
    if url == EMBEDDED or (url.startswith(BROKERS) and not url.endswith("://")):
        return url
    allowed = ", ".join(f'"{scheme}..."' for scheme in BROKERS)
    raise ValueError(f'{quote(url)} is no broker; allowed: "{EMBEDDED}", {allowed}')


def _results_url(url: str) -> str:
    if url and not url.partition("://")[1]:
        raise ValueError(f'{quote(url)} is no URL; allowed: "", "{_IN_FILE}results.sqlite", ...')
    return url


def _sweep(seconds: float) -> float:
    if seconds > SLOWEST_SWEEP:
        raise ValueError(f"{seconds:g} seconds are too long; allowed: 60s at the most")
    return seconds


class StoreSettings(Table):
    """[store]: where everything is kept, and how long."""

    url: Annotated[str, AfterValidator(_store_url)] = Field(
        default=f"{SQLITE}chatbridge.db", repr=False
    )
    retention: Wait = Duration(days=365)
    synchronous: Literal["full", "normal"] = "full"


class BrokerSettings(Table):
    """[broker]: what carries bells to the workers."""

    url: Annotated[str, AfterValidator(_broker_url)] = Field(default=EMBEDDED, repr=False)
    results: Annotated[str, AfterValidator(_results_url)] = Field(default="", repr=False)


class SchedulerSettings(Table):
    """[scheduler]: how often time is looked at; in seconds."""

    sweep: Annotated[Seconds, AfterValidator(_sweep)] = 2.0


class DeliverySettings(Table):
    """[delivery]: how long to try, in seconds, and what to do where nobody can tell."""

    give_up: Seconds = 86400.0
    late_limit: Seconds = 86400.0
    unknown: Literal["resend", "hold"] = "resend"


class LogSettings(Table):
    """[log]."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class MetricsSettings(Table):
    """[metrics]: where /metrics answers; nowhere while `listen` is empty."""

    listen: Listen = ""


class AccountSettings(Table):
    """[accounts.NAME]: the platform, and all its other keys just as they are for the adapter."""

    platform: Text = Field(examples=['platform = "NAME"'])
    options: dict[str, Any] = Field(default_factory=dict, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _split(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        options = {key: value for key, value in table.items() if key != "platform"}
        return {key: table[key] for key in table if key == "platform"} | {"options": options}


class Settings(Table):
    """A whole config.toml. Built by load(); `where` still knows its lines."""

    timezone: Zone = "UTC"
    admins: tuple[PersonAddress, ...] = ()
    admin_channel: TargetAddress = ""
    default_time: Clock = time(9)
    evening: Clock = time(20)
    working_time: WorkingTime = WorkingTime(start=time(9), end=time(18))
    store: StoreSettings = StoreSettings()
    broker: BrokerSettings = BrokerSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    delivery: DeliverySettings = DeliverySettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    accounts: dict[str, AccountSettings] = Field(default_factory=dict)
    notifications: tuple[NotificationSettings, ...] = ()
    digests: tuple[DigestSettings, ...] = ()
    relays: tuple[RelaySettings, ...] = ()

    _path: Path = PrivateAttr(default=Path("config.toml"))
    _source: Source = PrivateAttr(default_factory=Source)

    def model_post_init(self, context: Any, /) -> None:
        """Keep the path and the lines that load() hands over."""
        self._path = (context or {}).get("path", self._path)
        self._source = (context or {}).get("source", self._source)

    @property
    def path(self) -> Path:
        """The file it was read from."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder of the file, absolute; relative paths start here."""
        return self._path.absolute().parent

    @property
    def zone(self) -> ZoneInfo:
        """The zone of schedules, and of people without their own."""
        return parse_zone(self.timezone)

    def zone_of(self, digest: DigestSettings) -> ZoneInfo:
        """The zone in which a digest's schedule counts."""
        return parse_zone(digest.timezone) if digest.timezone else self.zone

    @property
    def store_url(self) -> str:
        """The store's URL, with a relative SQLite file made absolute."""
        return self._anchored(self.store.url, SQLITE)

    @property
    def results_url(self) -> str:
        """The URL of Celery's results, with a relative SQLite file made absolute; "" for none."""
        return self._anchored(self.broker.results, _IN_FILE)

    def _anchored(self, url: str, scheme: str) -> str:
        if not url.startswith(scheme):
            return url
        return f"{scheme}{self.folder / url.removeprefix(scheme)}"

    def where(self, *path: str | int) -> str:
        """File and line of a key, or of the table that lacks it: "config.toml:31"."""
        return self._source.where(path)

    def not_yet(self) -> list[str]:
        """One finished line per used feature that this version cannot carry out yet."""
        return told(not_yet(self), self._source)
