"""Checks embeds as Discord does and writes them as it stores them. Pure."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from adapters.discord.standin.fields import Path, items, record, text
from adapters.discord.standin.refusals import Form
from adapters.standin import JsonDict

AT_MOST = 10
TOTAL = 6000
FIELDS = 25
_LENGTHS = {"title": 256, "description": 4096}
_PARTS = {"footer": ("text", 2048), "author": ("name", 256)}
_FIELD = {"name": 256, "value": 1024}
_MAX_COLOR = 0xFFFFFF


def embeds(form: Form, given: Any) -> list[JsonDict]:
    """The embeds of a message as stored; complaints go to the form."""
    found = items(form, ("embeds",), given, AT_MOST)
    stored = [_embed(form, ("embeds", n), one) for n, one in enumerate(found)]
    if sum(map(size, stored)) > TOTAL:
        message = f"Embed size exceeds maximum size of {TOTAL}"
        form.wrong(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", message)
    return stored


def size(embed: JsonDict) -> int:
    """The characters that count towards the total over all embeds of a message."""
    texts = [embed.get(name, "") for name in _LENGTHS]
    texts += [embed.get(part, {}).get(name, "") for part, (name, _) in _PARTS.items()]
    texts += [field[name] for field in embed.get("fields", ()) for name in _FIELD]
    return sum(map(len, texts))


def lines(embed: JsonDict) -> list[str]:
    """The texts of an embed, in the order a reader meets them."""
    texts = [embed.get("author", {}).get("name"), embed.get("title"), embed.get("description")]
    texts += [field[name] for field in embed.get("fields", ()) for name in _FIELD]
    texts.append(embed.get("footer", {}).get("text"))
    return [text for text in texts if text]


def _embed(form: Form, path: Path, given: Any) -> JsonDict:
    stored: JsonDict = {"type": "rich", "content_scan_version": 0}
    given = record(form, path, given)
    for name, limit in _LENGTHS.items():
        if found := text(form, (*path, name), given.get(name), limit):
            stored[name] = found
    for part, (name, limit) in _PARTS.items():
        if isinstance(holder := given.get(part), dict):
            found = text(form, (*path, part, name), holder.get(name), limit, required=True)
            stored[part] = {name: found} | _urls(form, (*path, part), holder, ("url", "icon_url"))
    for part in ("image", "thumbnail"):
        if isinstance(holder := given.get(part), dict):
            stored[part] = _urls(form, (*path, part), holder, ("url",))
    if given.get("fields"):
        path_of = (*path, "fields")
        found_fields = items(form, path_of, given["fields"], FIELDS)
        stored["fields"] = [_field(form, (*path_of, n), one) for n, one in enumerate(found_fields)]
    return stored | _urls(form, path, given, ("url",)) | _plain(form, path, given)


def _field(form: Form, path: Path, given: Any) -> JsonDict:
    source = record(form, path, given)
    field: JsonDict = {
        name: text(form, (*path, name), source.get(name), limit, required=True)
        for name, limit in _FIELD.items()
    }
    return field | {"inline": bool(source.get("inline"))}


def _urls(form: Form, path: Path, holder: JsonDict, names: tuple[str, ...]) -> JsonDict:
    found = {name: holder[name] for name in names if holder.get(name)}
    for name, url in found.items():
        parts = _split(url)
        if parts.scheme not in {"http", "https", "attachment"}:
            message = f'Scheme "{parts.scheme}" is not supported. Scheme must be one of {{0}}.'
            message = message.format("('http', 'https')")
            form.wrong((*path, name), "URL_TYPE_INVALID_SCHEME", message)
        elif not parts.netloc:
            form.wrong((*path, name), "URL_TYPE_INVALID_URL", "Not a well formed URL.")
    return found


def _split(url: Any) -> SplitResult:
    try:
        return urlsplit(str(url))
    except ValueError:
        return SplitResult("https", "", "", "", "")


def _plain(form: Form, path: Path, given: JsonDict) -> JsonDict:
    stored: JsonDict = {}
    color = given.get("color")
    if isinstance(color, int) and 0 <= color <= _MAX_COLOR:
        stored["color"] = color
    elif color is not None:
        message = f"int value should be between 0 and {_MAX_COLOR}."
        form.wrong((*path, "color"), "NUMBER_TYPE_MAX", message)
    if given.get("timestamp"):
        try:
            moment = datetime.fromisoformat(str(given["timestamp"]))
        except ValueError:
            message = f"Could not parse {given['timestamp']}. Should be ISO8601."
            form.wrong((*path, "timestamp"), "DATE_TIME_TYPE_PARSE", message)
        else:
            utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            stored["timestamp"] = utc.isoformat(timespec="microseconds")
    return stored
