"""Discord's wire text as people read it: names for ids, short names for emoji, links pulled out."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import emoji

from adapters.discord.payload import JsonDict, maybe

_TOKEN = re.compile(
    r"<(?:@!?(?P<person>\d+)|@&(?P<role>\d+)|#(?P<channel>\d+)"
    r"|a?:(?P<emoji>\w+):\d+|t:(?P<moment>-?\d{1,14})(?::[a-zA-Z])?|/(?P<command>[^:<>]+):\d+)>"
)
_LINK = re.compile(r"https?://[^\s<>]+", re.IGNORECASE)
_MASKED = re.compile(r"\]\(<?$")
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
_TRAILING = ".,;:!?'\"*_~|`"
# Where the emoji package's first alias is not the name that Slack gives it.
_SLACK_NAMES = {
    "thumbsup": "+1",
    "thumbsdown": "-1",
    "poop": "hankey",
    "thinking": "thinking_face",
    "rofl": "rolling_on_the_floor_laughing",
    "roll_eyes": "face_with_rolling_eyes",
    "smiling_face_with_three_hearts": "smiling_face_with_3_hearts",
    "1st_place_medal": "first_place_medal",
    "heavy_exclamation_mark": "exclamation",
    "pencil": "memo",
    "raised_hand_with_part_between_middle_and_ring_fingers": "spock-hand",
}
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_BARE_FLAGS = frozenset({"cn", "de", "es", "fr", "gb", "it", "jp", "kr", "ru", "us"})


def readable(
    content: str,
    people: Mapping[str, str],
    channels: Mapping[str, str],
    roles: Mapping[str, str],
) -> str:
    """Message text with every token as words: @name, #name, @role, :name:, /command, UTC time.

    An id that no look-up knows stays as its token: what is unreadable is at least not wrong.
    """

    def words(token: re.Match[str]) -> str:
        kind, value = token.lastgroup, token[token.lastgroup or 0]
        match kind:
            case "person" | "role":
                name = (people if kind == "person" else roles).get(value)
                return token[0] if not name else "@" + name.removeprefix("@")
            case "channel":
                return f"#{channels[value]}" if channels.get(value) else token[0]
            case "emoji":
                return f":{value}:"
            case "command":
                return f"/{value}"
            case _:
                return _moment(int(value)) or token[0]

    return _TOKEN.sub(words, content)


def links(content: str) -> tuple[str, ...]:
    """Every http(s) address in a text, once, in order, without the punctuation around it."""
    return tuple(dict.fromkeys(_bare(found, content) for found in _LINK.finditer(content)))


def emoji_name(data: JsonDict) -> str:
    """An emoji object's short name as Slack spells it; a custom one has its own name.

    Raises ValueError for an object that names nothing.
    """
    name = maybe(data, "name", "")
    if data.get("id") is not None:
        return name or str(data["id"])
    if not name:
        raise ValueError("emoji has neither id nor name")
    if _FLAG.fullmatch(name):
        land = "".join(chr(ord(letter) - 0x1F1E6 + ord("a")) for letter in name)
        return land if land in _BARE_FLAGS else f"flag-{land}"
    short = emoji.demojize(_SKIN.sub("", name), language="alias", delimiters=("", ""))
    return _SLACK_NAMES.get(short, short)


def _bare(found: re.Match[str], content: str) -> str:
    address = found[0]
    if _MASKED.search(content, 0, found.start()):
        address = _balanced(address)
    while address:
        stripped = address.rstrip(_TRAILING)
        if stripped.endswith(")") and stripped.count(")") > stripped.count("("):
            stripped = stripped[:-1]
        if stripped.endswith("]") and "[" not in stripped:
            stripped = stripped[:-1]
        if stripped == address:
            break
        address = stripped
    return address


def _balanced(address: str) -> str:
    depth = 0
    for index, char in enumerate(address):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return address[:index]
    return address


def _moment(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""
