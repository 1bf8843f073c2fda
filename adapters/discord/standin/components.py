"""Checks rows of buttons as Discord does and numbers them as it stores them. Pure."""

from typing import Any

from adapters.discord.standin.fields import Path, items, record, text
from adapters.discord.standin.refusals import Form
from adapters.standin import JsonDict

ROWS = 5
BUTTONS = 5
LABEL = 80
CUSTOM_ID = 100
_ROW, _BUTTON, _LINK = 1, 2, 5
_PARTS = (2, 3, 5, 6, 7, 8)


def rows(form: Form, given: Any) -> list[JsonDict]:
    """Action rows as stored: every part gets a number as its `id`."""
    stored: list[JsonDict] = []
    count = 0
    for n, one in enumerate(items(form, ("components",), given, ROWS)):
        row = record(form, ("components", n), one)
        if row.get("type") != _ROW:
            message = f'Value of field "type" must be one of ({_ROW},).'
            form.wrong(("components", n), "UNION_TYPE_CHOICES", message)
            continue
        parts = _parts(form, ("components", n, "components"), row.get("components"), count + 1)
        stored.append({"type": _ROW, "id": count + 1, "components": parts})
        count += 1 + len(parts)
    return stored


def _parts(form: Form, path: Path, given: Any, taken: int) -> list[JsonDict]:
    found = items(form, path, given, BUTTONS)
    if not found:
        message = f"Must be between 1 and {BUTTONS} in length."
        form.wrong(path, "BASE_TYPE_BAD_LENGTH", message)
    return [{"id": taken + n + 1, **_part(form, (*path, n), one)} for n, one in enumerate(found)]


def _part(form: Form, path: Path, given: Any) -> JsonDict:
    part = record(form, path, given)
    kind = part.get("type")
    if kind not in _PARTS:
        message = f'Value of field "type" must be one of {_PARTS}.'
        form.wrong(path, "UNION_TYPE_CHOICES", message)
    if kind == _BUTTON:
        text(form, (*path, "label"), part.get("label"), LABEL)
    linked = kind == _BUTTON and part.get("style") == _LINK
    name, limit = ("url", 512) if linked else ("custom_id", CUSTOM_ID)
    text(form, (*path, name), part.get(name), limit, required=True)
    return part
