"""users.* and bots.info: who is who."""

import time

from adapters.slack.standin.errors import RefusedError
from adapters.slack.standin.limits import TIER_2, TIER_3, TIER_4
from adapters.slack.standin.methods.call import Call, Method
from adapters.slack.standin.methods.paging import MOST, paged
from adapters.slack.standin.people import email, user_body
from adapters.standin import JsonDict


def info(call: Call) -> JsonDict:
    """users.info."""
    someone = call.world.people.get(call.text("user"))
    if someone is None:
        raise RefusedError("user_not_found")
    return {"user": user_body(someone, call.world.app)}


def everybody(call: Call) -> JsonDict:
    """users.list; without a limit everybody at once."""
    people = call.world.people
    page, metadata = paged(call, "user", sorted(people), default=MOST)
    bodies = [user_body(people[one], call.world.app) for one in page]
    return {"members": bodies, "cache_ts": int(time.time()), "response_metadata": metadata}


def lookup_by_email(call: Call) -> JsonDict:
    """users.lookupByEmail."""
    wanted = call.needed("email").lower()
    for someone in call.world.people.values():
        if email(someone) == wanted and not someone.bot:
            return {"user": user_body(someone, call.world.app)}
    raise RefusedError("users_not_found")


def bot_info(call: Call) -> JsonDict:
    """bots.info."""
    app = call.world.app
    if call.text("bot") != app.bot_id:
        raise RefusedError("bot_not_found")
    body = {name: value for name, value in call.world.bot_profile.items() if name != "team_id"}
    return {"bot": body | {"user_id": app.user.id}}


METHODS = {
    "users.info": Method(info, TIER_4),
    "users.list": Method(everybody, TIER_2),
    "users.lookupByEmail": Method(lookup_by_email, TIER_3),
    "bots.info": Method(bot_info, TIER_3),
}
