"""Transcripts of real talk: an XML file of messages with time, person and text."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

from bridge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a transcript; `text` is as its author typed it."""

    at: datetime
    person: str
    text: str


def read(path: Path, most: int) -> Iterator[Line]:
    """The first `most` messages. Raises ConfigError for a file that is none, with its place."""
    try:
        taken = 0
        for _, element in ElementTree.iterparse(path):  # noqa: S314  (the admin's own file)
            if element.tag != "message":
                continue
            if taken >= most:
                return
            taken += 1
            yield _line(path, taken, element)
            element.clear()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give the path of a transcript") from error
    except ElementTree.ParseError as error:
        raise ConfigError(f"{path}: not a transcript in XML: {error}") from error


def typed(mrkdwn: str) -> str:
    """What a person typed to get this Slack text."""
    text = re.sub(r"<@([^>|]+)(?:\|[^>]*)?>", r"@\1", mrkdwn)
    text = re.sub(r"<#[^>|]+\|([^>]+)>", r"#\1", text)
    text = re.sub(r"<!(here|channel|everyone)(?:\|[^>]*)?>", r"@\1", text)
    text = re.sub(r"<((?:https?|mailto):[^>|]+)(?:\|[^>]*)?>", r"\1", text)
    return html.unescape(text)


def _line(path: Path, number: int, element: ElementTree.Element) -> Line:
    try:
        at = datetime.fromisoformat(element.findtext("ts", ""))
    except ValueError as error:
        raise ConfigError(f"{path}: message {number}: {error}") from error
    return Line(at, element.findtext("user", "") or "somebody", typed(element.findtext("text", "")))
