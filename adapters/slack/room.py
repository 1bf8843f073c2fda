"""Cutting text to fit: never inside what a reader sees as one character."""

from collections.abc import Callable, Iterator

import regex  # type: ignore[import-untyped, unused-ignore]

ELLIPSIS = "…"

_UNSTORABLE = regex.compile("[\x00\ud800-\udfff]")
_GRAPHEME = regex.compile(r"\X")


def clean(text: str) -> str:
    """Text that fits into JSON: NUL and lone surrogates become U+FFFD, line ends become one."""
    return str(_UNSTORABLE.sub("\ufffd", text)).replace("\r\n", "\n").replace("\r", "\n")


def units(text: str) -> int:
    """Length in UTF-16 units, the strictest way to count; for clean text."""
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, most: int, cost: Callable[[str], int] = units) -> str:
    """The text, or its beginning and "…", so that it costs `most` at most (1 or more)."""
    if cost(text) <= most:
        return text
    return beginning(text, most - 1, cost) + ELLIPSIS


def beginning(text: str, most: int, cost: Callable[[str], int] = units) -> str:
    """As many whole characters as cost `most` at most."""
    spent = end = 0
    for grapheme in _GRAPHEME.finditer(text):
        spent += cost(grapheme[0])
        if spent > most:
            break
        end = grapheme.end()
    return text[:end]


def pieces(text: str, most: int) -> Iterator[str]:
    """The text in parts of `most` units at most, which together say the same."""
    while text:
        # Somebody may pile more accents onto one letter than fit: then inside of it.
        part = beginning(text, most) or text[: most // 2]
        yield part
        text = text[len(part) :]


class Room:
    """How much may still be written. What does not fit becomes one "…", and then it is full."""

    def __init__(self, most: int, cost: Callable[[str], int] = units) -> None:
        self._left = most - 1
        self._cost = cost
        self.full = False

    def take(self, text: str) -> str:
        """As much of the text as there is room for."""
        if self.full:
            return ""
        cost = self._cost(text)
        if self.fits(cost):
            return text
        return beginning(text, self._left, self._cost) + ELLIPSIS

    def fits(self, cost: int) -> bool:
        """Make room for something that cannot be cut; where it does not fit, write ELLIPSIS."""
        if self.full or cost > self._left:
            self.full = True
            return False
        self._left -= cost
        return True
