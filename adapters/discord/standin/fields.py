"""Reads the fields of a request's body; what is of the wrong kind is complained about. Pure."""

from typing import Any, TypeAlias

from adapters.discord.standin.refusals import Form
from adapters.standin import JsonDict

Path: TypeAlias = tuple[str | int, ...]


def too_long(form: Form, path: Path, limit: int) -> None:
    """Complain about a text or list that exceeds a limit."""
    form.wrong(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def text(form: Form, path: Path, given: Any, limit: int, *, required: bool = False) -> str:
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


def items(form: Form, path: Path, given: Any, limit: int) -> list[Any]:
    """A list of at most `limit` things; null is an empty one."""
    if given is None:
        return []
    if not isinstance(given, list):
        form.wrong(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return []
    if len(given) > limit:
        too_long(form, path, limit)
    return given


def record(form: Form, path: Path, given: Any) -> JsonDict:
    """An object; null is an empty one."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        form.wrong(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return {}
    return given
