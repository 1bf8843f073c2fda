"""The sections that admins repeat: [[notifications]], [[digests]] and [[relays]]."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.settings.addresses import ChannelAddress, OwedAddress, PersonAddress, TargetAddress
from bridge.settings.fields import (
    UNIQUE,
    CronLine,
    Delay,
    Interval,
    Name,
    Pattern,
    RateLimit,
    Seconds,
    Template,
    Text,
    Unless,
    Wait,
    Zone,
)
from bridge.times import CatchUp, Duration, QuietHours, Schedule

Section: TypeAlias = Literal["numbers", "threads", "unanswered", "links", "files", "top"]

DEFAULT_TEXT = "{author} in {channel}: {excerpt} {link}"

_NAME = ['name = "unanswered question"']
_CHANNELS = ['channels = ["ACCOUNT:#channel"]']
_TO = ['to = ["ACCOUNT:#channel"]']


class Table(BaseModel):
    """A table of config.toml: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, strict=False)


class When(Table):
    """Which messages a notification is about; all that is given must hold."""

    question: bool = Field(default=False, strict=True)
    keywords: tuple[Text, ...] = ()
    pattern: Pattern = ""
    mentions: tuple[PersonAddress, ...] = ()
    authors: tuple[PersonAddress, ...] = ()
    bots: bool = Field(default=False, strict=True)
    thread: Literal["", "root", "reply"] = ""
    has: tuple[Literal["link", "file"], ...] = ()
    first: bool = Field(default=False, strict=True)


class Step(Table):
    """An escalation: so long after the step before, to these as well."""

    after: Wait = Field(examples=['after = "1h"'])
    to: Annotated[tuple[OwedAddress, ...], UNIQUE] = Field(min_length=1, examples=_TO)


class Debounce(Table):
    """How notifications that come in bursts are gathered; in seconds."""

    minimum: Seconds = 300.0
    increment: Seconds = 30.0
    maximum: Seconds = 1800.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("minimum is longer than maximum; allowed: at most as long")
        return self


class NotificationSettings(Table):
    """A [[notifications]] section: what is owed for which messages, and until when it matters."""

    name: Name = Field(examples=_NAME)
    channels: Annotated[tuple[ChannelAddress, ...], UNIQUE] = Field(
        min_length=1, examples=_CHANNELS
    )
    when: When = When()
    after: Delay = Duration()
    count: Literal["elapsed", "working_time"] = "elapsed"
    unless: Annotated[tuple[Unless, ...], UNIQUE] = ()
    to: Annotated[tuple[OwedAddress, ...], UNIQUE] = Field(min_length=1, examples=_TO)
    text: Template = DEFAULT_TEXT
    quiet_hours: QuietHours | None = None
    then: tuple[Step, ...] = ()
    debounce: Debounce | None = None
    limit: RateLimit | None = None
    allow_private: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _countable(self) -> Self:
        waits = [self.after, *(step.after for step in self.then)]
        if self.count == "working_time" and not all(wait.elapsed for wait in waits):
            raise ValueError(
                'count = "working_time" goes by hours, not by days; allowed in after: 30m, 4h, 20h'
            )
        return self


class DigestSettings(Table):
    """A [[digests]] section: what happened in some channels, told at fixed times."""

    name: Name = Field(examples=['name = "daily"'])
    channels: Annotated[tuple[ChannelAddress, ...], UNIQUE] = Field(
        min_length=1, examples=_CHANNELS
    )
    schedule: CronLine | None = None
    every: Interval | None = None
    to: Annotated[tuple[TargetAddress, ...], UNIQUE] = Field(min_length=1, examples=_TO)
    sections: Annotated[tuple[Section, ...], UNIQUE] = Field(
        default=("numbers", "threads", "unanswered", "links"), min_length=1
    )
    catch_up: CatchUp = "coalesce"
    empty: Literal["skip", "say so"] = "skip"
    timezone: Zone = ""
    allow_private: bool = Field(default=False, strict=True)

    @property
    def timing(self) -> Schedule:
        """When its windows close: by `schedule` or by `every`, whichever is given."""
        timing = self.schedule or self.every
        if timing is None:
            raise ValueError("a digest needs schedule or every")
        return timing


class RelaySettings(Table):
    """A [[relays]] section: channels that are one conversation."""

    name: Name = Field(examples=['name = "general"'])
    channels: Annotated[tuple[ChannelAddress, ...], UNIQUE] = Field(
        min_length=2, examples=['channels = ["ONE:#channel", "OTHER:#channel"]']
    )
