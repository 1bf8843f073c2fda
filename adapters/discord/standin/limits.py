"""Rate limits as Discord counts them: windows per route and channel, and one for everything."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` calls in any window of `seconds`."""

    count: int
    seconds: float


@dataclass(slots=True)
class _Window:
    ends_at: float
    used: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a call may do: `wait` is 0, or the seconds until another try."""

    limit: int
    remaining: int
    reset_after: float
    wait: float = 0.0


class Limits:
    """The windows that are open. A window begins with its first call (as on Discord)."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def take(self, key: str, limit: Limit, at: float) -> Verdict:
        """Count one call at a moment in seconds; one that must wait is not counted."""
        window = self._windows.get(key)
        if window is None or at >= window.ends_at:
            window = self._windows[key] = _Window(at + limit.seconds)
        left = window.ends_at - at
        if window.used >= limit.count:
            return Verdict(limit.count, 0, left, wait=left)
        window.used += 1
        return Verdict(limit.count, limit.count - window.used, left)

    def spent(self, key: str, limit: Limit, at: float) -> bool:
        """Whether a call at that moment would have to wait. Counts nothing."""
        window = self._windows.get(key)
        return window is not None and at < window.ends_at and window.used >= limit.count
