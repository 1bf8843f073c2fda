"""Transcripts of real talk: an XML file of messages with time, person and text."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from bridge.errors import ConfigError

_NAMELESS = re.compile(r"[^\w-]+|^[-_]+")
"""What stands in no handle; the stand-ins take the rest."""
_LONGEST_NAME = 32


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a transcript; `text` is as its author typed it.

    `talk` is the same for messages of one conversation, "" where the transcript does not say.
    """

    at: datetime
    person: str
    text: str
    talk: str = ""


def read(path: Path, most: int) -> Iterator[Line]:
    """The first `most` messages. Raises ConfigError for a file that is none, with its place."""
    try:
        taken = 0
        for _, element in ET.iterparse(path):  # noqa: S314  (the admin's own file)
            if element.tag != "message":
                continue
            if taken >= most:
                return
            taken += 1
            yield _line(path, taken, element)
            element.clear()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give the path of a transcript") from error
    except ET.ParseError as error:
        raise ConfigError(f"{path}: not a transcript in XML: {error}") from error


def typed(mrkdwn: str) -> str:
    """What a person typed to get this Slack text."""
    text = re.sub(r"<@([^>|]+)(?:\|[^>]*)?>", r"@\1", mrkdwn)
    text = re.sub(r"<#[^>|]+\|([^>]+)>", r"#\1", text)
    text = re.sub(r"<!(here|channel|everyone)(?:\|[^>]*)?>", r"@\1", text)
    text = re.sub(r"<((?:https?|mailto):[^>|]+)(?:\|[^>]*)?>", r"\1", text)
    return html.unescape(text)


def _line(path: Path, number: int, element: ET.Element) -> Line:
    try:
        at = datetime.fromisoformat(element.findtext("ts", ""))
    except ValueError as error:
        raise ConfigError(f"{path}: message {number}: ts: {error}") from error
    person = _NAMELESS.sub("-", element.findtext("user", "")).strip("-") or "somebody"
    text = typed(element.findtext("text", ""))
    return Line(at, person[:_LONGEST_NAME], text, element.get("conversation_id", ""))
