"""Checks rows of buttons as Discord does and numbers them as it stores them. Pure."""

from typing import Any

from adapters.discord.standin.embeds import text, too_long
from adapters.discord.standin.refusals import Form
from adapters.standin import JsonDict

ROWS = 5
BUTTONS = 5
LABEL = 80
CUSTOM_ID = 100
_ROW, _BUTTON, _LINK = 1, 2, 5
_SELECTS = (3, 5, 6, 7, 8)


def rows(form: Form, given: Any) -> list[JsonDict]:
    """Action rows as stored: every part gets a number as its `id`."""
    if not given:
        return []
    if not isinstance(given, list):
        message = "Only iterables may be used in a ListType"
        form.wrong(("components",), "BASE_TYPE_BAD_TYPE", message)
        return []
    if len(given) > ROWS:
        too_long(form, ("components",), ROWS)
    stored: list[JsonDict] = []
    count = 0
    for n, row in enumerate(given):
        if not isinstance(row, dict) or row.get("type") != _ROW:
            message = f'Value of field "type" must be one of ({_ROW},).'
            form.wrong(("components", n), "UNION_TYPE_CHOICES", message)
            continue
        parts = _parts(form, n, row.get("components") or [], count + 1)
        stored.append({"type": _ROW, "id": count + 1, "components": parts})
        count += 1 + len(parts)
    return stored


def _parts(form: Form, row: int, given: list[JsonDict], taken: int) -> list[JsonDict]:
    path = ("components", row, "components")
    if not 1 <= len(given) <= BUTTONS:
        message = f"Must be between 1 and {BUTTONS} in length."
        form.wrong(path, "BASE_TYPE_BAD_LENGTH", message)
    stored: list[JsonDict] = []
    for n, part in enumerate(given):
        if part.get("type") not in {_BUTTON, *_SELECTS}:
            message = 'Value of field "type" must be one of (2, 3, 5, 6, 7, 8).'
            form.wrong((*path, n), "UNION_TYPE_CHOICES", message)
        if part.get("type") == _BUTTON:
            text(form, (*path, n, "label"), part.get("label"), LABEL)
        linked = part.get("style") == _LINK and part.get("type") == _BUTTON
        name, limit = ("url", 512) if linked else ("custom_id", CUSTOM_ID)
        text(form, (*path, n, name), part.get(name), limit, required=True)
        stored.append({"id": taken + n + 1, **part})
    return stored
