"""The guild, its channels, roles and members."""

from adapters.discord.standin import guild, refusals, shapes
from adapters.discord.standin.call import Answer, Call, Endpoint
from adapters.discord.standin.forms import number, snowflake
from adapters.discord.standin.gateway import intents
from adapters.discord.standin.limits import Limit


async def get(call: Call) -> Answer:
    """The guild."""
    call.guild()
    counted = call.query.get("with_counts", "").lower() in {"true", "1"}
    workspace = call.world.workspace
    return Answer(guild.counted(workspace) if counted else guild.guild(workspace))


async def channels(call: Call) -> Answer:
    """Every channel of the guild, without threads; hidden ones too, as on Discord."""
    call.guild()
    workspace = call.world.workspace
    return Answer([shapes.channel(workspace, one) for one in workspace.text_channels()])


async def roles(call: Call) -> Answer:
    """Every role of the guild."""
    call.guild()
    return Answer(shapes.roles(call.world.workspace))


async def members(call: Call) -> Answer:
    """A page of members, by id; needs the members intent to be switched on for the app."""
    call.guild()
    if not call.world.gateway.privileged & intents.GUILD_MEMBERS:
        raise refusals.missing_access()
    limit = number("limit", call.query.get("limit", "1"), 1, 1000)
    after = int(snowflake("after", call.query.get("after", 0)))
    people = call.world.workspace.people.values()
    page = [one for one in people if int(one.id) > after][:limit]
    return Answer([shapes.member(call.world.workspace, one) for one in page])


async def member(call: Call) -> Answer:
    """One member."""
    call.guild()
    native_id = snowflake("user_id", call.params["user_id"])
    found = call.world.workspace.people.get(native_id)
    if found is None:
        raise refusals.unknown("Member")
    return Answer(shapes.member(call.world.workspace, found))


async def active_threads(call: Call) -> Answer:
    """Every thread our app can see."""
    call.guild()
    workspace = call.world.workspace
    threads = list(workspace.threads())
    own = [one for one in threads if one.owner is workspace.app]
    return Answer(
        {
            "threads": [shapes.thread(workspace, one) for one in reversed(threads)],
            "members": [shapes.thread_member(one, workspace.app) for one in own],
            "has_more": False,
        }
    )


ENDPOINTS = (
    Endpoint("GET", "/guilds/{guild_id}", get),
    Endpoint("GET", "/guilds/{guild_id}/channels", channels),
    Endpoint("GET", "/guilds/{guild_id}/roles", roles),
    Endpoint("GET", "/guilds/{guild_id}/members", members, Limit(10, 10.0)),
    Endpoint("GET", "/guilds/{guild_id}/members/{user_id}", member),
    Endpoint("GET", "/guilds/{guild_id}/threads/active", active_threads),
)
