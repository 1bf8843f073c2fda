"""What every stand-in shares: the cast, the control API, faults on demand, and a client for them.

A stand-in is a platform's far side on loopback. People act in it through `/control`, and whoever
tests or shows something reads there what really arrived:

    POST   /control/act         {"do": "post", "person": "ada", "channel": "help", "text": "..."}
                                -> {"id": native id}; do: post edit delete react unreact channel
                                person; fields: person channel text message thread reply_to emoji
                                private. A channel "dm:ada" is our app's direct messages with ada
    GET    /control/messages    ?channel=help -> every message there, oldest first (see Seen)
    GET    /control/happened    ?after=N&wait=S -> what people and apps did since entry N
    POST   /control/faults      one fault (see Fault); DELETE takes all away
    POST   /control/knobs       {"limits": bool, "history_lag": seconds, "latency": seconds}
    POST   /control/disconnect  {"how": "close" | "abort" | "fresh"}; fresh: no resume possible
"""

import asyncio
import time
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import aiohttp
from aiohttp import web

JsonDict: TypeAlias = dict[str, Any]

LOOPBACK = "127.0.0.1"
PEOPLE = ("ada", "grace", "linus", "margaret", "dennis")
"""The people in a new stand-in; everybody is a member of every public channel."""
CHANNELS = ("general", "help", "oncall", "digest", "bridge-admin")
"""The public channels of a new stand-in; our app is a member of all of them."""
PRIVATE_CHANNELS = ("secret",)


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as /control/messages lists it. `text` is what a reader sees, `raw` the wire form.

    `channel` is a name, `at` seconds since 1970, `reactions` maps an emoji's short name to people.
    """

    id: str
    channel: str
    author: str
    by_app: bool
    text: str
    at: float
    thread: str = ""
    deleted: bool = False
    edited: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    raw: JsonDict = field(default_factory=dict)


@dataclass(slots=True)
class Fault:
    """Something to go wrong with the next `times` calls (-1: all) of a method in a channel.

    `method` is a pattern such as "chat.postMessage" or "POST /channels/*/messages"; `channel` a
    name, "" for any. Kinds: status (answer `status`, do nothing), drop_before (cut, do nothing),
    drop_after (do it, cut), status_after (do it, answer `status`), accept_late (cut at once, do
    it `seconds` later), ratelimit (429, wait `seconds`), latency (do it, answer `seconds` later).
    """

    method: str
    kind: str
    times: int = 1
    status: int = 500
    seconds: float = 1.0
    channel: str = ""

    KINDS = (
        "status",
        "drop_before",
        "drop_after",
        "status_after",
        "accept_late",
        "ratelimit",
        "latency",
    )


class Faults:
    """The faults that are still to happen."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Line one up behind those that are there."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.clear()

    def take(self, method: str, channel: str = "") -> Fault | None:
        """The first fault that fits this call, used up by one."""
        for fault in self._faults:
            fits = fnmatchcase(method, fault.method) and fault.channel in {"", channel}
            if fault.times and fits:
                fault.times -= 1
                return fault
        return None


class Journal:
    """What happened, numbered from 1, for those who watch."""

    def __init__(self) -> None:
        self._entries: list[JsonDict] = []
        self._more = asyncio.Event()

    def note(self, what: str, **facts: Any) -> None:
        """Add an entry: {"n", "at", "what", ...facts}."""
        self._entries.append(
            {"n": len(self._entries) + 1, "at": time.time(), "what": what, **facts}
        )
        self._more.set()
        self._more = asyncio.Event()

    async def after(self, n: int, wait: float) -> list[JsonDict]:
        """Entries later than the nth; waits up to `wait` seconds for one."""
        if len(self._entries) <= n and wait > 0:
            more = self._more
            try:
                await asyncio.wait_for(more.wait(), wait)
            except TimeoutError:
                return []
        return self._entries[n:]


@dataclass(slots=True)
class Knobs:
    """What can be changed while a stand-in runs. Times are seconds."""

    limits: bool = True
    history_lag: float = 0.0
    latency: float = 0.0


class World(Protocol):
    """A stand-in's state, as the control API needs it."""

    faults: Faults
    journal: Journal
    knobs: Knobs

    async def act(self, act: JsonDict) -> JsonDict:
        """Do what a person does. Raises KeyError or ValueError for what does not exist."""

    def seen(self, channel: str) -> list[Seen]:
        """Every message of a channel, deleted ones included, oldest first."""

    async def disconnect(self, how: str) -> None:
        """Cut the event connections of all clients."""


def control(world: World) -> list[web.RouteDef]:
    """The routes of the control API."""
    door = _Control(world)
    return [
        web.post("/control/act", door.act),
        web.get("/control/messages", door.messages),
        web.get("/control/happened", door.happened),
        web.post("/control/faults", door.add_fault),
        web.delete("/control/faults", door.clear_faults),
        web.post("/control/knobs", door.turn_knobs),
        web.post("/control/disconnect", door.disconnect),
    ]


class _Control:
    """The handlers of the control API."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def act(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(await self._world.act(await request.json()))
        except (KeyError, ValueError) as error:
            return _refused(str(error))

    async def messages(self, request: web.Request) -> web.Response:
        try:
            seen = self._world.seen(request.query["channel"])
        except KeyError as error:
            return _refused(str(error))
        return web.json_response([asdict(one) for one in seen])

    async def happened(self, request: web.Request) -> web.Response:
        after, wait = int(request.query.get("after", "0")), float(request.query.get("wait", "0"))
        return web.json_response(await self._world.journal.after(after, wait))

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = Fault(**await request.json())
        if fault.kind not in Fault.KINDS:
            return _refused(f"kind {fault.kind!r}; allowed: {', '.join(Fault.KINDS)}")
        self._world.faults.add(fault)
        return web.json_response({})

    async def clear_faults(self, _: web.Request) -> web.Response:
        self._world.faults.clear()
        return web.json_response({})

    async def turn_knobs(self, request: web.Request) -> web.Response:
        allowed = {one.name for one in fields(Knobs)}
        for name, value in (await request.json()).items():
            if name not in allowed:
                return _refused(f"knob {name!r}; allowed: {', '.join(sorted(allowed))}")
            setattr(self._world.knobs, name, value)
        return web.json_response(asdict(self._world.knobs))

    async def disconnect(self, request: web.Request) -> web.Response:
        await self._world.disconnect((await request.json()).get("how", "close"))
        return web.json_response({})


def _refused(why: str) -> web.Response:
    return web.json_response({"error": why}, status=HTTPStatus.BAD_REQUEST)


class Remote:
    """A client of one stand-in's control API. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session:
            await self._session.close()

    async def act(self, do: str, **fields: Any) -> str:
        """Do something as a person; returns the native id it concerns ("" where there is none)."""
        return str((await self._call("POST", "act", json={"do": do, **fields})).get("id", ""))

    async def post(self, person: str, channel: str, text: str, **fields: Any) -> str:
        """Post as a person; returns the native id."""
        return await self.act("post", person=person, channel=channel, text=text, **fields)

    async def messages(self, channel: str) -> list[Seen]:
        """Every message of a channel, oldest first."""
        found = await self._call("GET", "messages", params={"channel": channel})
        return [Seen(**one) for one in found]

    async def happened(self, after: int = 0, wait: float = 0.0) -> list[JsonDict]:
        """Journal entries later than the nth."""
        found: list[JsonDict] = await self._call(
            "GET", "happened", params={"after": str(after), "wait": str(wait)}
        )
        return found

    async def fault(self, method: str, kind: str, **fields: Any) -> None:
        """Let the next calls of a method go wrong, see Fault."""
        await self._call("POST", "faults", json={"method": method, "kind": kind, **fields})

    async def mend(self) -> None:
        """Take all faults away."""
        await self._call("DELETE", "faults")

    async def knobs(self, **knobs: Any) -> None:
        """Change Knobs."""
        await self._call("POST", "knobs", json=knobs)

    async def disconnect(self, how: str = "close") -> None:
        """Cut the event connections of all clients."""
        await self._call("POST", "disconnect", json={"how": how})

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        if self._session is None:
            raise RuntimeError("use `async with Remote(url)`")
        async with self._session.request(method, f"{self.url}/control/{path}", **options) as answer:
            body = await answer.json()
            if answer.status != HTTPStatus.OK:
                raise ValueError(f"{path}: {body.get('error', body)}")
            return body
