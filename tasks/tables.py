"""Facts on the terminal: aligned columns for people, one line of JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer

NOTHING = "-"


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows in columns headed by their names, or `empty` where there are none."""
    if as_json:
        show_json(list(rows))
    elif rows:
        for line in columns([tuple(rows[0]), *(tuple(row.values()) for row in rows)]):
            typer.echo(line)
    else:
        typer.echo(empty)


def show_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print facts, one a line."""
    if as_json:
        show_json(facts)
    else:
        for line in columns([(name, _in_a_cell(value)) for name, value in facts.items()]):
            typer.echo(line)


def show_json(found: Any) -> None:
    """Print one line of JSON."""
    typer.echo(json.dumps(found, default=str, ensure_ascii=False))


def _in_a_cell(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items()) or None
    return value


def columns(rows: Sequence[Sequence[Any]]) -> list[str]:
    """The rows as lines, every column as wide as its widest cell."""
    cells = [[NOTHING if each is None else str(each) for each in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
