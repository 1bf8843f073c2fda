"""Refused requests of the last minutes: Discord bans an address that makes too many of them."""

from collections import deque

MOST = 5_000
"""Half of what Discord bans for (10,000 in 10 minutes): others may share our address."""
WINDOW_SECONDS = 600.0
_INVALID = frozenset({401, 403, 429})


class InvalidRequests:
    """Counts answers of 401, 403 and 429 over a sliding window. Times are of one steady clock."""

    def __init__(self, most: int = MOST, window_seconds: float = WINDOW_SECONDS) -> None:
        self.most = most
        self._window = window_seconds
        self._moments: deque[float] = deque(maxlen=most)

    def note(self, status: int, scope: str, at: float) -> None:
        """Count an answer. A 429 whose scope is "shared" is nobody's fault and not counted."""
        if status in _INVALID and scope != "shared":
            self._moments.append(at)

    def wait(self, at: float) -> float:
        """Seconds until a request may leave again; 0 while there are fewer than `most`."""
        if len(self._moments) < self.most:
            return 0.0
        # The newest `most` of them are kept: when the oldest of these leaves, one is allowed.
        return max(self._moments[0] + self._window - at, 0.0)
