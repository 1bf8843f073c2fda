"""Discord's ids: they grow with time and carry the moment they were made, by Discord's clock."""

from datetime import UTC, datetime, timedelta

DISCORD_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
_SHIFT = 22
_MILLISECOND = timedelta(milliseconds=1)


def moment_of(snowflake: str | int) -> datetime:
    """When an id was made, to the millisecond: the platform's clock, not ours."""
    return DISCORD_EPOCH + timedelta(milliseconds=int(snowflake) >> _SHIFT)


def position_at(moment: datetime) -> int:
    """The smallest position of an aware moment; 0 for one before there was Discord."""
    return max((moment - DISCORD_EPOCH) // _MILLISECOND, 0) << _SHIFT


def earlier(position: int, by: timedelta) -> int:
    """A position moved back in time; 0 at the least."""
    return max(position - ((by // _MILLISECOND) << _SHIFT), 0)
