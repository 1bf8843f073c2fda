"""Fields of what Discord sends, or a ValueError that names what is wrong with them."""

from typing import Any, TypeAlias, TypeVar

JsonDict: TypeAlias = dict[str, Any]
Kind = TypeVar("Kind")


def need(data: JsonDict, key: str, kind: type[Kind]) -> Kind:
    """A field that must be there. Raises ValueError where it is missing or of another kind."""
    if data.get(key) is None:
        raise ValueError(f"{key} is missing")
    return _checked(data[key], key, kind)


def maybe(data: JsonDict, key: str, default: Kind) -> Kind:
    """A field that may be missing or null. Raises ValueError where it is of another kind."""
    value = data.get(key)
    return default if value is None else _checked(value, key, type(default))


def native_id(data: JsonDict, key: str = "id") -> str:
    """A snowflake: digits that fit in 64 bits. Raises ValueError for anything else."""
    value = need(data, key, str)
    if not (value.isascii() and value.isdecimal() and int(value[:21]) < 1 << 64):
        raise ValueError(f"{key} is not an id: {value[:40]!r}")
    return value


def maybe_id(data: JsonDict, key: str) -> str:
    """A snowflake that may be missing or null: then the empty string."""
    return "" if data.get(key) is None else native_id(data, key)


def flag(data: JsonDict, key: str) -> bool:
    """A yes or no; what is missing is a no."""
    return maybe(data, key, default=False)


def part(data: JsonDict, key: str) -> JsonDict:
    """An object that may be missing or null: then an empty one."""
    return maybe(data, key, JsonDict())


def items(data: JsonDict, key: str) -> list[Any]:
    """A list that may be missing or null: then an empty one."""
    return maybe(data, key, list[Any]())


def dicts(data: JsonDict, key: str) -> list[JsonDict]:
    """A list of objects that may be missing. Raises ValueError where an item is no object."""
    return [_checked(item, f"an item of {key}", dict) for item in items(data, key)]


def _checked(value: Any, key: str, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise ValueError(f"{key} is {type(value).__name__}, not {kind.__name__}")  # noqa: TRY004
    return value
