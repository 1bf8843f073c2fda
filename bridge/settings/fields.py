"""The kinds of values that keys of config.toml hold, each with what is allowed in its error."""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any, TypeVar

import regex
from pydantic import AfterValidator, BeforeValidator, StringConstraints

from bridge.settings.problems import quote
from bridge.times import Cron, Duration, Every, every, parse_cron, parse_duration, parse_zone

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)

TEXT_FIELDS = ("author", "channel", "excerpt", "link")

_DAY_SECONDS = 86400.0
_LIMIT = re.compile(r"([1-9][0-9]{0,5})/([smhd])")
_LIMIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_SECONDS}
_NAME_LENGTH = 100
_SHORT_NAME = re.compile(r"[\w+'&.-]+")
_UNLESS = ("reply", "reaction", "edited", "acknowledged", "seen")
_LISTEN = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Limit:
    """So many in so many seconds."""

    count: int
    seconds: float


def _reading(parse: Callable[[str], T], what: str, allowed: str) -> BeforeValidator:
    """A validator that parses a text; any other kind of value is refused in the same words."""

    def read(value: Any) -> T:
        if not isinstance(value, str):
            raise ValueError(f"{quote(value)} is not {what}; allowed: {allowed}")  # noqa: TRY004
        return parse(value)

    return BeforeValidator(read)


def _delay(text: str) -> Duration:
    return parse_duration(text, zero=True)


def _seconds(text: str) -> float:
    duration = parse_duration(text)
    if duration.months:
        raise ValueError(f"{quote(text)} has no fixed length; allowed: 30s, 5m, 2h, 1d, 1w")
    return duration.days * _DAY_SECONDS + duration.seconds


def _zone(text: str) -> str:
    return parse_zone(text).key


def _limit(text: str) -> Limit:
    found = _LIMIT.fullmatch(text.replace(" ", ""))
    if found is None:
        raise ValueError(f'{quote(text)} is not a limit; allowed: "20/h", "5/m", "1/s", "100/d"')
    return Limit(int(found[1]), _LIMIT_SECONDS[found[2]])


def _name(text: str) -> str:
    if not text.strip() or len(text) > _NAME_LENGTH or not text.isprintable():
        raise ValueError(f"{quote(text)} is no name; allowed: 1 to {_NAME_LENGTH} characters")
    return text


def _pattern(text: str) -> str:
    try:
        regex.compile(text)
    except regex.error as error:
        raise ValueError(f"{quote(text)} is not a regular expression: {error}") from None
    return text


def _unless(text: str) -> str:
    kind, _, name = text.partition(":")
    if text in _UNLESS:
        return text
    name = name.strip(":")
    if kind == "reaction" and _SHORT_NAME.fullmatch(name):
        return f"reaction:{name}"
    allowed = ", ".join(f'"{each}"' for each in _UNLESS)
    raise ValueError(
        f'{quote(text)} is not known; allowed: {allowed}, "reaction:NAME" '
        "with a short name such as white_check_mark"
    )


def _template(text: str) -> str:
    allowed = ", ".join(f"{{{each}}}" for each in TEXT_FIELDS)
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(
            f"{error}; write {{{{ and }}}} for plain braces; allowed fields: {allowed}"
        ) from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in TEXT_FIELDS or form or conversion):
            raise ValueError(f"{quote(text)} has a field that is unknown; allowed: {allowed}")
    return text


def _listen(text: str) -> str:
    found = _LISTEN.fullmatch(text)
    if text and (found is None or int(found[1]) > _LAST_PORT):
        raise ValueError(f'{quote(text)} is no host and port; allowed: "127.0.0.1:9464", or ""')
    return text


def _unique(values: tuple[H, ...]) -> tuple[H, ...]:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{quote(value)} is listed twice; once is enough")
    return values


_DURATION = "30s, 5m, 2h, 1d, 1w, 1mo, 1y, or a mix such as 1h30m, in quotes"

Text = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, AfterValidator(_name)]
Zone = Annotated[str, AfterValidator(_zone)]
Delay = Annotated[Duration, _reading(_delay, "a duration", _DURATION)]
Wait = Annotated[Duration, _reading(parse_duration, "a duration", _DURATION)]
Seconds = Annotated[float, _reading(_seconds, "a duration", "30s, 5m, 2h, 1d, 1w, in quotes")]
CronLine = Annotated[Cron, _reading(parse_cron, "a cron schedule", '"0 9 * * mon-fri", in quotes')]
Interval = Annotated[Every, _reading(every, "an interval", '"15m", "4h", "1d", "1w", in quotes')]
RateLimit = Annotated[Limit, _reading(_limit, "a limit", '"20/h", "5/m", "1/s", "100/d"')]
Pattern = Annotated[str, AfterValidator(_pattern)]
Unless = Annotated[str, AfterValidator(_unless)]
Template = Annotated[Text, AfterValidator(_template)]
Listen = Annotated[str, AfterValidator(_listen)]
UNIQUE = AfterValidator(_unique)
