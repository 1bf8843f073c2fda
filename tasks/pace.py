"""How soon a lane may send again: an even pace after a short burst. Pure; clocks are passed in."""

from bridge.messages import Limits


class Pace:
    """The pace of every lane of this process, by GCRA: one moment per lane and no timers."""

    def __init__(self) -> None:
        self._full_at: dict[int, float] = {}

    def rest(self, lane: int, limits: Limits, clock: float) -> float:
        """Seconds that a lane must wait before its next message, having sent one at `clock`."""
        if limits.lane_seconds <= 0:
            return 0.0
        full_at = max(self._full_at.get(lane, 0.0), clock) + limits.lane_seconds
        self._full_at[lane] = full_at
        return max(
            full_at - clock - limits.lane_burst * limits.lane_seconds + limits.lane_seconds, 0.0
        )

    def forget(self, clock: float) -> None:
        """Drop lanes that have long rested."""
        self._full_at = {lane: at for lane, at in self._full_at.items() if at > clock}
