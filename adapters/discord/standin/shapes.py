"""How Discord writes people, roles, channels, threads and the app (API v10)."""

from adapters.discord.standin import permissions
from adapters.discord.standin.snowflakes import iso, stamp
from adapters.discord.standin.workspace import DIRECT, THREAD, Channel, Person, Workspace
from adapters.standin import JsonDict

_BY_BIT = {1 << 1: 1 << 15, 1 << 8: 1 << 13, 1 << 15: 1 << 19}
"""From a privileged intent to the app flag that says it is switched on."""


def user(person: Person) -> JsonDict:
    """UserResponse. The same object each time: do not change it."""
    if not person.user:
        person.user = {
            "id": person.id,
            "username": person.name,
            "discriminator": "0000" if person.bot else "0",
            "global_name": None if person.bot else person.name,
            "avatar": None,
            "avatar_decoration_data": None,
            "banner": None,
            "accent_color": None,
            "collectibles": None,
            "primary_guild": None,
            "public_flags": 0,
            "flags": 0,
        }
        if person.bot:
            person.user["bot"] = True
    return person.user


def me(workspace: Workspace) -> JsonDict:
    """UserPIIResponse of our app."""
    return {
        **user(workspace.app),
        "mfa_enabled": True,
        "locale": "en-US",
        "premium_type": 0,
        "email": None,
        "verified": True,
    }


def bare_member(workspace: Workspace, person: Person) -> JsonDict:
    """A guild member without its user, as in MESSAGE_CREATE. Do not change it."""
    if not person.member:
        person.member = {
            "nick": None,
            "avatar": None,
            "avatar_decoration_data": None,
            "banner": None,
            "collectibles": None,
            "roles": [workspace.role_id] if person is workspace.app else [],
            "joined_at": stamp(person.id),
            "premium_since": None,
            "communication_disabled_until": None,
            "flags": 0,
            "pending": False,
            "mute": False,
            "deaf": False,
        }
    return person.member


def member(workspace: Workspace, person: Person) -> JsonDict:
    """GuildMemberResponse."""
    return {**bare_member(workspace, person), "user": user(person)}


def _role(native_id: str, name: str, allowed: int, position: int) -> JsonDict:
    return {
        "id": native_id,
        "name": name,
        "description": None,
        "permissions": str(allowed),
        "position": position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def roles(workspace: Workspace) -> list[JsonDict]:
    """The guild's roles: @everyone, whose id is the guild's, and our app's own."""
    own = _role(workspace.role_id, workspace.app.name, permissions.OUR_APP, 1)
    own |= {"managed": True, "tags": {"bot_id": workspace.app.id}}
    return [_role(workspace.guild_id, "@everyone", permissions.EVERYBODY, 0), own]


def _overwrites(workspace: Workspace, channel: Channel) -> list[JsonDict]:
    found: list[JsonDict] = []
    allowed = 0
    if channel.private:
        hidden = str(permissions.VIEW_CHANNEL)
        found.append({"id": workspace.guild_id, "type": 0, "allow": "0", "deny": hidden})
        allowed = permissions.VIEW_CHANNEL & ~channel.denied
    if allowed or channel.denied:
        found.append(
            {
                "id": workspace.app.id,
                "type": 1,
                "allow": str(allowed),
                "deny": str(channel.denied),
            }
        )
    return found


def _last_message(channel: Channel) -> str | None:
    return str(channel.ids[-1]) if channel.ids else None


def channel(workspace: Workspace, place: Channel) -> JsonDict:
    """GuildChannelResponse, PrivateChannelResponse or ThreadResponse, by the channel's type."""
    if place.kind == THREAD:
        return thread(workspace, place)
    common: JsonDict = {
        "id": place.id,
        "type": place.kind,
        "flags": 0,
        "last_message_id": _last_message(place),
        "last_pin_timestamp": None,
    }
    if place.kind == DIRECT:
        return {**common, "recipients": [user(place.recipient)] if place.recipient else []}
    return {
        **common,
        "guild_id": workspace.guild_id,
        "name": place.name,
        "topic": place.topic or None,
        "position": place.position,
        "parent_id": None,
        "nsfw": False,
        "rate_limit_per_user": 0,
        "permission_overwrites": _overwrites(workspace, place),
    }


def thread(workspace: Workspace, place: Channel) -> JsonDict:
    """ThreadResponse; `member` is there where our app has joined."""
    owner = place.owner or workspace.app
    found: JsonDict = {
        "id": place.id,
        "type": place.kind,
        "flags": 0,
        "last_message_id": _last_message(place),
        "last_pin_timestamp": None,
        "guild_id": workspace.guild_id,
        "parent_id": place.parent.id if place.parent else None,
        "owner_id": owner.id,
        "name": place.name,
        "rate_limit_per_user": 0,
        "message_count": place.counted,
        "member_count": 1,
        "total_message_sent": place.counted,
        "thread_metadata": {
            "archived": place.archived,
            "archive_timestamp": iso(place.turned_at) if place.turned_at else stamp(place.id),
            "auto_archive_duration": place.archive_minutes,
            "locked": False,
            "create_timestamp": stamp(place.id),
        },
    }
    if owner is workspace.app:
        found["member"] = thread_member(place, owner)
    return found


def thread_member(place: Channel, person: Person) -> JsonDict:
    """ThreadMemberResponse."""
    return {
        "id": place.id,
        "user_id": person.id,
        "join_timestamp": stamp(place.id),
        "flags": 1,
    }


def application(workspace: Workspace, privileged: int) -> JsonDict:
    """PrivateApplicationResponse; `privileged` are the intents switched on for the app."""
    flags = app_flags(privileged)
    return {
        "id": workspace.app.id,
        "name": workspace.app.name,
        "icon": None,
        "description": "",
        "summary": "",
        "type": None,
        "bot": user(workspace.app),
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": workspace.app.id.encode().hex().ljust(64, "0"),
        "flags": flags,
        "flags_new": str(flags),
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": user(workspace.owner),
        "approximate_guild_count": 1,
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": [],
        "integration_types_config": {"0": {}},
    }


def app_flags(privileged: int) -> int:
    """The app's flags for the privileged intents that are switched on for it."""
    return sum(flag for bit, flag in _BY_BIT.items() if privileged & bit)
