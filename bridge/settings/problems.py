"""What is wrong in config.toml, in words an admin can act on: file, line, key, what is allowed."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bridge.settings.source import KeyPath, Source, spelled


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, at a key path."""

    path: KeyPath
    text: str

    def told(self, source: Source) -> str:
        """The finished line: config.toml:41: notifications[2].after: ..."""
        text = " ".join(self.text.splitlines())
        return f"{source.where(self.path)}: {spelled(self.path)}: {text}"


def quote(value: Any) -> str:
    """A value as config would write it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def unknown_key(key: str, allowed: Iterable[str]) -> str:
    """What to say of a key that nobody knows."""
    names = sorted(allowed)
    near = difflib.get_close_matches(key, names, n=1)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    return f"unknown key; {guess}allowed: {', '.join(names)}"


def told(problems: Iterable[Problem], source: Source) -> list[str]:
    """Finished lines in the order of the file, each once."""
    ordered = sorted(problems, key=lambda problem: source.line(problem.path))
    return list(dict.fromkeys(problem.told(source) for problem in ordered))


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every mistake that pydantic found in a tree of tables whose top is `model`."""
    errors = error.errors(include_url=False)
    inside = {each["loc"][:-1] for each in errors}
    return [
        Problem(tuple(each["loc"]), _told(each, model))
        for each in errors
        # a list is also called too short for the sake of its wrong entries
        if each["type"] != "too_short" or each["loc"] not in inside
    ]


def _told(error: ErrorDetails, top: type[BaseModel]) -> str:
    kind, path = error["type"], error["loc"]
    if kind == "extra_forbidden":
        table = _table_at(path[:-1], top)
        return unknown_key(str(path[-1]), _fields(table) if table else ())
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "literal_error":
        allowed = error["ctx"]["expected"].replace("'", '"')
        return f"{quote(error['input'])} is not known; allowed: {allowed}"
    if kind == "tuple_type" and isinstance(error["input"], dict):
        return f"must be a list of tables; write [[{path[-1]}]] instead of [{path[-1]}]"
    return _PLAIN.get(kind, error["msg"]) + _example(path, top)


_PLAIN = {
    "missing": "required key is missing",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "tuple_type": 'must be a list, such as ["...", "..."]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def _example(path: KeyPath, top: type[BaseModel]) -> str:
    table = _table_at(path[:-1], top)
    field = _fields(table).get(str(path[-1])) if table else None
    return f"; for example {field.examples[0]}" if field and field.examples else ""


def _table_at(path: KeyPath, top: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the table at a key path; None where no model describes it."""
    table: type[BaseModel] | None = top
    for key in path:
        if table is None:
            return None
        field = _fields(table).get(str(key))
        if field is not None:
            table = _model_in(field.annotation)
    return table


def _fields(table: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The keys of a table as config writes them."""
    named = table.model_fields.items()
    return {str(field.validation_alias or name): field for name, field in named}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside tuple[X, ...], dict[str, X] or X | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
