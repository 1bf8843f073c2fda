"""Fixtures of the acceptance tier: stand-ins on real sockets, and configs that lead to them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters import load, names
from adapters.standin import Remote
from bridge.ports import Standin
from tests.acceptance.commands import write_config

TOKENS: Mapping[str, Mapping[str, str]] = {
    "slack": {
        "platform": "slack",
        "bot_token": "xoxb-1-2-nobodys-bot",
        "app_token": "xapp-1-A1-nobodys-app",
        "api_url": "http://127.0.0.1:1/api/",
    },
    "discord": {
        "platform": "discord",
        "token": "MTA.nobodys.token",
        "api_url": "http://127.0.0.1:1/api/v10",
    },
}
"""Accounts that are well written and lead nowhere."""


@dataclass(frozen=True, slots=True)
class Far:
    """The far sides of all platforms, by name."""

    standins: Mapping[str, Standin]
    remotes: Mapping[str, Remote]

    @property
    def accounts(self) -> dict[str, dict[str, str]]:
        """An account for each, called like its platform."""
        return {name: standin.account() for name, standin in self.standins.items()}


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    """Stand-ins of all platforms, with rate limits as the real ones have."""
    async with AsyncExitStack() as stack:
        standins, remotes = {}, {}
        for name in names():
            standins[name] = await load(name).standin(0)
            stack.push_async_callback(standins[name].stop)
            remotes[name] = await stack.enter_async_context(Remote(standins[name].url))
        yield Far(standins, remotes)


@pytest.fixture
def nowhere(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a config whose accounts lead nowhere; returns its folder."""

    def write(text: str = "") -> Path:
        return write_config(tmp_path, text, TOKENS).parent

    return write
