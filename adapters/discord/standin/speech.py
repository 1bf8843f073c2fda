"""Text between people and the wire: what is typed, what a reader sees, who gets pinged."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapters.discord.standin.workspace import Person, Workspace

_TYPED = re.compile(r"(?<![\w<@#&])([@#])(\w+(?:[.-]\w+)*)")
_MENTION = re.compile(r"<@!?(\d+)>|<@&(\d+)>|@(everyone|here)\b")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_TOKEN = re.compile(
    r"```(?:\w+\n)?(?P<block>.*?)```"
    r"|`(?P<code>[^`\n]+)`"
    r"|\\(?P<escaped>[^\w\s]|_)"
    r"|<@!?(?P<person>\d+)>"
    r"|<#(?P<channel>\d+)>"
    r"|<@&(?P<role>\d+)>"
    r"|<a?:(?P<emoji>\w+):\d+>"
    r"|<t:(?P<moment>-?\d{1,11})(?::[tTdDfFsSR])?>"
    r"|<(?P<bare>https?://[^\s>]+)>"
    r"|\[(?P<label>(?:\\.|[^\]\\])+)\]\(<?(?P<url>https?://[^\s)>]+)>?\)"
    r"|(?P<plain>https?://[^\s<>)]+)"
    r"|(?P<private>[\U000f0000-\U000ffffd])",
    re.DOTALL,
)
_LINE = re.compile(r"^(#{1,3} |-# |[-*] )", re.MULTILINE)
_MARKS = tuple(
    re.compile(mark, re.DOTALL)
    for mark in (
        r"\*\*(\S(?:.*?\S)??)\*\*",
        r"__(\S(?:.*?\S)??)__",
        r"~~(\S(?:.*?\S)??)~~",
        r"\|\|(.+?)\|\|",
        r"\*(\S(?:[^*]*?\S)?)\*",
        r"(?<!\w)_(\S(?:[^_]*?\S)?)_(?!\w)",
    )
)
_MARKED = re.compile(r"[\\`*_~|<\[]|^[#-]", re.MULTILINE)
_PRIVATE = 0xF0000
"""From here on, characters stand for what is already read while marks are taken away."""


def typed(workspace: Workspace, text: str) -> str:
    """The wire form of what a person types: @ada and #help become ids where they exist."""
    if "@" not in text and "#" not in text:
        return text

    def resolve(found: re.Match[str]) -> str:
        sign, name = found.groups()
        if sign == "@":
            person = workspace.find_person(name)
            return f"<@{person.id}>" if person else found[0]
        channel = workspace.find_channel(name)
        return f"<#{channel.id}>" if channel else found[0]

    return _TYPED.sub(resolve, text)


def shown(workspace: Workspace, text: str) -> str:
    """What a reader sees of a wire text: names, no markup; a link's address follows its label."""
    if not _MARKED.search(text):
        return text
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(_read(workspace, found))
        return chr(_PRIVATE + len(kept) - 1)

    bare = _LINE.sub(lambda found: "• " if found[1] in {"- ", "* "} else "", _TOKEN.sub(keep, text))
    for mark in _MARKS:
        bare = mark.sub(r"\1", bare)
    back = {_PRIVATE + n: one for n, one in enumerate(kept)}
    return bare.translate(back) if kept else bare


def _read(workspace: Workspace, found: re.Match[str]) -> str:
    kind, value = str(found.lastgroup), found[str(found.lastgroup)]
    match kind:
        case "person" | "channel" | "role":
            return _named(workspace, kind, value) or found[0]
        case "emoji":
            return f":{value}:"
        case "moment":
            return datetime.fromtimestamp(int(value), UTC).strftime("%Y-%m-%d %H:%M")
        case "url":
            label = shown(workspace, found["label"])
            return label if label == value else f"{label} ({value})"
        case _:
            return value


def _named(workspace: Workspace, kind: str, native_id: str) -> str:
    if kind == "person":
        person = workspace.people.get(native_id)
        return f"@{person.name}" if person else ""
    if kind == "channel":
        channel = workspace.channels.get(native_id)
        return f"#{channel.name}" if channel else ""
    roles = {workspace.role_id: workspace.app.name, workspace.guild_id: "everyone"}
    return f"@{roles[native_id]}" if native_id in roles else ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What `allowed_mentions` lets through. `replied`: the author of the answered message."""

    parse: frozenset[str] = frozenset({"users", "roles", "everyone"})
    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    replied: bool = True


@dataclass(slots=True)
class Mentions:
    """Who a message mentions. `pinged` holds names, and "everyone" or "here"."""

    people: list[Person] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    everyone: bool = False
    pinged: list[str] = field(default_factory=list)


def mentions(workspace: Workspace, content: str, allowed: Allowed, *, everyone: bool) -> Mentions:
    """Who this content pings. Code pings nobody; `everyone`: the author may ping all."""
    found = Mentions()
    if "@" not in content:
        return found
    for person, role, all_of in _MENTION.findall(_CODE.sub("", content)):
        if person and ("users" in allowed.parse or person in allowed.users):
            mention(found, workspace.people.get(person))
        elif role == workspace.role_id and ("roles" in allowed.parse or role in allowed.roles):
            found.roles = [role]
        elif all_of and everyone and "everyone" in allowed.parse:
            found.everyone = True
            if all_of not in found.pinged:
                found.pinged.append(all_of)
    return found


def mention(found: Mentions, person: Person | None) -> None:
    """Add one person, once."""
    if person and person not in found.people:
        found.people.append(person)
        found.pinged.append(person.name)
