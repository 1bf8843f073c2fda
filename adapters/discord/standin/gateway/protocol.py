"""What is said on a gateway connection: hello, identify, resume, heartbeats, close codes."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import WSMsgType, web

from adapters.discord.standin import guild, shapes
from adapters.discord.standin.gateway import intents
from adapters.discord.standin.gateway.connection import Connection
from adapters.discord.standin.gateway.hub import INVALID_SESSION, Hub, Session
from adapters.discord.standin.limits import Limit, Limits
from adapters.discord.standin.workspace import Person, Workspace
from adapters.standin import JsonDict, Knobs

HEARTBEAT, IDENTIFY, PRESENCE, VOICE, RESUME, MEMBERS, HELLO, ACK = 1, 2, 3, 4, 6, 8, 10, 11
LARGEST = 4096
PAYLOADS = Limit(120, 60.0)
CHUNK = 1000
_UNKNOWN_OP, _NOT_DECODED, _NOT_AUTHENTICATED, _BAD_TOKEN, _ALREADY = 4001, 4002, 4003, 4004, 4005
_BAD_SEQ, _TOO_FAST, _TIMED_OUT, _BAD_SHARD, _BAD_VERSION = 4007, 4008, 4009, 4010, 4012
_BAD_INTENTS, _DISALLOWED = 4013, 4014
_VERSIONS = ("9", "10")


class Closed(Exception):  # noqa: N818 - how a conversation ends, not a failure
    """The connection must be closed with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Gateway:
    """The endpoint. `heartbeat_ms` and `privileged` may be changed while it runs."""

    def __init__(self, workspace: Workspace, hub: Hub, knobs: Knobs) -> None:
        self._workspace = workspace
        self._hub = hub
        self._knobs = knobs
        self.heartbeat_ms = 41_250
        self.privileged = intents.USUAL
        self.url = ""

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from hello to close."""
        socket = web.WebSocketResponse(compress=False, timeout=1.0, max_msg_size=1 << 20)
        await socket.prepare(request)
        connection = Connection(socket, request)
        talk = Conversation(self, self._workspace, self._hub, connection)
        self._hub.entered(connection)
        writing = asyncio.create_task(connection.write())
        try:
            connection.say(HELLO, {"heartbeat_interval": self.heartbeat_ms, "_trace": []})
            await self._talk(talk, socket, connection, request.query.get("v", "10"))
            # A client that says 1000 or 1001 itself gives its session up (documented).
            over = socket.close_code in {1000, 1001} and not connection.closing
            self._hub.left(connection, talk.session, over=over)
        finally:
            self._hub.left(connection, talk.session, over=False)
            writing.cancel()
            await asyncio.wait([writing])
            connection.closed.set()
        return socket

    async def _talk(
        self, talk: "Conversation", socket: web.WebSocketResponse, connection: Connection, v: str
    ) -> None:
        limits = Limits()
        wait = self.heartbeat_ms / 1000 * 2
        try:
            _require(v in _VERSIONS, _BAD_VERSION)
            while True:
                message = await socket.receive(timeout=wait)
                if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    return
                now = asyncio.get_running_loop().time()
                in_time = not (self._knobs.limits and limits.take("payloads", PAYLOADS, now).wait)
                _require(in_time, _TOO_FAST)
                talk.hear(_decoded(message.data))
        except TimeoutError:
            connection.close(_TIMED_OUT)
        except Closed as end:
            connection.close(end.code)
        while not socket.closed:
            await socket.receive()


class Conversation:
    """What one client says. `session` is what it has opened or resumed."""

    def __init__(
        self, gateway: Gateway, workspace: Workspace, hub: Hub, connection: Connection
    ) -> None:
        self._gateway = gateway
        self._workspace = workspace
        self._hub = hub
        self._connection = connection
        self.session: Session | None = None

    def hear(self, payload: JsonDict) -> None:
        """Answer one payload. Raises Closed where Discord closes the connection."""
        data: Any = payload.get("d")
        match payload.get("op"):
            case 1:
                self._connection.say(ACK)
            case 2 | 6 if not isinstance(data, dict):
                raise Closed(_NOT_DECODED)
            case 2 | 6 if self.session:
                raise Closed(_ALREADY)
            case 2:
                self._identify(data)
            case 6:
                self._resume(data)
            case 3 | 4 | 8 | 31 if not self.session:
                raise Closed(_NOT_AUTHENTICATED)
            case 8:
                self._members(data if isinstance(data, dict) else {})
            case 3 | 4 | 31:
                pass
            case _:
                raise Closed(_UNKNOWN_OP)

    def _identify(self, data: JsonDict) -> None:
        self._authenticate(data)
        wanted = data.get("intents")
        if not isinstance(wanted, int) or wanted & ~intents.KNOWN:
            raise Closed(_BAD_INTENTS)
        if wanted & intents.PRIVILEGED & ~self._gateway.privileged:
            raise Closed(_DISALLOWED)
        shard, shards = _shard(data.get("shard", [0, 1]))
        here = (int(self._workspace.guild_id) >> 22) % shards == shard
        self.session = Session(wanted, here=here, first=shard == 0)
        self._hub.open(self.session, self._connection)
        self.session.push("READY", json.dumps(self._ready(self.session, [shard, shards])))
        if here and wanted & intents.GUILDS:
            everybody = bool(wanted & intents.GUILD_PRESENCES)
            created = guild.created(self._workspace, everybody=everybody)
            self.session.push("GUILD_CREATE", json.dumps(created))

    def _ready(self, session: Session, shard: list[int]) -> JsonDict:
        flags = shapes.app_flags(self._gateway.privileged)
        known = [{"id": self._workspace.guild_id, "unavailable": True}] if session.here else []
        return {
            "v": 10,
            "user": shapes.me(self._workspace),
            "guilds": known,
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self._gateway.url,
            "shard": shard,
            "application": {"id": self._workspace.app.id, "flags": flags},
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "guild_join_requests": [],
            "user_settings": {},
            "geo_ordered_rtc_regions": [],
            "_trace": [],
        }

    def _resume(self, data: JsonDict) -> None:
        self._authenticate(data)
        session = self._hub.find(str(data.get("session_id")))
        seq = data.get("seq")
        if session and (not isinstance(seq, int) or seq > session.seq):
            raise Closed(_BAD_SEQ)
        frames = session.since(int(seq or 0)) if session else None
        if session is None or frames is None:
            self._connection.say(INVALID_SESSION, data=False)
            return
        self.session = session
        self._hub.attach(session, self._connection)
        for frame in frames:
            self._connection.send(frame)
        session.push("RESUMED", '{"_trace":[]}')

    def _authenticate(self, data: JsonDict) -> None:
        if str(data.get("token", "")).removeprefix("Bot ") != self._workspace.token:
            raise Closed(_BAD_TOKEN)

    def _members(self, data: JsonDict) -> None:
        found, unknown = self._asked(data)
        chunks = list(_chunks(found)) or [[]]
        for index, people in enumerate(chunks):
            told: JsonDict = {
                "guild_id": self._workspace.guild_id,
                "members": [shapes.member(self._workspace, person) for person in people],
                "chunk_index": index,
                "chunk_count": len(chunks),
            }
            if unknown and index == 0:
                told["not_found"] = unknown
            if data.get("presences"):
                told["presences"] = []
            if len(str(data.get("nonce", ""))) in range(1, 33):
                told["nonce"] = data["nonce"]
            if self.session:
                self.session.push("GUILD_MEMBERS_CHUNK", json.dumps(told))

    def _asked(self, data: JsonDict) -> tuple[list[Person], list[str]]:
        if str(data.get("guild_id")) != self._workspace.guild_id:
            return [], []
        everybody = self._workspace.people
        if data.get("user_ids"):
            given = data["user_ids"] if isinstance(data["user_ids"], list) else [data["user_ids"]]
            ids = [str(one) for one in given]
            known = [everybody[one] for one in ids if one in everybody]
            return known, [one for one in ids if one not in everybody]
        start, limit = str(data.get("query") or ""), data.get("limit")
        if not start and self.session and not self.session.intents & intents.GUILD_MEMBERS:
            raise Closed(_DISALLOWED)
        found = [one for one in everybody.values() if one.name.startswith(start)]
        return found[:limit] if isinstance(limit, int) and limit > 0 else found, []


def _require(held: bool, code: int) -> None:  # noqa: FBT001 - reads as a sentence
    if not held:
        raise Closed(code)


def _decoded(data: str | bytes) -> JsonDict:
    if len(data) > LARGEST:
        raise Closed(_NOT_DECODED)
    try:
        payload = json.loads(data)
    except ValueError as error:
        raise Closed(_NOT_DECODED) from error
    if not isinstance(payload, dict):
        raise Closed(_NOT_DECODED)
    return payload


def _shard(given: Any) -> tuple[int, int]:
    if isinstance(given, list) and len(given) == 2 and all(isinstance(n, int) for n in given):  # noqa: PLR2004
        shard, shards = given
        if 0 <= shard < shards:
            return shard, shards
    raise Closed(_BAD_SHARD)


def _chunks(people: list[Person]) -> Iterator[list[Person]]:
    return (people[n : n + CHUNK] for n in range(0, len(people), CHUNK))
