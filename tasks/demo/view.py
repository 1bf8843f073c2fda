"""What the demo shows: a line for all that happens, in columns, in colour on a terminal."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from adapters.standin import JsonDict
from bridge.models import Status
from bridge.render import one_run
from tasks.demo.ledger import Entry
from tasks.demo.stage import REHEARSAL

_PIPED_WIDTH = 160
_COLOURS = ("cyan", "magenta", "yellow", "blue")
_STATES = {Status.CANCELLED: ("✘ cancelled", "yellow"), Status.DEAD: ("✘ given up", "bold red")}
_MOST_LINES = 14


class View:
    """Prints; knows the platforms only by name."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not (console or self._console.is_terminal):
            self._console = Console(highlight=False, width=_PIPED_WIDTH)
        self._colours: dict[str, str] = {}

    def say(self, text: str, style: str = "") -> None:
        """A line of our own."""
        self._console.print(Text(text, style), soft_wrap=True)

    def happened(self, platform: str, entry: JsonDict) -> None:
        """What somebody did on a platform, as its journal tells it."""
        if entry.get("channel") == REHEARSAL:
            return
        place, said = f"#{entry.get('channel')}", str(entry.get("text", ""))
        if entry["what"] == "posted" and entry.get("by_app"):
            self._sent(platform, place, said)
        elif not entry.get("by_app"):
            self._line(platform, place, Text.assemble((_deed(entry), "bold"), one_run(said)))

    def owed(self, entries: Sequence[Entry]) -> None:
        """What was scheduled: a line for each message, however many places it is owed to."""
        for group in _by_message([one for one in entries if one.message]):
            first, places = group[0], " and ".join(sorted({one.to for one in group}))
            text = f"⏲ in {first.wait:.0f} s to {places}: {_about(first)}"
            self._line(first.account, "", Text(text, "dim"))

    def settled(self, entries: Sequence[Entry]) -> None:
        """What was cancelled or given up; what was sent shows by itself."""
        for status, (word, style) in _STATES.items():
            for first, *_ in _by_message([one for one in entries if one.status == status]):
                text = f"{word}, {first.reason}: {_about(first)}"
                self._line(first.account, "", Text(text, style))

    def _sent(self, platform: str, place: str, said: str) -> None:
        first, *more = [one_run(line) for line in said.splitlines() if line.strip()] or [""]
        self._line(platform, place, Text(f"▶ SENT {first}", "bold green"))
        for line in more[:_MOST_LINES]:
            self._line("", "", Text(f"       {line}", "green"), at=False)

    def _line(self, platform: str, place: str, text: Text, *, at: bool = True) -> None:
        when = time.strftime("%H:%M:%S") if at else " " * 8
        colour = self._colours.setdefault(platform, _COLOURS[len(self._colours) % len(_COLOURS)])
        line = Text.assemble((f"{when}  ", "dim"), (f"{platform:<8}", colour), f"{place:<14}", text)
        self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)


def _deed(entry: JsonDict) -> str:
    """How a line about a person's act begins."""
    who = one_run(str(entry.get("author")))
    match entry["what"]:
        case "posted":
            return f"{who}{' (in a thread)' if entry.get('thread') else ''}: "
        case "reacted" | "unreacted":
            return f"{who} {entry['what']} with :{entry.get('emoji')}: to: "
        case what:
            return f"{who} {what}: "


def _by_message(entries: Sequence[Entry]) -> list[list[Entry]]:
    groups: dict[int | None, list[Entry]] = {}
    for one in entries:
        groups.setdefault(one.message, []).append(one)
    return list(groups.values())


def _about(entry: Entry) -> str:
    return one_run(entry.text)[:60]


def legend(lines: Sequence[str]) -> str:
    """Lines as a list."""
    return "\n".join(f"  · {line}" for line in lines)
