"""Log lines, text or JSON, of our own and of every library alike, with no secret in them."""

import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor

from tasks.wiring import House

_HIDDEN = "[hidden]"
_OURS = frozenset({"bridge", "adapters", "tasks"})


def configure(house: House) -> None:
    """Set up logging for this process, as [log] says."""
    options = house.settings.log
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redactor(secrets(house)),
    ]
    last: Processor = (
        structlog.processors.JSONRenderer()
        if options.format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler()
    handler.addFilter(_matters)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(options.level.upper())


def _matters(record: logging.LogRecord) -> bool:
    """Whether a line is ours, or a library's warning; some set the levels of their own loggers."""
    return record.levelno >= logging.WARNING or record.name.split(".")[0] in _OURS


def secrets(house: House) -> tuple[str, ...]:
    """Every token in the settings, and the passwords of store and broker."""
    found = [
        value.get_secret_value()
        for account in house.accounts.values()
        for value in dict(account.options).values()
        if isinstance(value, SecretStr)
    ]
    broker = house.settings.broker
    for url in (house.settings.store.url, broker.url, broker.results):
        password = urlsplit(url).password or ""
        found += [password, unquote(password)]
    return tuple(dict.fromkeys(filter(None, found)))


def _redactor(hidden: Iterable[str]) -> Processor:
    words = sorted(hidden, key=len, reverse=True)

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            for word in words:
                value = value.replace(word, _HIDDEN)
            return value
        if isinstance(value, dict):
            return {key: clean(each) for key, each in value.items()}
        if type(value) in {list, tuple}:
            return type(value)(clean(each) for each in value)
        return value

    def redact(_: Any, __: str, event: EventDict) -> EventDict:
        return {key: clean(value) for key, value in event.items()}

    return redact
