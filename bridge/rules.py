"""Which deliveries a message owes, and which pending ones still matter. Pure."""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Self
from zoneinfo import ZoneInfo

import regex

from bridge.messages import DIRECT, ChannelRef
from bridge.times import Duration

PATTERN_SECONDS = 0.05
"""A user's pattern gets this long on one text; one that takes longer does not match."""

_QUESTION = regex.compile(
    r"\?(?=[\s\"'”\u2019)\]*_~`]|$)"
    r"|^[^\w\n]{0,10}(?:(?:hi|hello|hey|so|and|but|@\S{1,40})[^\w\n]{1,5}){0,3}"
    r"(?:who|what|when|where|why|which|how|is there|are there|can (?:i|we|you|someone|anyone)"
    r"|could (?:i|we|you|someone|anyone)|does (?:any|some)\w*|do (?:you|we|i)|has any\w*"
    r"|is it possible|any(?:one|body) (?:know|seen|here))\b(?!.*[.!]$)",
    regex.IGNORECASE | regex.MULTILINE,
)
_CODE = regex.compile(r"```.*?```|`[^`\n]*`|https?://\S+", regex.DOTALL)


@dataclass(frozen=True, slots=True)
class When:
    """Which messages a rule is about. All that is given must hold; nothing given: every message.

    `keywords` are whole words without regard to case, `mentions` native person ids (or "here" /
    "channel"); one of each kind suffices. Messages by bots count only with `bots`.
    """

    question: bool = False
    keywords: tuple[str, ...] = ()
    pattern: str = ""
    mentions: tuple[str, ...] = ()
    bots: bool = False

    def matches(self, text: str, mentions: Iterable[str], *, by_bot: bool) -> bool:
        """Whether a message with this text is meant."""
        if by_bot and not self.bots:
            return False
        if self.question and not is_question(text):
            return False
        if self.keywords and not _keywords(self.keywords).search(text):
            return False
        if self.mentions and not set(self.mentions) & set(mentions):
            return False
        return not self.pattern or _pattern_found(self.pattern, text)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A rule as it was when something was owed by it: all that is needed until it is sent."""

    name: str
    when: When
    unless: tuple[str, ...]
    text: str

    def dump(self) -> str:
        """As JSON, alike for alike rules."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    @lru_cache(maxsize=1024)
    def load(cls, body: str) -> Self:
        """From JSON."""
        raw = json.loads(body)
        when: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in raw["when"].items()
        }
        return cls(raw["name"], When(**when), tuple(raw["unless"]), raw["text"])

    @property
    def id(self) -> str:
        """A hash of the contents."""
        return hashed(self.dump())


@dataclass(frozen=True, slots=True)
class NotificationRule:
    """A [[notifications]] section with every address resolved."""

    snapshot: Snapshot
    snapshot_id: str
    channels: frozenset[ChannelRef]
    after: Duration
    zone: ZoneInfo
    to: tuple[ChannelRef, ...]
    to_author: bool = False
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    """What rules look at in a new message. `id` is its row in the store."""

    id: int
    channel: ChannelRef
    native_id: str
    author: str
    text: str
    sent_at: datetime
    mentions: tuple[str, ...] = ()
    by_bot: bool = False
    private: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class Owed:
    """One delivery that a message owes. `position` is the message's."""

    key: str
    target: ChannelRef
    due_at: datetime
    rule: str
    message: int
    position: int = 0


class RuleBook:
    """All notification rules, found by channel, so that their number costs a message little."""

    def __init__(self, rules: Sequence[NotificationRule]) -> None:
        self.rules = tuple(rules)
        self._by_channel: Mapping[ChannelRef, list[NotificationRule]] = _by_channel(rules)

    def owed_by(self, message: Trigger) -> list[Owed]:
        """Every delivery that this message owes: one per rule and destination."""
        return [
            Owed(
                key=delivery_key(rule.snapshot.name, message, target),
                target=target,
                due_at=rule.after.after(message.sent_at, rule.zone),
                rule=rule.snapshot_id,
                message=message.id,
                position=message.position,
            )
            for rule in self._by_channel.get(message.channel, ())
            if rule.snapshot.when.matches(message.text, message.mentions, by_bot=message.by_bot)
            for target in _targets(rule, message)
        ]


@dataclass(frozen=True, slots=True)
class Facts:
    """How things stand for the message that caused a delivery.

    `answered`: another person (no bot) replied and the reply is still there. `reactions` holds the
    short names of all reactions on the message.
    """

    text: str
    mentions: tuple[str, ...] = ()
    by_bot: bool = False
    deleted: bool = False
    edited: bool = False
    answered: bool = False
    reactions: frozenset[str] = field(default_factory=frozenset)


def no_longer_matters(rule: Snapshot, facts: Facts) -> str:
    """Why a delivery of this rule need not go out any more; "" while it must."""
    if facts.deleted:
        return "the message was deleted"
    if facts.edited and not rule.when.matches(facts.text, facts.mentions, by_bot=facts.by_bot):
        return "the message was edited and the rule no longer fits"
    if "reply" in rule.unless and facts.answered:
        return "somebody replied"
    if "reaction" in rule.unless and facts.reactions:
        return "somebody reacted"
    for reaction in sorted(facts.reactions):
        if f"reaction:{reaction}" in rule.unless:
            return f"somebody reacted with :{reaction}:"
    return ""


def is_question(text: str) -> bool:
    """Whether a text asks something.

    That is a question mark outside of code and links, or a line that opens like a question and
    does not end like a statement.
    """
    return bool(_QUESTION.search(_CODE.sub(" ", text)))


def delivery_key(rule: str, message: Trigger, target: ChannelRef) -> str:
    """The same for the same rule, message and destination, whoever computes it."""
    source = message.channel
    return hashed(rule, source.account, source.id, message.native_id, target.account, target.id)


def hashed(*parts: str) -> str:
    """24 characters of a-z and 2-7 that stand for these parts."""
    joined = json.dumps(parts).encode("utf-8", "surrogatepass")
    return base64.b32encode(hashlib.blake2b(joined, digest_size=15).digest()).decode().lower()


def _by_channel(rules: Sequence[NotificationRule]) -> dict[ChannelRef, list[NotificationRule]]:
    found: dict[ChannelRef, list[NotificationRule]] = defaultdict(list)
    for rule in rules:
        for channel in rule.channels:
            found[channel].append(rule)
    return dict(found)


def _targets(rule: NotificationRule, message: Trigger) -> list[ChannelRef]:
    """Where it goes. Words from a private channel stay there, unless the rule allows more."""
    open_to_all = rule.allow_private or not message.private
    found = [target for target in rule.to if open_to_all or target == message.channel]
    if rule.to_author:
        found.append(ChannelRef(message.channel.account, DIRECT + message.author))
    return found


@lru_cache(maxsize=1024)
def _keywords(keywords: tuple[str, ...]) -> regex.Pattern[str]:
    words = "|".join(regex.escape(word) for word in keywords)
    return regex.compile(rf"(?<!\w)(?:{words})(?!\w)", regex.IGNORECASE)


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def _pattern_found(pattern: str, text: str) -> bool:
    try:
        return bool(_pattern(pattern).search(text, timeout=PATTERN_SECONDS))
    except TimeoutError:
        return False
