"""What the demo shows: a line for all that happens, in columns, in colour on a terminal."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from adapters.standin import JsonDict
from bridge.models import Delivery, Lane, Message, Status
from bridge.render import one_run
from tasks.demo.stage import REHEARSAL

_PIPED_WIDTH = 160
_COLOURS = ("cyan", "magenta", "yellow", "blue")
_STATES = {Status.CANCELLED: ("✘ cancelled", "yellow"), Status.DEAD: ("✘ given up", "bold red")}
_MOST_LINES = 14


class View:
    """Prints; knows the platforms only by name."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
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

    def owed(self, delivery: Delivery, lane: Lane, message: Message | None) -> None:
        """What was scheduled."""
        wait = max((delivery.due_at - delivery.owed_at).total_seconds(), 0)
        text = f"⏲ owed in {wait:.1f} s: {_about(message)}"
        self._line(lane.account, "", Text(text, "dim"))

    def settled(self, delivery: Delivery, lane: Lane, message: Message | None) -> None:
        """What was cancelled or given up; what was sent shows by itself."""
        if delivery.status in _STATES:
            word, style = _STATES[Status(delivery.status)]
            self._line(
                lane.account, "", Text(f"{word}, {delivery.reason}: {_about(message)}", style)
            )

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


def _about(message: Message | None) -> str:
    return one_run(message.text)[:60] if message else "the digest"


def legend(lines: Sequence[str]) -> str:
    """Lines as a list."""
    return "\n".join(f"  · {line}" for line in lines)
