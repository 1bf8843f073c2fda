"""config.toml: what admins write there, read once at start and checked to the last key."""

from bridge.settings.addresses import Address, parse_address
from bridge.settings.fields import TEXT_FIELDS, Limit
from bridge.settings.loading import load
from bridge.settings.models import (
    AccountSettings,
    BrokerSettings,
    DeliverySettings,
    LogSettings,
    MetricsSettings,
    SchedulerSettings,
    Settings,
    StoreSettings,
)
from bridge.settings.problems import unknown_key
from bridge.settings.rules import (
    Debounce,
    DigestSettings,
    NotificationSettings,
    RelaySettings,
    Step,
    When,
)

__all__ = [
    "TEXT_FIELDS",
    "AccountSettings",
    "Address",
    "BrokerSettings",
    "Debounce",
    "DeliverySettings",
    "DigestSettings",
    "Limit",
    "LogSettings",
    "MetricsSettings",
    "NotificationSettings",
    "RelaySettings",
    "SchedulerSettings",
    "Settings",
    "Step",
    "StoreSettings",
    "When",
    "load",
    "parse_address",
    "unknown_key",
]
