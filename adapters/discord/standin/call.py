"""One REST call: what was asked, by a known app, and the endpoints that can answer it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

from aiohttp import web

from adapters.discord.standin import permissions
from adapters.discord.standin.forms import snowflake
from adapters.discord.standin.limits import Limit
from adapters.discord.standin.refusals import (
    Form,
    missing_access,
    missing_permissions,
    not_json,
    thread_archived,
    unknown,
)
from adapters.discord.standin.workspace import Channel, Message, Person
from adapters.discord.standin.world import World
from adapters.standin import JsonDict

API = "/api/v10"
USUAL_LIMIT = Limit(50, 1.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; without a body (None) the status is 204."""

    body: Any = None
    status: int = HTTPStatus.OK


@dataclass(slots=True)
class Call:
    """A request whose body has been read. `path` has no /api/v10, `form` is a multipart body."""

    world: World
    method: str
    path: str
    params: dict[str, str]
    query: dict[str, str]
    content: bytes = b""
    form: dict[str, str | bytes | bytearray | web.FileField] = field(default_factory=dict)

    @property
    def app(self) -> Person:
        """Our app, who makes the call."""
        return self.world.workspace.app

    def body(self) -> JsonDict:
        """The JSON body; {} where there is none. Raises Refusal."""
        raw = self.form.get("payload_json") if self.form else self.content
        if not raw:
            return {}
        if isinstance(raw, web.FileField):
            raw = raw.file.read()
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise not_json() from error
        if not isinstance(found, dict):
            form = Form()
            message = "Only dictionaries may be used in a DictType"
            form.wrong((), "DICT_TYPE_CONVERT", message)
            form.settle()
        return dict(found)

    def channel(self, *needs: int) -> Channel:
        """The channel of the path, if our app sees it and may do all that. Raises Refusal."""
        native_id = snowflake("channel_id", self.params["channel_id"])
        found = self.world.workspace.channels.get(native_id)
        if found is None:
            raise unknown("Channel")
        if not found.allows(permissions.VIEW_CHANNEL):
            raise missing_access()
        if not all(found.allows(need) for need in needs):
            raise missing_permissions()
        return found

    def open_channel(self, *needs: int) -> Channel:
        """The channel of the path as above, unless it is an archived thread. Raises Refusal."""
        found = self.channel(*needs)
        if found.archived:
            raise thread_archived()
        return found

    def message(self, channel: Channel) -> Message:
        """The message of the path, if it is in that channel. Raises Refusal."""
        native_id = snowflake("message_id", self.params["message_id"])
        found = self.world.workspace.messages.get(native_id)
        if found is None or found.deleted or found.channel is not channel:
            raise unknown("Message")
        return found

    def guild(self) -> None:
        """Raise Refusal unless the path names our guild."""
        native_id = snowflake("guild_id", self.params["guild_id"])
        if native_id != self.world.workspace.guild_id:
            raise unknown("Guild")


Handle: TypeAlias = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. `open`: needs no token; `counted`: in the limit for everything."""

    method: str
    path: str
    handle: Handle
    limit: Limit = USUAL_LIMIT
    open: bool = False
    counted: bool = True

    @property
    def bucket(self) -> str:
        """The name of its limit; the ids in the path are not part of it."""
        return _hash(f"{self.method} {self.path}")


def _hash(route: str) -> str:
    value = 0xCBF29CE484222325
    for byte in route.encode():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{value:016x}"
