"""Log lines, text or JSON, of our own and of every library alike, with no secret in them."""

import json
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import structlog
from pydantic import SecretStr
from structlog.typing import Processor

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
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                last,
                _cleaned(cleaner(house)),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(options.level.upper())
    # what nobody caught would otherwise be printed as it is
    sys.excepthook = _crashed
    threading.excepthook = lambda args: _crashed(args.exc_type, args.exc_value)


def _cleaned(clean: Callable[[str], str]) -> Processor:
    """The last step: a finished line, so that nothing that was in any object escapes."""

    def process(_: Any, __: str, line: Any) -> str:
        return clean(str(line))

    return process


def _crashed(kind: type[BaseException], error: BaseException | None, _: Any = None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger(__name__).critical("crashed", exc_info=error)


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
        parts = urlsplit(url)
        password = parts.password or ""
        found += [password, unquote(password), *parse_qs(parts.query).get("password", [])]
    return tuple(dict.fromkeys(filter(None, found)))


def cleaner(house: House) -> Callable[[str], str]:
    """Takes every secret of the settings out of a text, in whatever way it is written there."""
    forms = {
        form
        for secret in secrets(house)
        for form in (secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1])
    }
    longest_first = sorted(forms, key=len, reverse=True)

    def clean(text: str) -> str:
        for secret in longest_first:
            text = text.replace(secret, _HIDDEN)
        return text

    return clean
