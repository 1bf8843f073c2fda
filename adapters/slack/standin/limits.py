"""Slack's rate limits: a bucket of calls per method, and one per channel for posting."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tier:
    """How many calls may come at once, and how many more each second."""

    burst: float
    per_second: float


def _per_minute(calls: int) -> Tier:
    return Tier(burst=max(2 * calls, 60), per_second=calls / 60)


TIER_1, TIER_2, TIER_3, TIER_4 = (_per_minute(calls) for calls in (1, 20, 50, 100))
"""Slack promises "1+, 20+, 50+, 100+ a minute" and allows bursts that it does not state."""
SPECIAL = _per_minute(600)
"""Methods with a limit of "hundreds a minute"."""
POSTING = Tier(burst=5, per_second=1)
"""About one message a second and channel, short bursts above that."""


class Buckets:
    """What is left of every limit. Not thread-safe; one loop owns it."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, tier: Tier, at: float) -> int:
        """Use one call of a bucket: 0, or the whole seconds to wait. `at` is monotonic seconds."""
        left, since = self._left.get(key, (tier.burst, at))
        left = min(tier.burst, left + (at - since) * tier.per_second)
        if left < 1:
            self._left[key] = (left, at)
            return max(1, math.ceil((1 - left) / tier.per_second))
        self._left[key] = (left - 1, at)
        return 0
