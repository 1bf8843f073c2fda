"""What the demo shows, and what its headless run makes of what it saw."""

import io

import pytest
from rich.console import Console

from bridge.models import Status
from tasks.demo.check import Counts, problems
from tasks.demo.ledger import Entry
from tasks.demo.view import View

RIGHT = {
    "messages_sent": 10,
    "cancelled_expected": 2,
    "digests_expected": 2,
    "lost": 0,
    "doubled": 0,
}


def counts(**changes: object) -> Counts:
    known: dict[str, object] = {
        "stored": 10,
        "cancelled": 2,
        "notifications_expected": 4,
        "notifications": {"here": 2, "there": 2},
        "digests_expected": 1,
        "digests": {"here": 1, "there": 1},
        "missing": (),
        "doubled": (),
        "unwanted": (),
    }
    return Counts(**{**known, **changes})  # type: ignore[arg-type]


def test_when_all_is_as_expected_there_is_nothing_to_tell() -> None:
    assert not list(problems(RIGHT, counts()))


@pytest.mark.parametrize(
    ("summary", "changes", "told"),
    [
        ({}, {"stored": 9}, "messages stored: 9 instead of 10"),
        ({}, {"notifications": {"here": 5}}, "notifications: 5 instead of 4"),
        ({}, {"digests": {"here": 2, "there": 0}}, "digests on there: 0 instead of 1"),
        ({}, {"cancelled": 1}, "cancelled: 1 instead of 2"),
        ({"lost": 1}, {}, "lost: 1 instead of 0"),
        ({"doubled": 2}, {}, "doubled: 2 instead of 0"),
        ({}, {"missing": ("here: Why?",)}, "missing on here: Why?"),
        ({}, {"doubled": ("here: Why?",)}, "once too often on here: Why?"),
        ({}, {"unwanted": ("here: Why?",)}, "must not be on here: Why?"),
    ],
)
def test_what_is_not_as_expected_is_told_with_its_text(
    summary: dict[str, int], changes: dict[str, object], told: str
) -> None:
    assert told in list(problems({**RIGHT, **summary}, counts(**changes)))


def shown(*, terminal: bool, width: int = 100) -> tuple[View, io.StringIO]:
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=terminal,
        width=width,
        highlight=False,
        color_system="standard" if terminal else "auto",
    )
    return View(console), out


def posted(text: str, *, by_app: bool = False, channel: str = "help") -> dict[str, object]:
    return {"what": "posted", "channel": channel, "author": "ada", "text": text, "by_app": by_app}


def entry(number: int, status: Status, to: str = "there", message: int | None = 1) -> Entry:
    return Entry(number, status, to, 6.0, "somebody replied", message, "here", "Why?")


def test_a_line_has_time_platform_channel_and_who_said_what() -> None:
    view, out = shown(terminal=False)
    view.happened("here", posted("Why?"))
    assert out.getvalue()[8:] == "  here    #help         ada: Why?\n"


def test_columns_stay_in_place_whatever_people_write() -> None:
    view, out = shown(terminal=True, width=60)
    view.happened("here", posted("[red]x[/red] :smile: \x1b[2J\u202e\n" + "long " * 100))
    assert out.getvalue().count("\n") == 1
    assert "[red]x[/red] :smile:" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert "…" in out.getvalue()


def test_colour_is_for_terminals_only() -> None:
    for terminal in (True, False):
        view, out = shown(terminal=terminal)
        view.happened("here", posted("told", by_app=True))
        assert ("\x1b[" in out.getvalue()) is terminal


def test_what_is_owed_for_one_message_is_one_line() -> None:
    view, out = shown(terminal=False)
    view.owed([entry(1, Status.OWED, "here"), entry(2, Status.OWED, "there")])
    assert out.getvalue().splitlines()[0].endswith("⏲ in 6 s to here and there: Why?")
    assert out.getvalue().count("\n") == 1


def test_a_cancellation_says_why_and_what_was_sent_is_not_told_twice() -> None:
    view, out = shown(terminal=False)
    view.settled([entry(1, Status.CANCELLED), entry(2, Status.CANCELLED), entry(3, Status.SENT)])
    (line,) = out.getvalue().splitlines()
    assert line.endswith("✘ cancelled, somebody replied: Why?")


def test_the_rehearsal_is_not_shown() -> None:
    view, out = shown(terminal=False)
    view.happened("here", posted("Can you hear me?", channel="rehearsal"))
    assert not out.getvalue()
