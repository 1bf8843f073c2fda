"""The `chatbridge` command. Heavy modules are imported by the commands that need them."""

import asyncio
import contextlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from adapters import names
from bridge.errors import BridgeError
from tasks.wiring import CONFIG_VARIABLE, House, config_path, open_house

FAILED = 1
WRONG_USE = 2

app = typer.Typer(
    name="chatbridge",
    help="Delayed notifications and digests for teams in Slack and Discord.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
deliveries = typer.Typer(help="Look at what is owed, sent and given up.", no_args_is_help=True)
app.add_typer(deliveries, name="deliveries")

Config = Annotated[
    str, typer.Option("--config", "-c", help="Path of config.toml.", show_default="./config.toml")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command; an error that a person can mend is a line each and exit code 2."""
    try:
        app()
    except BridgeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(WRONG_USE)


@app.command()
def up(config: Config = "") -> None:
    """Run everything: listeners, one worker, the scheduler."""
    from bridge.migrations import upgrade
    from tasks.processes import Children, celery_worker, ours, stop_signals

    house = _house(config)
    upgrade(house.store)
    stop = stop_signals()
    children = Children(house.settings.path)
    try:
        children.add("listen", *ours("listen"))
        children.add("worker", *celery_worker(house.settings.log.level))
        children.add("scheduler", *ours("scheduler"))
        code = children.watch(stop)
    finally:
        children.stop()
    _exit(code)


@app.command()
def listen(
    accounts: Annotated[list[str] | None, typer.Argument(help="Accounts; all by default.")] = None,
    config: Config = "",
) -> None:
    """Take messages in, from all accounts or only the named ones."""
    from tasks.listen import listen as run

    _exit(asyncio.run(_until_stopped(run(_house(config), accounts or ()))))


@app.command()
def worker(config: Config = "") -> None:
    """Send what is due: a supervised Celery worker. Start as many as you like."""
    from bridge.migrations import require_current
    from tasks.processes import Children, celery_worker, stop_signals

    house = _house(config)
    require_current(house.store)
    stop = stop_signals()
    children = Children(house.settings.path)
    try:
        children.add("worker", *celery_worker(house.settings.log.level))
        code = children.watch(stop)
    finally:
        children.stop()
    _exit(code)


@app.command()
def scheduler(config: Config = "") -> None:
    """Keep the time: sweep the outbox, close digest windows. One of several leads."""
    from tasks.celery import app as celery
    from tasks.processes import stop_signals
    from tasks.scheduler import run

    run(_house(config), celery, stop_signals())


@app.command()
def check(config: Config = "", as_json: Json = False) -> None:
    """Look at config, tokens, channels, store and broker; say what is wrong."""
    from tasks.check import examine

    findings = asyncio.run(examine(_house(config)))
    _show(as_json, findings, lambda one: f"{'ok   ' if one['ok'] else 'WRONG'} {one['what']}")
    _exit(0 if all(one["ok"] for one in findings) else WRONG_USE)


@app.command()
def migrate(config: Config = "") -> None:
    """Make the store's tables, or bring them up to date."""
    from bridge.migrations import newest, upgrade

    house = _house(config)
    changed = upgrade(house.store)
    typer.echo(f"store {house.store}: {'now' if changed else 'already'} at {newest()}")


@app.command()
def status(config: Config = "", as_json: Json = False) -> None:
    """Show what is stored, owed, sent and late, and who is alive."""
    from tasks.status import facts

    found = facts(_house(config))
    _show(as_json, found, lambda row: f"{row[0]:<28} {row[1]}", rows=list(found.items()))


@app.command()
def schedules(config: Config = "", as_json: Json = False) -> None:
    """Show digests and sweeps: last run, next run, result."""
    from tasks.status import schedule_rows

    rows = schedule_rows(_house(config))
    _show(as_json, rows, _columns(rows))


@deliveries.command("list")
def list_deliveries(
    config: Config = "",
    status: Annotated[
        str, typer.Option(help="owed, sent, cancelled or dead; all by default.")
    ] = "",
    limit: Annotated[int, typer.Option(help="Rows at most, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List deliveries, newest first."""
    from tasks.status import delivery_rows

    rows = delivery_rows(_house(config), status, limit)
    _show(as_json, rows, _columns(rows))


@app.command()
def demo(
    replay: Annotated[
        str, typer.Option(help="Play a transcript (XML) instead of the script.")
    ] = "",
    speed: Annotated[float, typer.Option(help="How much faster the replay's time runs.")] = 60.0,
    check: Annotated[
        bool, typer.Option("--check", help="Headless; expected against seen.")
    ] = False,
    messages: Annotated[int, typer.Option(help="Replay this many messages at most.")] = 300,
    seconds: Annotated[float, typer.Option(help="End by itself after this; 0: on Ctrl-C.")] = 0.0,
) -> None:
    """Try everything without a token: local stand-ins, people who talk, what comes of it."""
    from tasks.demo import run
    from tasks.demo.check import run as run_check

    if check:
        _exit(asyncio.run(run_check(replay, messages)))
    _exit(asyncio.run(run(replay, speed, messages, seconds)))


def _standin(**options: Any) -> None:
    """Run only the stand-ins, on loopback, for anyone's client (Ctrl-C ends)."""
    from tasks.standins import serve

    as_json = options.pop("as_json")
    ports = {name.removesuffix("_port"): port for name, port in options.items() if port is not None}
    running = serve(ports or dict.fromkeys(names(), 0), as_json=as_json)
    _exit(asyncio.run(_until_stopped(running)))


def _with_ports(command: Callable[..., None]) -> Callable[..., None]:
    """Give `standin` a port option for each platform that there is a folder for."""
    ports = {
        f"{name}_port": Annotated[int | None, typer.Option(help=f"Port of {name}'s.")]
        for name in names()
    }
    hints = {**ports, "as_json": Json}
    command.__annotations__ = hints
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if name == "as_json" else None,
                annotation=hint,
            )
            for name, hint in hints.items()
        ]
    )
    return command


app.command("standin")(_with_ports(_standin))


def _exit(code: int) -> None:
    """End the command with this code."""
    raise typer.Exit(code)


def _house(config: str) -> House:
    """Open the config and prepare this process's logs."""
    path = config_path(config)
    os.environ[CONFIG_VARIABLE] = str(path)
    house = open_house(str(path))
    from tasks.logs import configure

    configure(house)
    return house


async def _until_stopped(work: Any) -> int:
    """Run until done, Ctrl-C or SIGTERM."""
    import signal

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await task
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
    return 0


def _show(
    as_json: bool,  # noqa: FBT001  (straight from the command line)
    found: Any,
    line: Callable[[Any], str],
    rows: Sequence[Any] | None = None,
) -> None:
    if as_json:
        typer.echo(json.dumps(found, default=str, ensure_ascii=False))
        return
    for row in found if rows is None else rows:
        typer.echo(line(row))


def _columns(rows: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any]], str]:
    """A printer of rows in aligned columns, headed by their names."""
    if not rows:
        return str
    widths = {
        key: max(len(key), *(len(str(row[key] if row[key] is not None else "-")) for row in rows))
        for key in rows[0]
    }
    typer.echo("  ".join(key.ljust(width) for key, width in widths.items()).rstrip(), err=False)

    def line(row: dict[str, Any]) -> str:
        cells = (str("-" if row[key] is None else row[key]).ljust(widths[key]) for key in widths)
        return "  ".join(cells).rstrip()

    return line


if __name__ == "__main__":
    main()
