"""An owed delivery as a value: what it is, what it is about, and how its lane stands. Pure."""

from dataclasses import dataclass
from datetime import datetime

from bridge.messages import ChannelRef
from bridge.rules import Facts, Snapshot, no_longer_matters


@dataclass(frozen=True, slots=True)
class Source:
    """The message that caused a delivery; `gap_at` is its channel's last gap.

    A gap that ended before `known_from` has hidden nothing of it.
    """

    channel: ChannelRef
    native_id: str
    thread: str
    known_from: datetime
    gap_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pending:
    """An owed delivery with all that is needed to judge and to render it.

    `epoch`, `paused_until` (the later of lane and account) and `last_receipt` are its lane's.
    `trying` is the epoch of an attempt whose end nobody recorded, UNKNOWN, or 0; see
    models.Delivery for what belongs to it. `others` leave in the same message.
    """

    id: int
    lane: int
    epoch: int
    paused_until: datetime | None
    target: ChannelRef
    key: str
    due_at: datetime
    attempts: int
    trying: int
    cancel_wanted: bool
    rule: Snapshot | None
    body: str
    facts: Facts
    author: str
    channel_name: str
    files: tuple[str, ...]
    link: str
    last_receipt: str = ""
    tried_at: datetime | None = None
    sure_at: datetime | None = None
    looked_at: datetime | None = None
    source: Source | None = None
    bundle: int = 0
    crashes: int = 0
    kind: str = "notification"
    others: tuple["Pending", ...] = ()

    @property
    def moot(self) -> str:
        """Why it need not go out any more; "" while it must."""
        if self.rule and (why := no_longer_matters(self.rule, self.facts)):
            return why
        return "it was cancelled while it was being tried" if self.cancel_wanted else ""

    @property
    def must_look(self) -> bool:
        """Whether the message's platform may know more of it than we do: a gap came after it.

        What was read up came in after its gap, but may have been reacted to before.
        """
        gap_at = self.source.gap_at if self.source else None
        if self.source is None or gap_at is None or gap_at < self.source.known_from:
            return False
        return self.looked_at is None or self.looked_at < gap_at
