"""Who is in the workspace: people, and the app that we play the far side for."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from adapters.slack.standin.ids import native_id
from adapters.standin import JsonDict

_SURNAMES = {
    "ada": ("Lovelace", "Europe/London"),
    "grace": ("Hopper", "America/New_York"),
    "linus": ("Torvalds", "America/Los_Angeles"),
    "margaret": ("Hamilton", "America/New_York"),
    "dennis": ("Ritchie", "Europe/Berlin"),
}
_SINCE = 1700000000


@dataclass(frozen=True, slots=True)
class Person:
    """A member of the workspace. `zone` is an IANA name."""

    id: str
    name: str
    real_name: str
    zone: str = "Europe/London"
    bot: bool = False


@dataclass(frozen=True, slots=True)
class App:
    """Our app as Slack knows it: its workspace, its ids and its tokens."""

    team_id: str
    team: str
    domain: str
    app_id: str
    bot_id: str
    user: Person
    bot_token: str
    app_token: str


def person(name: str, zone: str = "") -> Person:
    """A person by handle; the well-known ones come with surname and time zone."""
    surname, home = _SURNAMES.get(name, ("", "Europe/London"))
    real_name = f"{name.capitalize()} {surname}".rstrip()
    return Person(native_id("U", name), name, real_name, zone or home)


def chatbridge() -> App:
    """Our app. Its tokens are made from its ids, so that a restarted stand-in knows them."""
    user = Person(native_id("U", "chatbridge"), "chatbridge", "Chatbridge", bot=True)
    app_id, team_id = native_id("A", "chatbridge"), native_id("T", "standin")
    bot_token = f"xoxb-{team_id}-{user.id}-standin"
    app_token = f"xapp-1-{app_id}-standin"
    bot_id = native_id("B", "chatbridge")
    return App(team_id, "Stand-in", "standin", app_id, bot_id, user, bot_token, app_token)


def email(someone: Person) -> str:
    """Where users.lookupByEmail finds a person."""
    return f"{someone.name}@example.com"


def bot_profile(app: App) -> JsonDict:
    """`bot_profile`, as every message of an app carries it."""
    return {
        "id": app.bot_id,
        "app_id": app.app_id,
        "name": app.user.real_name,
        "icons": _icons(36, 48, 72),
        "deleted": False,
        "updated": _SINCE,
        "team_id": app.team_id,
    }


def user_body(someone: Person, app: App) -> JsonDict:
    """A user object, as users.info answers it."""
    offset = datetime.now(ZoneInfo(someone.zone)).utcoffset()
    return {
        "id": someone.id,
        "team_id": app.team_id,
        "name": someone.name,
        "deleted": False,
        "color": "9f69e7",
        "real_name": someone.real_name,
        "tz": someone.zone,
        "tz_label": datetime.now(ZoneInfo(someone.zone)).strftime("%Z"),
        "tz_offset": int(offset.total_seconds()) if offset else 0,
        "profile": _profile(someone, app),
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "is_bot": someone.bot,
        "is_app_user": False,
        "updated": _SINCE,
    }


def _profile(someone: Person, app: App) -> JsonDict:
    profile: JsonDict = {
        "title": "",
        "phone": "",
        "skype": "",
        "real_name": someone.real_name,
        "real_name_normalized": someone.real_name,
        "display_name": "" if someone.bot else someone.name,
        "display_name_normalized": "" if someone.bot else someone.name,
        "fields": None,
        "status_text": "",
        "status_emoji": "",
        "status_expiration": 0,
        "avatar_hash": "g" + someone.id[-11:].lower(),
        **_icons(24, 32, 48, 72, 192, 512),
        "team": app.team_id,
    }
    if someone.bot:
        return profile | {"bot_id": app.bot_id, "api_app_id": app.app_id}
    return profile | {"email": email(someone)}


def _icons(*sizes: int) -> JsonDict:
    return {f"image_{size}": f"https://avatars.example.com/{size}.png" for size in sizes}
