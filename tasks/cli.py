"""The `chatbridge` command. Heavy modules are imported by the commands that need them."""

# ruff: noqa: PLC0415, FBT002  (imports inside keep --help quick; a flag's default is no argument)

import importlib.util
import inspect
import pkgutil
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.errors import BridgeError, ConfigError, StoreError
from tasks.deliveries import deliveries
from tasks.options import FAILED, WRONG_USE, Config, Json, opened

if TYPE_CHECKING:
    from tasks.wiring import House

INTERRUPTED = 130

app = typer.Typer(
    name="chatbridge",
    help="Delayed notifications and digests for teams in Slack and Discord.",
    epilog="Exit codes: 0 all went well, 1 failed, 2 wrong use or a config that cannot be used.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(deliveries, name="deliveries")


def main() -> None:
    """Run the command. An error that a person can mend is a line per problem, without a trace."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    # a way out that takes along what was started; commands that go on put their own in its place
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    try:
        app()
    except StoreError as error:
        _fail(_explained(error), WRONG_USE)
    except ConfigError as error:
        _fail(str(error), WRONG_USE)
    except BridgeError as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@app.command()
def up(config: Config = "") -> None:
    """Run everything: listeners, one worker, the scheduler."""
    from bridge.migrations import upgrade
    from tasks.check import require_broker
    from tasks.processes import celery_worker, ours
    from tasks.wiring import require_accounts

    house = opened(config)
    require_accounts(house)
    upgrade(house.store)
    require_broker(house)
    _supervise(
        house,
        listen=ours("listen"),
        worker=celery_worker(house.settings.log.level),
        scheduler=ours("scheduler"),
    )


@app.command()
def listen(
    accounts: Annotated[list[str] | None, typer.Argument(help="Accounts; all by default.")] = None,
    config: Config = "",
) -> None:
    """Take messages in, from all accounts or only the named ones."""
    from tasks.listen import listen as run
    from tasks.watched import connections
    from tasks.web.health import serving

    house = opened(config)
    names = accounts or house.accounts
    probes = {f"listener {name}": connections.probe(name) for name in names}

    async def tell_and_listen() -> None:
        async with serving(house, "listen", probes):
            await run(house, accounts or ())

    _run(tell_and_listen())


@app.command()
def worker(config: Config = "") -> None:
    """Send what is due: a supervised Celery worker. Start as many as you like."""
    from bridge.migrations import require_current
    from tasks.check import require_broker
    from tasks.processes import celery_worker

    house = opened(config)
    require_current(house.store)
    require_broker(house)
    _supervise(house, worker=celery_worker(house.settings.log.level))


@app.command()
def scheduler(config: Config = "") -> None:
    """Keep the time: sweep the outbox, close digest windows. One of several leads."""
    from bridge.migrations import require_current
    from tasks.celery import app as celery
    from tasks.check import require_broker
    from tasks.processes import stop_signals
    from tasks.scheduler import run

    house = opened(config)
    require_current(house.store)
    require_broker(house)
    run(house, celery, stop_signals())


@app.command()
def check(config: Config = "", as_json: Json = False) -> None:
    """Look at config, tokens, channels, store and broker; say what is wrong."""
    import asyncio

    from tasks.check import examine, told
    from tasks.tables import show_json

    findings = asyncio.run(examine(opened(config)))
    if as_json:
        show_json(findings)
    else:
        typer.echo("\n".join(map(told, findings)))
    raise typer.Exit(0 if all(one["ok"] for one in findings) else WRONG_USE)


@app.command()
def migrate(config: Config = "") -> None:
    """Make the store's tables, or bring them up to date."""
    from bridge.migrations import newest, upgrade

    house = opened(config)
    changed = upgrade(house.store)
    typer.echo(f"store {house.store}: {'now' if changed else 'already'} at {newest()}")


@app.command()
def status(config: Config = "", as_json: Json = False) -> None:
    """Show what is stored, owed, sent and late, and who is alive."""
    from tasks.status import facts
    from tasks.tables import show_facts

    show_facts(facts(opened(config)), as_json=as_json)


@app.command()
def schedules(config: Config = "", as_json: Json = False) -> None:
    """Show digests and sweeps: last run, next run, result."""
    from tasks.status import schedule_rows
    from tasks.tables import show

    show(schedule_rows(opened(config)), as_json=as_json, empty="nothing is scheduled")


@app.command()
def demo(
    replay: Annotated[
        str, typer.Option(help="Play a transcript (XML) instead of the script.")
    ] = "",
    speed: Annotated[
        float, typer.Option(min=1, max=3600, help="How much faster the replay's time runs.")
    ] = 60.0,
    check: Annotated[
        bool, typer.Option("--check", help="Headless; expected against seen.")
    ] = False,
    messages: Annotated[int, typer.Option(min=1, help="Replay this many messages at most.")] = 300,
    seconds: Annotated[
        float, typer.Option(min=0, help="End by itself after this; 0: on Ctrl-C.")
    ] = 0.0,
) -> None:
    """Try everything without a token: local stand-ins, people who talk, what comes of it."""
    from tasks.demo import run
    from tasks.demo.check import run as run_check

    if check:
        _run(run_check(replay, messages), interrupted=INTERRUPTED)
    _run(run(replay, speed, messages, seconds))


def _standin(**options: Any) -> None:
    """Run only the stand-ins, on loopback, for anyone's client (Ctrl-C ends)."""
    from tasks.standins import serve

    as_json = options.pop("as_json")
    ports = {name.removesuffix("_port"): port for name, port in options.items() if port is not None}
    _run(serve(ports or dict.fromkeys(_platforms(), 0), as_json=as_json))


def _with_ports(command: Callable[..., None]) -> Callable[..., None]:
    """Give `standin` a port option for each platform that there is a folder for."""
    parameters = [
        inspect.Parameter(
            f"{name}_port",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                int | None,
                typer.Option(min=0, max=65535, help=f"Port of {name}'s; 0: a free one."),
            ],
        )
        for name in _platforms()
    ]
    as_json = inspect.Parameter(
        "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json
    )
    every = [*parameters, as_json]
    command.__annotations__ = {one.name: one.annotation for one in every}
    command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    return command


def _platforms() -> tuple[str, ...]:
    """As adapters.names(), without importing what that package needs: --help stays quick."""
    found = importlib.util.find_spec("adapters")
    folders = found.submodule_search_locations if found else None
    return tuple(sorted(one.name for one in pkgutil.iter_modules(folders) if one.ispkg))


app.command("standin")(_with_ports(_standin))


def _supervise(house: "House", **commands: tuple[str, ...]) -> None:
    """Keep these processes running until Ctrl-C or SIGTERM."""
    from tasks.processes import supervise

    raise typer.Exit(supervise(house.settings.path, commands))


def _run(work: Coroutine[Any, Any, int | None], *, interrupted: int = 0) -> None:
    """Run until done, Ctrl-C or SIGTERM, and end the command."""
    from tasks.processes import run_until_stopped

    raise typer.Exit(run_until_stopped(work, interrupted=interrupted))


def _explained(error: StoreError) -> str:
    """A store's refusal with the place in config.toml that it is about."""
    from tasks.problems import of_store
    from tasks.wiring import open_house

    try:
        return of_store(open_house().settings, error)
    except ConfigError:  # the store is not that of a config: the demo's
        return str(error)


def _fail(text: str, code: int) -> None:
    sys.stderr.write(f"{text}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
