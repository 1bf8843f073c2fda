"""The REST endpoints, one module per thing; a new one adds its ENDPOINTS here."""

from adapters.discord.standin.rest import channels, guilds, messages, reactions, threads, users

ENDPOINTS = (
    *messages.ENDPOINTS,
    *reactions.ENDPOINTS,
    *channels.ENDPOINTS,
    *threads.ENDPOINTS,
    *guilds.ENDPOINTS,
    *users.ENDPOINTS,
)
"""Messages come first: the server tries paths in this order."""
