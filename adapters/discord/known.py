"""What the gateway told about channels, threads, roles and people: the memory of one listener."""

from dataclasses import dataclass

from adapters.discord.payload import JsonDict, dicts, maybe, maybe_id, native_id, need, part

THREADS = frozenset({10, 11, 12})
PRIVATE_THREAD = 12
FORUMS = frozenset({15, 16})
"""Channel types that hold threads alone: forum, media."""
THREADED = frozenset({0, 5}) | FORUMS
"""Channel types that can hold threads: text and announcement as well."""
VIEW_CHANNEL = 1 << 10


@dataclass(frozen=True, slots=True)
class Place:
    """A channel or thread. `allowed` and `denied` are what @everyone's overwrite says there."""

    name: str
    kind: int
    guild: str = ""
    parent: str = ""
    allowed: int = 0
    denied: int = 0


class Known:
    """Look-ups by native id, for one gateway session.

    `everyone` holds, by guild, the permissions that its @everyone role gives; `me` is our own id.
    """

    def __init__(self) -> None:
        self.me = ""
        self.places: dict[str, Place] = {}
        self.people: dict[str, str] = {}
        self.roles: dict[str, str] = {}
        self.everyone: dict[str, int] = {}

    def home(self, channel_id: str) -> tuple[str, str]:
        """The channel people see and the thread in it ("" where there is none)."""
        place = self.places.get(channel_id)
        if place and place.kind in THREADS and place.parent:
            return place.parent, channel_id
        return channel_id, ""

    def private(self, channel_id: str) -> bool:
        """Whether @everyone cannot read there. What is not known counts as private."""
        place = self.places.get(channel_id)
        if place is None or place.kind == PRIVATE_THREAD:
            return True
        if place.kind in THREADS:
            return self.private(place.parent) if place.parent != channel_id else True
        return self.hidden(place)

    def hidden(self, place: Place) -> bool:
        """Whether @everyone's overwrite, else its role, keeps a channel from view."""
        if place.allowed & VIEW_CHANNEL:
            return False
        given = self.everyone.get(place.guild, VIEW_CHANNEL)
        return bool(place.denied & VIEW_CHANNEL) or not given & VIEW_CHANNEL

    def learn(self, name: str, data: JsonDict) -> None:
        """Remember what one dispatch tells. Raises ValueError for a malformed one."""
        if name.startswith(("CHANNEL_", "THREAD_")):
            self._learn_place(name, data)
        elif name in {"GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE"}:
            self._learn_role(data)
        elif name in {"GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE"}:
            user = need(data, "user", dict)
            self.people[native_id(user)] = display_name(user, data)
        elif name == "MESSAGE_CREATE":
            self._learn_speakers(data)
        elif name == "READY":
            self.me = maybe_id(part(data, "user"), "id")

    def _learn_place(self, name: str, data: JsonDict) -> None:
        if name in {"CHANNEL_DELETE", "THREAD_DELETE"}:
            self.places.pop(native_id(data), None)
        elif name in {"CHANNEL_CREATE", "CHANNEL_UPDATE", "THREAD_CREATE", "THREAD_UPDATE"}:
            self.places[native_id(data)] = place_of(data)

    def _learn_role(self, data: JsonDict) -> None:
        guild, role = native_id(data, "guild_id"), need(data, "role", dict)
        self.roles[native_id(role)] = maybe(role, "name", "")
        if native_id(role) == guild:
            self.everyone[guild] = _bits(role, "permissions", VIEW_CHANNEL)

    def _learn_speakers(self, data: JsonDict) -> None:
        for person, name in speakers(data, self.people):
            self.people[person] = name


def place_of(data: JsonDict) -> Place:
    """A channel or thread object as we remember it. Raises ValueError for a malformed one."""
    guild = maybe_id(data, "guild_id")
    everyone = [
        one for one in dicts(data, "permission_overwrites") if guild and one.get("id") == guild
    ]
    return Place(
        name=maybe(data, "name", ""),
        kind=need(data, "type", int),
        guild=guild,
        parent=maybe_id(data, "parent_id"),
        allowed=_bits(everyone[0], "allow") if everyone else 0,
        denied=_bits(everyone[0], "deny") if everyone else 0,
    )


def display_name(user: JsonDict, member: JsonDict) -> str:
    """What people see: the name in this guild, else the account's own, else the handle."""
    return (
        maybe(member, "nick", "") or maybe(user, "global_name", "") or maybe(user, "username", "")
    )


def speakers(data: JsonDict, people: dict[str, str]) -> list[tuple[str, str]]:
    """Ids and names that a message tells anew: its author, and those it mentions."""
    found: dict[str, str] = {}
    for user in dicts(data, "mentions"):
        found[native_id(user)] = display_name(user, part(user, "member"))
    author = need(data, "author", dict)
    # A name without the member's part (nick) must not replace one that had it.
    fresh = {person: name for person, name in found.items() if name and person not in people}
    person, name = native_id(author), display_name(author, part(data, "member"))
    told = "member" in data or person not in people
    if name and told and people.get(person) != name and not data.get("webhook_id"):
        fresh[person] = name
    return list(fresh.items())


def _bits(data: JsonDict, key: str, default: int = 0) -> int:
    bits = maybe(data, key, str(default))
    if not (bits.isascii() and bits.isdecimal() and len(bits) < 40):  # noqa: PLR2004
        raise ValueError(f"{key} is not a number: {bits[:40]!r}")
    return int(bits)
