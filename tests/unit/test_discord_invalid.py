"""Refused requests are counted, so that Discord never has to ban us."""

import pytest

from adapters.discord.invalid import InvalidRequests


def counted(*moments: float, most: int = 3) -> InvalidRequests:
    made = InvalidRequests(most, window_seconds=600.0)
    for at in moments:
        made.note(403, "", at)
    return made


def test_fewer_than_the_most_may_go_on() -> None:
    assert counted(0, 1).wait(2) == 0


def test_at_the_most_nothing_leaves_until_the_oldest_is_out_of_the_window() -> None:
    invalid = counted(0, 100, 200)
    assert invalid.wait(200) == 400
    assert invalid.wait(599.5) == 0.5
    assert invalid.wait(600) == 0


def test_beyond_the_most_the_newest_decide() -> None:
    assert counted(0, 100, 200, 300).wait(300) == 400


def test_one_that_left_the_window_makes_room_for_one() -> None:
    invalid = counted(0, 100, 200)
    invalid.note(401, "user", 601)
    assert invalid.wait(601) == 99


@pytest.mark.parametrize(
    ("status", "scope", "waits"),
    [
        (401, "", True),
        (403, "", True),
        (429, "user", True),
        (429, "global", True),
        (429, "", True),
        (429, "shared", False),
        (200, "", False),
        (404, "", False),
        (500, "", False),
    ],
)
def test_only_what_discord_counts_is_counted(status: int, scope: str, *, waits: bool) -> None:
    invalid = InvalidRequests(most=1)
    invalid.note(status, scope, 10)
    assert bool(invalid.wait(10)) is waits


def test_we_stop_at_half_of_what_is_banned() -> None:
    assert InvalidRequests().most == 5_000
