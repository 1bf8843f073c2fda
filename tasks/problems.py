"""Errors on their way to the admin: all of them at once, each with the line of config.toml."""

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

from bridge.errors import BridgeError, ConfigError, StoreError
from bridge.settings import Settings, unknown_key

P = ParamSpec("P")
T = TypeVar("T")


class Problems:
    """Gathers ConfigErrors, so that an admin sees all of them at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def catch(self, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `make` returns, or None and its problems are kept."""
        try:
            return make(*args, **kwargs)
        except ConfigError as error:
            self.lines.extend(error.problems)
            return None

    def raise_any(self) -> None:
        """Raise ConfigError if there were problems."""
        if self.lines:
            raise ConfigError(*dict.fromkeys(self.lines))


def of_account(settings: Settings, name: str, error: BridgeError) -> str:
    """What an account's platform answered, with the section that it is about."""
    place, section = settings.where("accounts", name), f"accounts.{name}"
    text = str(error).removeprefix(f"{name}: ")
    return f"{place}: {text if text.startswith(section) else f'{section}: {text}'}"


def of_options(
    settings: Settings, name: str, model: type[BaseModel], error: ValidationError
) -> Iterable[str]:
    """What an adapter says of the keys in its section, a finished line per mistake."""
    for one in error.errors(include_input=False, include_url=False):
        path = ("accounts", name, *(str(part) for part in one["loc"]))
        what = {
            "extra_forbidden": unknown_key(path[-1], model.model_fields),
            "missing": "required key is missing; every account of this platform needs it",
        }.get(one["type"], one["msg"].removeprefix("Value error, "))
        yield f"{settings.where(*path)}: {'.'.join(path)}: {what}"


def of_store(settings: Settings, error: StoreError) -> str:
    """Why the store cannot be used, and where config says which it is."""
    if error.__cause__ is None or "[store]" in str(error):
        return str(error)  # says by itself what to do
    return (
        f"{settings.where('store', 'url')}: store.url: {error}; "
        "start its server or make its folder, or name another store"
    )
