"""Transcripts: read as people typed them, and played faster than they were."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from tasks.demo.replay import Clock
from tasks.demo.transcript import Line, read, typed

START = datetime.fromisoformat("2018-01-01T09:00")


def written(folder: Path, *messages: str) -> Path:
    path = folder / "talk.xml"
    path.write_text(f"<talk><team>x</team>{''.join(messages)}</talk>")
    return path


def message(text: str, ts: str = "2018-01-01T09:00:00.5", user: str = "Ada", talk: str = "") -> str:
    mark = f' conversation_id="{talk}"' if talk else ""
    return f"<message{mark}><ts>{ts}</ts><user>{user}</user><text>{text}</text></message>"


def lines(*after: float) -> list[Line]:
    return [Line(START + timedelta(seconds=each), "ada", "x") for each in after]


def test_a_message_has_its_time_its_person_its_text_and_its_conversation(tmp_path: Path) -> None:
    (line,) = read(written(tmp_path, message("Hello &amp;amp; &lt;@Bob&gt;", talk="7")), 10)
    assert line == Line(START.replace(microsecond=500_000), "Ada", "Hello & @Bob", "7")


def test_no_more_are_read_than_are_wanted(tmp_path: Path) -> None:
    path = written(tmp_path, *(message(str(number)) for number in range(5)))
    assert [line.text for line in read(path, 3)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("user", "person"),
    [("", "somebody"), ("J. R. Doe", "J-R-Doe"), ("_x_", "x_"), ("Zoë", "Zoë"), ("!!", "somebody")],
)
def test_a_person_gets_a_name_that_can_be_mentioned(user: str, person: str, tmp_path: Path) -> None:
    (line,) = read(written(tmp_path, message("x", user=user)), 1)
    assert line.person == person


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("plain", "plain"),
        ("&lt;b&gt; &amp;amp;", "<b> &amp;"),
        ("<@Bob>, see <#C1|help>", "@Bob, see #help"),
        ("<!here> and <!channel|everybody>", "@here and @channel"),
        ("<https://e.org/a|here>, <mailto:a@e.org>", "https://e.org/a, mailto:a@e.org"),
        ("1 < 2 > 0", "1 < 2 > 0"),
    ],
)
def test_text_reads_as_it_was_typed(wire: str, text: str) -> None:
    assert typed(wire) == text


def test_an_empty_message_is_a_message(tmp_path: Path) -> None:
    (line,) = read(written(tmp_path, message("")), 1)
    assert line.text == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<talk><message>", "not a transcript in XML: no element found"),
        ("Hello", "not a transcript in XML: syntax error"),
        ("<t><message><ts>noon</ts></message></t>", "message 1: ts: Invalid isoformat string"),
    ],
)
def test_what_is_no_transcript_is_told_with_its_place(
    text: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "talk.xml").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        list(read(tmp_path / "talk.xml", 10))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^no/such\.xml: No such file or directory; give"):
        list(read(Path("no/such.xml"), 10))


def test_the_rules_time_runs_as_fast_as_the_talk() -> None:
    clock = Clock(60)
    assert (clock.wait, clock.window) == (5, 60)
    assert clock.pauses(lines(0, 60, 180)) == [0, 1, 2]


def test_a_silence_is_cut_to_what_no_rule_can_tell_apart() -> None:
    clock = Clock(60)
    assert clock.pauses(lines(0, 86400)) == [0, clock.longest_silence]
    assert clock.longest_silence > clock.wait


def test_a_transcript_out_of_order_is_played_without_waiting() -> None:
    assert Clock(1).pauses(lines(10, 0)) == [0, 0]
    assert Clock(1).pauses([]) == []


def test_no_speed_makes_a_rule_meaningless() -> None:
    assert (Clock(3600).wait, Clock(3600).window) == (1, 10)
