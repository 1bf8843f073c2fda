"""Our app, people, direct messages, and where the gateway is."""

from adapters.discord.standin import guild, refusals, shapes
from adapters.discord.standin.call import Answer, Call, Endpoint
from adapters.discord.standin.forms import snowflake

STARTS = 1000
"""How many sessions may be opened in a day."""


async def me(call: Call) -> Answer:
    """Our app as a user."""
    return Answer(shapes.me(call.world.workspace))


async def application(call: Call) -> Answer:
    """Our app as an application."""
    return Answer(shapes.application(call.world.workspace, call.world.gateway.privileged))


async def guilds(call: Call) -> Answer:
    """The guilds our app is in."""
    workspace = call.world.workspace
    known = int(workspace.guild_id)
    after, before = (int(snowflake(name, call.query.get(name, 0))) for name in ("after", "before"))
    here = known > after and (not before or known < before)
    return Answer([guild.joined(workspace)] if here else [])


async def user(call: Call) -> Answer:
    """A person by id."""
    found = call.world.workspace.people.get(snowflake("user_id", call.params["user_id"]))
    if found is None:
        raise refusals.unknown("User")
    return Answer(shapes.user(found))


async def direct(call: Call) -> Answer:
    """The channel of our app's direct messages with a person."""
    workspace = call.world.workspace
    found = workspace.people.get(snowflake("recipient_id", call.body().get("recipient_id")))
    if found is None:
        raise refusals.unknown("User")
    if found.bot:
        raise refusals.closed_to_us()
    return Answer(shapes.channel(workspace, workspace.direct(found)))


async def gateway(call: Call) -> Answer:
    """Where the gateway is."""
    return Answer({"url": call.world.gateway.url})


async def gateway_bot(call: Call) -> Answer:
    """Where the gateway is, and how many sessions may still be opened."""
    limit = {
        "total": STARTS,
        "remaining": max(0, STARTS - call.world.hub.identified),
        "reset_after": 86_400_000,
        "max_concurrency": 1,
    }
    return Answer({"url": call.world.gateway.url, "shards": 1, "session_start_limit": limit})


ENDPOINTS = (
    Endpoint("GET", "/users/@me", me),
    Endpoint("GET", "/users/@me/guilds", guilds),
    Endpoint("POST", "/users/@me/channels", direct),
    Endpoint("GET", "/users/{user_id}", user),
    Endpoint("GET", "/oauth2/applications/@me", application),
    Endpoint("GET", "/applications/@me", application),
    Endpoint("GET", "/gateway", gateway, open=True),
    Endpoint("GET", "/gateway/bot", gateway_bot),
)
