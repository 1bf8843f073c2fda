"""What every command shares: its options, its exit codes, and the house that it opens."""

# ruff: noqa: PLC0415  (imports inside keep --help quick)

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.wiring import House

FAILED = 1
WRONG_USE = 2

Config = Annotated[
    str, typer.Option("--config", "-c", help="Path of config.toml.", show_default="./config.toml")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def opened(config: str) -> "House":
    """Open the config and prepare this process's logs."""
    from tasks.logs import configure
    from tasks.wiring import CONFIG_VARIABLE, config_path, open_house

    path = config_path(config)
    os.environ[CONFIG_VARIABLE] = str(path)
    house = open_house(str(path))
    configure(house)
    return house
