"""The stand-ins of all platforms, run together."""

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import typer

from adapters import load
from bridge.errors import ConfigError


async def serve(ports: Mapping[str, int], *, as_json: bool = False) -> None:
    """Run stand-ins on these ports (0: a free one) until cancelled.

    Prints the config sections that lead to them, or one line of JSON: {platform: {url, account}}.
    Raises ConfigError for a port that cannot be used.
    """
    async with AsyncExitStack() as stack:
        found: dict[str, dict[str, Any]] = {}
        for name, port in ports.items():
            try:
                standin = await load(name).standin(port)
            except OSError as error:
                why = os.strerror(error.errno) if error.errno else str(error)
                raise ConfigError(f"--{name}-port {port}: {why}; take another port") from error
            stack.push_async_callback(standin.stop)
            found[name] = {"url": standin.url, "account": standin.account()}
        if as_json:
            typer.echo(json.dumps(found))
        else:
            for name, one in found.items():
                typer.echo(f"# {name} stand-in at {one['url']}, control API under /control")
                typer.echo(section(name, one["account"]))
        await asyncio.Event().wait()


def section(name: str, account: Mapping[str, str]) -> str:
    """An [accounts.x] section of config.toml."""
    keys = "".join(f'{key} = "{value}"\n' for key, value in account.items())
    return f"[accounts.{name}]\n{keys}"
