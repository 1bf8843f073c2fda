"""`chatbridge deliveries`: look at what is owed, sent and given up, and change it."""

# ruff: noqa: PLC0415, FBT002  (imports inside keep --help quick; a flag's default is no argument)

from collections.abc import Mapping, Sequence
from typing import Annotated, NoReturn

import typer

from tasks.options import FAILED, WRONG_USE, Config, Json, opened

deliveries = typer.Typer(
    help="Look at what is owed, sent and given up, and change it.", no_args_is_help=True
)

Id = Annotated[int, typer.Argument(help="As `deliveries list` shows it.", min=1)]
Ids = Annotated[list[int] | None, typer.Argument(help="As `deliveries list` shows them.", min=1)]


@deliveries.command("list")
def list_deliveries(
    config: Config = "",
    status: Annotated[
        str, typer.Option(help="owed, sent, cancelled, dead or held; all by default.")
    ] = "",
    rule: Annotated[str, typer.Option(help="Only of this notification, by its name.")] = "",
    account: Annotated[str, typer.Option(help="Only to this account.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Rows at most, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List deliveries, newest first."""
    from tasks.status import delivery_rows
    from tasks.tables import show

    rows = delivery_rows(opened(config), status, limit, rule=rule, account=account)
    show(rows, as_json=as_json, empty="no deliveries")


@deliveries.command("show")
def show_delivery(delivery: Id, config: Config = "", as_json: Json = False) -> None:
    """Show all that is known of one delivery."""
    from tasks.story import story
    from tasks.tables import show_facts

    show_facts(story(opened(config), delivery), as_json=as_json)


@deliveries.command("retry")
def retry_deliveries(
    ids: Ids = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    config: Config = "",
    as_json: Json = False,
) -> None:
    """Send dead or held deliveries after all, if they still matter."""
    from tasks.changes import dead_ones, retry

    if not ids and not dead:
        _refuse(", or --dead for all that were given up")
    house = opened(config)
    chosen = sorted({*(ids or ()), *(dead_ones(house) if dead else ())})
    _tell(retry(house, chosen), as_json=as_json, empty="nothing was given up")


@deliveries.command("cancel")
def cancel_deliveries(ids: Ids = None, config: Config = "", as_json: Json = False) -> None:
    """Cancel deliveries that are owed or held."""
    from tasks.changes import cancel

    if not ids:
        _refuse("")
    _tell(cancel(opened(config), sorted(set(ids or ()))), as_json=as_json, empty="nothing to do")


def _refuse(other: str) -> NoReturn:
    typer.echo(f"which ones? name their ids, see `chatbridge deliveries list`{other}", err=True)
    raise typer.Exit(WRONG_USE)


def _tell(results: Sequence[Mapping[str, object]], *, as_json: bool, empty: str) -> None:
    """Print what came of each; exit code 1 if anything could not be done."""
    from tasks.tables import show

    show(results, as_json=as_json, empty=empty)
    if not all(one["done"] for one in results):
        raise typer.Exit(FAILED)
