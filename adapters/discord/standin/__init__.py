"""Discord's far side on loopback: a server that speaks its REST API v10 and its gateway."""

from adapters.discord.standin.server import DiscordStandin

__all__ = ["DiscordStandin", "start"]


async def start(port: int = 0, *, limits: bool = True) -> DiscordStandin:
    """A running stand-in on a port (0: any that is free); `limits` switches its rate limits."""
    standin = DiscordStandin(limits=limits)
    await standin.open(port)
    return standin
