"""Where messages come from and go to: one folder per platform, and the folders are the registry."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bridge.errors import ConfigError
from bridge.ports import Directory, History, Listener, Sender, Standin


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a platform's folder offers as `ADAPTER`.

    The factories take the account's name and its validated settings; each imports the SDK in its
    own body, so that loading an adapter costs no memory. `standin(port)` returns a started one
    (port 0 picks a free one; `limits` switches its rate limits).
    """

    settings: type[BaseModel]
    listener: Callable[[str, Any], Listener]
    sender: Callable[[str, Any], Sender]
    directory: Callable[[str, Any], Directory]
    history: Callable[[str, Any], History]
    standin: Callable[..., Awaitable[Standin]]


def names() -> tuple[str, ...]:
    """Every platform there is a folder for, sorted."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if found.ispkg))


def load(platform: str) -> Adapter:
    """The adapter of a platform. Raises ConfigError for one that has no folder."""
    if platform not in names():
        raise ConfigError(f"platform {platform!r} is unknown; allowed: {', '.join(names())}")
    adapter: Adapter = importlib.import_module(f"adapters.{platform}").ADAPTER
    return adapter
