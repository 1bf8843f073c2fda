"""Slack: messages come in over Socket Mode and go out over the Web API."""

from typing import Any

from adapters import Adapter
from adapters.slack.settings import SlackSettings
from bridge.ports import Directory, History, Listener, Sender, Standin

# The imports inside the factories keep the SDK (34 MiB) out of processes that never call them.


def _listener(account: str, settings: Any) -> Listener:
    from adapters.slack.listener import SlackListener  # noqa: PLC0415

    return SlackListener(account, settings)


def _sender(account: str, settings: Any) -> Sender:
    from adapters.slack.sender import SlackSender  # noqa: PLC0415

    return SlackSender(account, settings)


def _directory(account: str, settings: Any) -> Directory:
    from adapters.slack.directory import SlackDirectory  # noqa: PLC0415

    return SlackDirectory(account, settings)


def _history(account: str, settings: Any) -> History:
    from adapters.slack.history import SlackHistory  # noqa: PLC0415

    return SlackHistory(account, settings)


async def _standin(port: int = 0, *, limits: bool = True) -> Standin:
    from adapters.slack import standin  # noqa: PLC0415

    return await standin.start(port, limits=limits)


ADAPTER = Adapter(
    settings=SlackSettings,
    listener=_listener,
    sender=_sender,
    directory=_directory,
    history=_history,
    standin=_standin,
)
