"""auth.test, team.info and apps.connections.open: who we are, and the way into Socket Mode."""

from adapters.slack.standin.limits import SPECIAL, TIER_1, TIER_3
from adapters.slack.standin.methods.call import Call, Method
from adapters.standin import JsonDict


def auth_test(call: Call) -> JsonDict:
    """auth.test."""
    app = call.world.app
    return {
        "url": f"https://{app.domain}.slack.com/",
        "team": app.team,
        "user": app.user.name,
        "team_id": app.team_id,
        "user_id": app.user.id,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }


def team_info(call: Call) -> JsonDict:
    """team.info."""
    app = call.world.app
    icon = {"image_default": True, "image_68": "https://avatars.example.com/team.png"}
    team = {"id": app.team_id, "name": app.team, "domain": app.domain, "email_domain": ""}
    return {"team": team | {"icon": icon}}


def connections_open(call: Call) -> JsonDict:
    """apps.connections.open: a WebSocket address, good for one connection within 30 seconds."""
    world = call.world
    base = world.url.replace("http://", "ws://", 1)
    return {"url": f"{base}/link/?ticket={world.sockets.ticket()}&app_id={world.app.app_id}"}


METHODS = {
    "auth.test": Method(auth_test, SPECIAL),
    "team.info": Method(team_info, TIER_3),
    "apps.connections.open": Method(connections_open, TIER_1, app_token=True),
}
