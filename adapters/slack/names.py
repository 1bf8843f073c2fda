"""What people and channels of one workspace are called, as far as it is known."""

from dataclasses import dataclass, field

from bridge.messages import ChannelNamed, Event, PersonNamed

_PERSON_IDS = ("U", "W")
_DIRECT_IDS = "D"


@dataclass(slots=True)
class Names:
    """A cache that events fill. Everything in it may be missing; nothing in it awaits."""

    people: dict[str, str] = field(default_factory=dict)
    channels: dict[str, ChannelNamed] = field(default_factory=dict)

    def person(self, native_id: str) -> str:
        """A person's name, "" where unknown."""
        return self.people.get(native_id, "")

    def channel(self, native_id: str) -> str:
        """A channel's name without #, "" where unknown."""
        known = self.channels.get(native_id)
        return known.name if known else ""

    def private(self, native_id: str) -> bool:
        """Whether a channel is private. One that nobody told us of is taken to be."""
        known = self.channels.get(native_id)
        return known.private if known else True

    def note(self, event: Event) -> None:
        """Learn from an event that names somebody or something; others teach nothing."""
        match event:
            case PersonNamed(person=person, name=name):
                self.people[person] = name
            case ChannelNamed(channel=channel):
                self.channels[channel.id] = event

    def unknown_people(self, *native_ids: str) -> list[str]:
        """Those of the ids that are people's and have no name yet."""
        return [one for one in native_ids if one.startswith(_PERSON_IDS) and one not in self.people]

    def unknown_channels(self, *native_ids: str) -> list[str]:
        """Those of the ids that are channels' (direct messages have no name) and unknown."""
        named = (one for one in native_ids if not one.startswith(_DIRECT_IDS))
        return [one for one in named if one not in self.channels]
