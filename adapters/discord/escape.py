"""Text that can be cut anywhere between its atoms, and in which no Discord markdown comes alive."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import regex

PLAIN, BOLD, ITALIC, CODE = 0, 1, 2, 4
ELLIPSIS = "…"
ZERO_WIDTH = "\u200b"

_UNHOLDABLE = regex.compile("[\x00\ud800-\udfff]")
_LINE_BREAKS = regex.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_GRAPHEME = regex.compile(r"\X")
_ALWAYS = frozenset("\\*_~|`[]<@")
# What means something at the start of a line only: quotes, headings, small print, lists. The end
# of a run counts as a space, because the next run may begin with one.
_LINE_START = regex.compile(
    r"^[^\S\n]*(?:(?P<mark>>|\#{1,3}(?=\s|$)|[-+](?=[\s\#]|$))|\d*(?P<dot>[.)])(?=\s|$))", regex.M
)
# An address that Discord would make clickable is broken at its colon.
_SCHEME = regex.compile(r":(?=/|$)")
_EVERYBODY = regex.compile(r"@(?=everyone|here|$)", regex.IGNORECASE)
_MARKS = ((BOLD, "**"), (ITALIC, "*"), (CODE, "`"))


@dataclass(frozen=True, slots=True)
class Atom:
    """A piece of finished markup that must not be cut, and the style around it."""

    raw: str
    style: int = PLAIN


def clean(text: str) -> str:
    """Text that Discord can hold, with one kind of line break. Length never grows."""
    return str(_LINE_BREAKS.sub("\n", _UNHOLDABLE.sub("\ufffd", text)))


def units(text: str) -> int:
    """Length in UTF-16 units: never less than what Discord counts, whichever it counts."""
    return len(text) + sum(char > "\uffff" for char in text)


def escaped(text: str, style: int = PLAIN, *, most: int) -> Iterator[Atom]:
    """A run of text as atoms, one for each character that people see, every one inert.

    `most` is how many code points can matter at all; what comes later is not looked at. Code
    keeps no other style, because nothing inside it can be escaped.
    """
    text = clean(text[: most + 1])
    if style & CODE:
        yield from (_code_atom(found[0]) for found in _GRAPHEME.finditer(text))
        return
    marked = _indices(text)
    pinging = {found.start() for found in _EVERYBODY.finditer(text)}
    for found in _GRAPHEME.finditer(text):
        raw = ""
        for index, char in enumerate(found[0], found.start()):
            raw += f"\\{char}" if char in _ALWAYS or index in marked else char
            # A backslash does not keep @everyone from counting as one.
            raw += ZERO_WIDTH if index in pinging else ""
        yield Atom(raw, PLAIN if raw == "\n" else style)


def assemble(atoms: Iterable[Atom]) -> str:
    """Atoms as markup: a pair of marks around each run of one style.

    Marks hug the words: Discord ignores them beside a space. Runs end at line breaks.
    """
    parts: list[str] = []
    closed = False
    for style, run in itertools.groupby(atoms, key=lambda atom: atom.style):
        text = "".join(atom.raw for atom in run)
        core = text.strip()
        if style == PLAIN or not core:
            parts.append(text)
            closed = closed and not text
            continue
        marks = "".join(mark for flag, mark in _MARKS if style & flag)
        head, tail = text[: text.index(core)], text[text.index(core) + len(core) :]
        # Two pairs of marks that touch would be read as other marks.
        parts.append(ZERO_WIDTH if closed and not head else "")
        parts.append(f"{head}{marks}{core}{marks[::-1]}{tail}")
        closed = not tail
    return "".join(parts)


def fit(atoms: Sequence[Atom], limit: int) -> str:
    """As much of the atoms as fits in `limit` UTF-16 units, with "…" where something is missing."""
    whole = assemble(atoms)
    if units(whole) <= limit:
        return whole
    low, high = 0, min(len(atoms), limit)
    while low < high:
        middle = (low + high + 1) // 2
        if units(_cut(atoms, middle)) <= limit:
            low = middle
        else:
            high = middle - 1
    return _cut(atoms, low) if limit > 0 else ""


def _cut(atoms: Sequence[Atom], count: int) -> str:
    return assemble((*atoms[:count], Atom(ELLIPSIS)))


def _indices(text: str) -> set[int]:
    """Where a character needs a backslash because of what is around it."""
    found = {one.start() for one in _SCHEME.finditer(text)}
    for one in _LINE_START.finditer(text):
        found.add(one.start("mark") if one["mark"] else one.start("dot"))
    return found


def _code_atom(grapheme: str) -> Atom:
    if grapheme == "\n":
        return Atom("\n")
    # No backslash works in code; this look-alike cannot end it.
    return Atom(grapheme.replace("`", "\u02cb"), CODE)
