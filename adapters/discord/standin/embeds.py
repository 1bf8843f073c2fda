"""Checks embeds as Discord does and writes them as it stores them. Pure."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from adapters.discord.standin.refusals import Form
from adapters.standin import JsonDict

AT_MOST = 10
TOTAL = 6000
FIELDS = 25
_LENGTHS = {"title": 256, "description": 4096}
_PARTS = {"footer": ("text", 2048), "author": ("name", 256)}
_FIELD = {"name": 256, "value": 1024}
_MAX_COLOR = 0xFFFFFF
_Path = tuple[str | int, ...]


def embeds(form: Form, given: Any) -> list[JsonDict]:
    """The embeds of a message as stored; complaints go to the form."""
    if given is None:
        return []
    if not isinstance(given, list):
        form.wrong(("embeds",), "BASE_TYPE_BAD_TYPE", "Only iterables may be used in a ListType")
        return []
    if len(given) > AT_MOST:
        too_long(form, ("embeds",), AT_MOST)
    stored = [_embed(form, ("embeds", n), one) for n, one in enumerate(given)]
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


def too_long(form: Form, path: _Path, limit: int) -> None:
    """Complain about a text or list that exceeds a limit."""
    form.wrong(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def text(form: Form, path: _Path, given: Any, limit: int, *, required: bool = False) -> str:
    """A text of at most `limit` characters; numbers count as text, as on Discord."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = str(given)
    if given is None or given == "":
        if required:
            form.wrong(path, "BASE_TYPE_REQUIRED", "This field is required")
        return ""
    if not isinstance(given, str):
        form.wrong(path, "STRING_TYPE_CONVERT", "Could not interpret value as string.")
        return ""
    if len(given) > limit:
        too_long(form, path, limit)
    return given


def _embed(form: Form, path: _Path, given: Any) -> JsonDict:
    stored: JsonDict = {"type": "rich", "content_scan_version": 0}
    if not isinstance(given, dict):
        form.wrong(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return stored
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
        stored["fields"] = _fields(form, (*path, "fields"), given["fields"])
    return stored | _urls(form, path, given, ("url",)) | _plain(form, path, given)


def _fields(form: Form, path: _Path, given: Any) -> list[JsonDict]:
    if not isinstance(given, list):
        form.wrong(path, "BASE_TYPE_BAD_TYPE", "Only iterables may be used in a ListType")
        return []
    if len(given) > FIELDS:
        too_long(form, path, FIELDS)
    stored = []
    for n, one in enumerate(given):
        source = one if isinstance(one, dict) else {}
        field: JsonDict = {
            name: text(form, (*path, n, name), source.get(name), limit, required=True)
            for name, limit in _FIELD.items()
        }
        stored.append(field | {"inline": bool(source.get("inline"))})
    return stored


def _urls(form: Form, path: _Path, holder: JsonDict, names: tuple[str, ...]) -> JsonDict:
    found = {name: holder[name] for name in names if holder.get(name)}
    for name, url in found.items():
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
        if parts.scheme not in {"http", "https", "attachment"}:
            message = f'Scheme "{parts.scheme}" is not supported. Scheme must be one of {{0}}.'
            message = message.format("('http', 'https')")
            form.wrong((*path, name), "URL_TYPE_INVALID_SCHEME", message)
        elif not parts.netloc:
            form.wrong((*path, name), "URL_TYPE_INVALID_URL", "Not a well formed URL.")
    return found


def _plain(form: Form, path: _Path, given: JsonDict) -> JsonDict:
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
