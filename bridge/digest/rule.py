"""A digest as its admin wants it."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from bridge.messages import ChannelRef
from bridge.times import CatchUp, Schedule


@dataclass(frozen=True, slots=True)
class DigestRule:
    """A [[digests]] section with every address resolved.

    `sections` are names of SECTIONS in the order they are shown. `zone` is that of the schedule,
    and of moments for readers whose client has no zone of its own.
    """

    name: str
    channels: tuple[ChannelRef, ...]
    to: tuple[ChannelRef, ...]
    schedule: Schedule
    zone: ZoneInfo
    sections: tuple[str, ...] = ("numbers", "threads", "unanswered", "links")
    catch_up: CatchUp = "coalesce"
    say_empty: bool = False
    allow_private: bool = False

    def may_quote(self, channel: ChannelRef) -> bool:
        """Whether private words of this channel may be told: not beyond it, unless allowed."""
        return self.allow_private or all(target == channel for target in self.to)
