"""One call of a Web API method: its arguments, read the forgiving way Slack reads them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from adapters.slack.standin.channels import Channel, Message
from adapters.slack.standin.errors import RefusedError, invalid_arguments
from adapters.slack.standin.ids import from_ts
from adapters.slack.standin.limits import Tier
from adapters.slack.standin.workspace import Workspace
from adapters.standin import JsonDict

_TRUE = {"1", "true", "yes", "on"}
_TS = re.compile(r"\d{10}\.\d{6}")
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Call:
    """A call with checked token, within its limits."""

    world: Workspace
    args: JsonDict

    def text(self, name: str, default: str = "") -> str:
        """An argument as text."""
        value = self.args.get(name)
        return default if value is None else value if isinstance(value, str) else str(value)

    def needed(self, name: str) -> str:
        """An argument that must be there. Raises invalid_arguments."""
        value = self.text(name)
        if not value:
            raise invalid_arguments(f"missing required field: {name}")
        return value

    def flag(self, name: str) -> bool:
        """A boolean argument: 1, true, "true" ..."""
        return self.text(name).lower() in _TRUE

    def limit(self, default: int, most: int) -> int:
        """The size of a page. Raises invalid_limit."""
        value = self.text("limit") or str(default)
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= most:
            raise RefusedError("invalid_limit")
        return int(value)

    def structure(self, name: str, code: str) -> object:
        """An argument that is JSON, or is in JSON already; None where absent. Raises `code`."""
        value = self.args.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise RefusedError(code) from None

    def moment(self, name: str, code: str) -> int | None:
        """A ts argument in microseconds, None where absent. Raises `code`."""
        value = self.text(name)
        try:
            return from_ts(value) if value and value != "now" else None
        except ValueError:
            raise RefusedError(code) from None

    def channel(self) -> Channel:
        """The conversation that `channel` names by id. Raises channel_not_found."""
        channel = self.world.visible(self.needed("channel"))
        if channel is None:
            raise RefusedError("channel_not_found")
        return channel

    def joined(self) -> Channel:
        """A conversation our app is in. Raises channel_not_found, not_in_channel."""
        channel = self.channel()
        if self.world.app.user.id not in channel.members:
            raise RefusedError("not_in_channel")
        return channel

    def message(self, channel: Channel, name: str) -> Message:
        """The message that an argument names by ts. Raises message_not_found."""
        message = self.world.message(self.text(name), channel)
        if message is None:
            raise RefusedError("message_not_found")
        return message


def is_ts(text: str) -> bool:
    """Whether this has the form of a message's ts."""
    return _TS.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the Web API. `run` gives the answer without `ok`, or raises RefusedError.

    `tier` limits it: per method, or with `per_channel` for each channel on its own. `app_token`
    is for the few methods that take an xapp- token instead of a bot token.
    """

    run: Callable[[Call], JsonDict]
    tier: Tier
    per_channel: bool = False
    app_token: bool = False
