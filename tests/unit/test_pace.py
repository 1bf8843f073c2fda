"""How soon a lane may send again: an even pace after a short burst, whatever its past."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.messages import Limits
from tasks.pace import Pace

SLACK = Limits(lane_seconds=1.0, lane_burst=3)
gaps = st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=60)


def moments(limits: Limits, idle: list[float]) -> list[float]:
    """When a lane sends that always has more to say, and now and then is idle."""
    pace, clock, found = Pace(), 0.0, []
    for one in idle:
        clock += one
        found.append(clock)
        clock += pace.rest(1, limits, clock)
    return found


def test_a_lane_without_a_pace_never_rests() -> None:
    pace = Pace()
    assert [pace.rest(1, Limits(), 0.0) for _ in range(100)] == [0.0] * 100


def test_a_short_burst_leaves_at_once_and_then_one_a_second() -> None:
    assert moments(SLACK, [0.0] * 7) == pytest.approx([0, 0, 0, 1, 2, 3, 4])


def test_an_idle_lane_earns_its_burst_back() -> None:
    assert moments(SLACK, [0.0] * 5 + [100.0] + [0.0] * 4)[5:] == pytest.approx(
        [103, 103, 103, 104, 105]
    )


def test_lanes_do_not_slow_each_other() -> None:
    pace = Pace()
    for lane in range(50):
        assert pace.rest(lane, SLACK, 0.0) == 0.0


@given(gaps)
def test_no_stretch_of_time_ever_sees_more_than_the_burst_and_its_seconds(
    idle: list[float],
) -> None:
    sent = moments(SLACK, idle)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            allowed = SLACK.lane_burst + (sent[last] - sent[first]) / SLACK.lane_seconds
            assert last - first + 1 <= allowed + 1e-6


@given(gaps)
def test_a_lane_never_waits_longer_than_its_pace(idle: list[float]) -> None:
    pace, clock = Pace(), 0.0
    for one in idle:
        clock += one
        wait = pace.rest(1, SLACK, clock)
        assert 0 <= wait <= SLACK.lane_seconds + 1e-9
        clock += wait


@given(gaps, st.data())
def test_forgetting_what_has_long_rested_changes_nothing(
    idle: list[float], data: st.DataObject
) -> None:
    kept, tidied, clock = Pace(), Pace(), 0.0
    for one in idle:
        clock += one
        if data.draw(st.booleans()):
            tidied.forget(clock)
        wait = kept.rest(1, SLACK, clock)
        assert tidied.rest(1, SLACK, clock) == pytest.approx(wait)
        clock += wait


def test_what_has_long_rested_is_forgotten() -> None:
    pace = Pace()
    for lane in range(1000):
        pace.rest(lane, SLACK, 0.0)
    pace.forget(0.5)
    assert len(pace._full_at) == 1000
    pace.forget(1.0)
    assert pace._full_at == {}
