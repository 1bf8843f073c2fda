"""Discord: messages come in over the gateway and go out over REST."""

from typing import Any

from adapters import Adapter
from adapters.discord.settings import DiscordSettings
from bridge.ports import Directory, History, Listener, Sender, Standin

# The imports inside the factories keep the SDK (34 MiB) out of processes that never call them.


def _listener(account: str, settings: Any) -> Listener:
    from adapters.discord.listener import DiscordListener  # noqa: PLC0415

    return DiscordListener(account, settings)


def _sender(account: str, settings: Any) -> Sender:
    from adapters.discord.sender import DiscordSender  # noqa: PLC0415

    return DiscordSender(account, settings)


def _directory(account: str, settings: Any) -> Directory:
    from adapters.discord.directory import DiscordDirectory  # noqa: PLC0415

    return DiscordDirectory(account, settings)


def _history(account: str, settings: Any) -> History:
    from adapters.discord.history import DiscordHistory  # noqa: PLC0415

    return DiscordHistory(account, settings)


async def _standin(port: int = 0, *, limits: bool = True) -> Standin:
    from adapters.discord import standin  # noqa: PLC0415

    return await standin.start(port, limits=limits)


ADAPTER = Adapter(
    settings=DiscordSettings,
    listener=_listener,
    sender=_sender,
    directory=_directory,
    history=_history,
    standin=_standin,
)
