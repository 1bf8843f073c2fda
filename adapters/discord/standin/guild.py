"""How Discord writes the guild itself, over REST and in GUILD_CREATE."""

from adapters.discord.standin import permissions, shapes
from adapters.discord.standin.snowflakes import stamp
from adapters.discord.standin.workspace import Workspace
from adapters.standin import JsonDict


def guild(workspace: Workspace) -> JsonDict:
    """GuildResponse."""
    return {
        "id": workspace.guild_id,
        "name": workspace.name,
        "icon": None,
        "description": None,
        "home_header": None,
        "splash": None,
        "discovery_splash": None,
        "features": [],
        "banner": None,
        "owner_id": workspace.owner.id,
        "application_id": None,
        "region": "deprecated",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "widget_channel_id": None,
        "verification_level": 0,
        "roles": shapes.roles(workspace),
        "default_message_notifications": 0,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_presences": None,
        "max_members": 500_000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "vanity_url_code": None,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "rules_channel_id": None,
        "safety_alerts_channel_id": None,
        "public_updates_channel_id": None,
        "premium_progress_bar_enabled": False,
        "premium_progress_bar_enabled_user_updated_at": None,
        "nsfw": False,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
        "incidents_data": None,
    }


def counted(workspace: Workspace) -> JsonDict:
    """GuildWithCountsResponse."""
    people = len(workspace.people)
    counts = {"approximate_member_count": people, "approximate_presence_count": people}
    return {**guild(workspace), **counts}


def joined(workspace: Workspace) -> JsonDict:
    """MyGuildResponse: the guild in the list of those our app is in."""
    return {
        "id": workspace.guild_id,
        "name": workspace.name,
        "icon": None,
        "banner": None,
        "owner": False,
        "permissions": str(permissions.OUR_APP),
        "features": [],
        "approximate_member_count": None,
        "approximate_presence_count": None,
    }


def created(workspace: Workspace, *, everybody: bool) -> JsonDict:
    """GUILD_CREATE. Without the presences intent `members` holds our app alone (documented)."""
    people = workspace.people.values() if everybody else (workspace.app,)
    return {
        **guild(workspace),
        "joined_at": stamp(workspace.app.id),
        "large": False,
        "unavailable": False,
        "member_count": len(workspace.people),
        "members": [shapes.member(workspace, person) for person in people],
        "channels": [shapes.channel(workspace, one) for one in workspace.text_channels()],
        "threads": [shapes.thread(workspace, one) for one in workspace.threads()],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }
