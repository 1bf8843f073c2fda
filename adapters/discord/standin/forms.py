"""Checks the bodies of requests as Discord does: what remains can be carried out. Pure."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.discord.standin import components
from adapters.discord.standin.embeds import embeds
from adapters.discord.standin.fields import items, record, text, too_long
from adapters.discord.standin.refusals import Form
from adapters.discord.standin.speech import Allowed
from adapters.standin import JsonDict

CONTENT = 2000
NONCE = 25
THREAD_NAME = 100
FILES = 10
ARCHIVE_MINUTES = (60, 1440, 4320, 10080)
SUPPRESS_EMBEDS, HAS_THREAD, SILENT = 1 << 2, 1 << 5, 1 << 12
_ID = re.compile(r"[0-9]{1,20}")
_PARSE = frozenset({"users", "roles", "everyone"})


@dataclass(frozen=True, slots=True)
class Reference:
    """The message a new one answers. `must`: refuse when it is not there."""

    message_id: str
    must: bool = True


@dataclass(slots=True)
class Draft:
    """A message as somebody wants it. `files` holds attachments as stored."""

    content: str = ""
    embeds: list[JsonDict] = field(default_factory=list)
    components: list[JsonDict] = field(default_factory=list)
    files: list[JsonDict] = field(default_factory=list)
    flags: int = 0
    tts: bool = False
    allowed: Allowed = field(default_factory=Allowed)
    reference: Reference | None = None
    nonce: str | int | None = None
    enforce_nonce: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.content or self.embeds or self.components or self.files)


def draft(body: JsonDict) -> Draft:
    """A new message from the body of a create. Raises Refusal 50035."""
    form = Form()
    found = Draft(
        content=content(form, body.get("content")),
        embeds=embeds(form, body.get("embeds")),
        components=components.rows(form, body.get("components")),
        flags=_flags(form, body.get("flags")),
        tts=bool(body.get("tts")),
        allowed=allowed(form, body.get("allowed_mentions")),
        reference=_reference(form, body.get("message_reference")),
        nonce=_nonce(form, body.get("nonce")),
        enforce_nonce=bool(body.get("enforce_nonce")),
    )
    form.settle()
    return found


def changes(body: JsonDict) -> JsonDict:
    """The parts of an edit that are given, as stored. Raises Refusal 50035."""
    form = Form()
    readers = {
        "content": content,
        "embeds": embeds,
        "components": components.rows,
        "flags": _flags,
        "allowed_mentions": allowed,
    }
    found = {name: read(form, body[name]) for name, read in readers.items() if name in body}
    if "attachments" in body:
        kept = items(form, ("attachments",), body["attachments"], FILES)
        rows = [record(form, ("attachments", n), one) for n, one in enumerate(kept)]
        found["attachments"] = [str(row.get("id")) for row in rows]
    form.settle()
    return found


def content(form: Form, given: Any) -> str:
    """Discord takes the white space around a text away."""
    if isinstance(given, str) and len(given) > CONTENT:
        given = given.strip()
    return text(form, ("content",), given, CONTENT).strip()


def allowed(form: Form, given: Any) -> Allowed:
    """What may ping; an absent object lets everything through, an empty one nothing."""
    if not isinstance(given, dict):
        return Allowed()
    parse = _names(given.get("parse"))
    path = ("allowed_mentions",)
    if wrong := parse - _PARSE:
        message = f"Value must be one of {{{', '.join(sorted(_PARSE))}}}, not {min(wrong)!r}."
        form.wrong((*path, "parse"), "BASE_TYPE_CHOICES", message)
    for kind in ("users", "roles"):
        if kind in parse and given.get(kind):
            message = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            form.wrong(path, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)
    users, roles = _names(given.get("users")), _names(given.get("roles"))
    return Allowed(parse, users, roles, replied=bool(given.get("replied_user")))


def _names(given: Any) -> frozenset[str]:
    return frozenset(map(str, given)) if isinstance(given, list) else frozenset()


@dataclass(frozen=True, slots=True)
class ThreadDraft:
    """A thread as somebody wants it."""

    name: str
    archive_minutes: int = 1440


def thread(body: JsonDict) -> ThreadDraft:
    """A new thread from a body. Raises Refusal 50035."""
    form = Form()
    name = text(form, ("name",), body.get("name"), THREAD_NAME, required=True).strip()
    minutes = body.get("auto_archive_duration") or 1440
    if minutes not in ARCHIVE_MINUTES:
        message = f"Value must be one of {ARCHIVE_MINUTES}."
        form.wrong(("auto_archive_duration",), "BASE_TYPE_CHOICES", message)
    form.settle()
    return ThreadDraft(name, minutes)


def snowflake(name: str, given: Any) -> str:
    """An id from a path, query or body. Raises Refusal 50035 for what is none."""
    if not _ID.fullmatch(str(given)):
        form = Form()
        form.wrong((name,), "NUMBER_TYPE_COERCE", f'Value "{given}" is not snowflake.')
        form.settle()
    return str(given)


def moment(name: str, given: str) -> float:
    """Seconds since 1970 from an ISO-8601 moment in a query. Raises Refusal 50035."""
    try:
        # A bare + in a query is a space.
        found = datetime.fromisoformat(given.replace(" ", "+"))
    except ValueError:
        form = Form()
        message = f"Could not parse {given}. Should be ISO8601."
        form.wrong((name,), "DATE_TIME_TYPE_PARSE", message)
        form.settle()
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def number(name: str, given: str, low: int, high: int) -> int:
    """A whole number from a query. Raises Refusal 50035 outside of the bounds."""
    form = Form()
    value = int(given) if re.fullmatch(r"-?\d{1,18}", given) else None
    if value is None:
        form.wrong((name,), "NUMBER_TYPE_COERCE", f'Value "{given}" is not int.')
    elif value < low:
        message = f"int value should be greater than or equal to {low}."
        form.wrong((name,), "NUMBER_TYPE_MIN", message)
    elif value > high:
        message = f"int value should be less than or equal to {high}."
        form.wrong((name,), "NUMBER_TYPE_MAX", message)
    form.settle()
    return value or 0


def _flags(form: Form, given: Any) -> int:
    if given is not None and not isinstance(given, int):
        form.wrong(("flags",), "NUMBER_TYPE_COERCE", f'Value "{given}" is not int.')
        return 0
    return (given or 0) & (SUPPRESS_EMBEDS | SILENT)


def _nonce(form: Form, given: Any) -> str | int | None:
    if isinstance(given, str) and len(given) > NONCE:
        too_long(form, ("nonce",), NONCE)
    if given is None or isinstance(given, str | int):
        return given
    form.wrong(("nonce",), "STRING_TYPE_CONVERT", "Could not interpret value as string.")
    return None


def _reference(form: Form, given: Any) -> Reference | None:
    if not isinstance(given, dict):
        return None
    native_id = str(given.get("message_id", ""))
    if not _ID.fullmatch(native_id):
        path = ("message_reference", "message_id")
        form.wrong(path, "NUMBER_TYPE_COERCE", f'Value "{native_id}" is not snowflake.')
    return Reference(native_id, must=given.get("fail_if_not_exists") is not False)
