"""Ids in Slack's shapes, and the clock that numbers messages."""

import base64
import binascii
import hashlib
import time

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MICROS = 1_000_000


def native_id(prefix: str, name: str) -> str:
    """An id such as C0... for a name; the same in every run, so that a restart changes none."""
    number = int.from_bytes(hashlib.sha256(f"{prefix}:{name}".encode()).digest()[:8], "big")
    digits = ""
    while len(digits) < 9:  # noqa: PLR2004 - the usual length of what follows "C0"
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    return f"{prefix}0{digits}"


class Clock:
    """Gives every message its own moment: microseconds since 1970, strictly growing."""

    def __init__(self) -> None:
        self._last = 0

    def tick(self) -> int:
        """The next moment, the real one wherever it is free."""
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return self._last


def to_ts(micros: int) -> str:
    """A moment as Slack writes it: "1700000000.000100"."""
    return f"{micros // _MICROS:010d}.{micros % _MICROS:06d}"


def from_ts(text: str) -> int:
    """The moment of a ts in microseconds. Raises ValueError for anything else."""
    seconds, _, rest = text.partition(".")
    if not (seconds.isascii() and seconds.isdigit()) or not (rest or "0").isdigit():
        raise ValueError(text)
    return int(seconds) * _MICROS + int((rest + "000000")[:6])


def to_cursor(kind: str, value: object) -> str:
    """An opaque cursor, which in Slack is the base64 form of "kind:value"."""
    return base64.b64encode(f"{kind}:{value}".encode()).decode()


def from_cursor(kind: str, cursor: str) -> str:
    """The value in a cursor of this kind. Raises ValueError for a made-up one."""
    try:
        found, _, value = base64.b64decode(cursor, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(cursor) from error
    if found != kind or not value:
        raise ValueError(cursor)
    return value
