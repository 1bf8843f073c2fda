"""What history does not say of its messages: the guild, its channels, roles and names."""

import asyncio
from contextlib import suppress

from adapters.discord.convert import unfold
from adapters.discord.history.reader import Reader
from adapters.discord.known import Known, place_of
from bridge.errors import PermanentError, RetryableError

FRESH_SECONDS = 300.0
"""How long names and roles of a guild are taken for true."""
MOST_MEMBERS = 1000
"""People whose names in the guild are known beforehand: one call. Others keep their own names."""


class Surroundings:
    """A memory of guilds that is renewed as it gets old. One event loop owns it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known = Known()
        self._old_at: dict[str, float] = {}
        self._reading = asyncio.Lock()

    async def around(self, channel_id: str) -> Known:
        """What is known, with this channel or thread as it is now.

        Raises Gone for one that is no more.
        """
        channel = await self._reader.channel(channel_id)
        try:
            place = place_of(channel)
        except ValueError as error:
            raise RetryableError(f"channel {channel_id} cannot be read: {error}") from error
        if place.guild:
            async with self._reading:
                await self._renew(place.guild)
        self._known.places[channel_id] = place
        return self._known

    async def _renew(self, guild: str) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._old_at.get(guild, 0.0):
            return
        whole = {
            "id": guild,
            "channels": await self._reader.guild_part(guild, "channels"),
            "roles": await self._reader.guild_part(guild, "roles"),
        }
        # Without the Server Members intent nobody may list them; then their own names do.
        with suppress(PermanentError):
            whole["members"] = await self._reader.guild_part(
                guild, "members", limit=str(MOST_MEMBERS)
            )
        for name, fields in unfold("GUILD_CREATE", whole):
            with suppress(ValueError):
                self._known.learn(name, fields)
        self._old_at[guild] = now + FRESH_SECONDS
