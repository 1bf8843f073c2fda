"""Socket Mode: the connections of an app, the envelopes on them, and Slack's redeliveries."""

import asyncio
import contextlib
import json
import secrets
import uuid
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from adapters.standin import JsonDict

PATIENCE = 3.0
"""Seconds in which an envelope must be acknowledged."""
RETRIES = (0.0, 60.0, 300.0)
"""Seconds before each redelivery; after the last one the event is lost."""
MOST_CONNECTIONS = 10
MOST_PARKED = 10_000
"""So many events wait for a redelivery; beyond that the oldest is lost."""
PING_SECONDS = 20.0
"""The Node client reconnects unless the server pings every 30 seconds."""
TICKET_SECONDS = 30.0
CLOSE_SECONDS = 2.0
"""How long a client may take to answer a close frame."""
_PING = ""


@dataclass(slots=True, eq=False)
class Delivery:
    """One envelope on its way; `attempt` counts redeliveries."""

    kind: str
    payload: JsonDict
    envelope_id: str
    attempt: int = 0
    reason: str = ""
    connection: "Connection | None" = None
    timer: asyncio.TimerHandle | None = None

    def frame(self) -> str:
        """The envelope as it goes over the wire."""
        return json.dumps(
            {
                "envelope_id": self.envelope_id,
                "payload": self.payload,
                "type": self.kind,
                "accepts_response_payload": False,
                "retry_attempt": self.attempt,
                "retry_reason": self.reason,
            }
        )


@dataclass(slots=True, eq=False)
class Connection:
    """One WebSocket; `queue` keeps the order of what is sent on it."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    queue: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def write(self) -> None:
        """Send what is queued until cancelled or cut."""
        with contextlib.suppress(ConnectionError):
            while True:
                frame = await self.queue.get()
                if frame == _PING:
                    await self.socket.ping(b"slack-ping")
                else:
                    await self.socket.send_str(frame)

    async def cut(self, how: str) -> None:
        """End it, see Sockets.disconnect."""
        if how == "abort":
            if self.transport is not None:
                self.transport.abort()
            return
        if how == "fresh":
            with contextlib.suppress(ConnectionError):
                await self.socket.send_str(_disconnect("refresh_requested"))
        await self.socket.close()


class Sockets:
    """Every connection of the app. One loop owns it."""

    def __init__(self, app_id: str) -> None:
        self.patience = PATIENCE
        self.ping_seconds = PING_SECONDS
        self.retries: tuple[float, ...] = RETRIES
        self.lost = 0
        self._app_id = app_id
        self._tickets: dict[str, asyncio.TimerHandle] = {}
        self._connections: list[Connection] = []
        self._turn = 0
        self._owed: dict[str, Delivery] = {}
        self._parked: dict[Delivery, asyncio.TimerHandle] = {}

    @property
    def connected(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def owed(self) -> int:
        """How many envelopes are out and not yet acknowledged."""
        return len(self._owed)

    def ticket(self) -> str:
        """A ticket for one connection, good for 30 seconds."""
        ticket = secrets.token_hex(16)
        loop = asyncio.get_running_loop()
        self._tickets[ticket] = loop.call_later(TICKET_SECONDS, self._tickets.pop, ticket, None)
        return ticket

    def push(self, kind: str, payload: JsonDict) -> None:
        """Send an envelope to one of the connections, again if it is not acknowledged in time."""
        self._deliver(Delivery(kind, payload, str(uuid.uuid4())))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection from its handshake to its end."""
        expiry = self._tickets.pop(request.query.get("ticket", ""), None)
        if expiry is None:
            return web.Response(status=401, text="invalid ticket")
        expiry.cancel()
        socket = web.WebSocketResponse(timeout=CLOSE_SECONDS)
        await socket.prepare(request)
        if len(self._connections) >= MOST_CONNECTIONS:
            await socket.send_str(_disconnect("too_many_websockets"))
            await socket.close()
            return socket
        connection = Connection(socket, request.transport)
        self._connections.append(connection)
        connection.queue.put_nowait(self._hello())
        helpers = [
            asyncio.create_task(one)
            for one in (connection.write(), _pings(connection, self.ping_seconds))
        ]
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._answered(message.data)
        finally:
            for helper in helpers:
                helper.cancel()
            self._forget(connection)
        return socket

    async def disconnect(self, how: str) -> None:
        """Cut every connection: "fresh" announces it, "close" closes, "abort" cuts TCP."""
        leaving, self._connections = self._connections, []
        await asyncio.gather(*(connection.cut(how) for connection in leaving))

    async def stop(self) -> None:
        """Close every connection and forget what was still to be delivered."""
        waiting = [*self._tickets.values(), *self._parked.values()]
        waiting += [one.timer for one in self._owed.values() if one.timer]
        for timer in waiting:
            timer.cancel()
        self.retries = ()
        await self.disconnect("close")

    def _hello(self) -> str:
        debug = {"host": "standin", "build_number": 1, "approximate_connection_time": 18060}
        return json.dumps(
            {
                "type": "hello",
                "num_connections": len(self._connections),
                "debug_info": debug,
                "connection_info": {"app_id": self._app_id},
            }
        )

    def _deliver(self, delivery: Delivery) -> None:
        self._parked.pop(delivery, None)
        if not self._connections:
            self._again(delivery, "connection_failed")
            return
        self._turn = (self._turn + 1) % len(self._connections)
        connection = delivery.connection = self._connections[self._turn]
        self._owed[delivery.envelope_id] = delivery
        connection.queue.put_nowait(delivery.frame())
        loop = asyncio.get_running_loop()
        delivery.timer = loop.call_later(self.patience, self._late, delivery)

    def _late(self, delivery: Delivery) -> None:
        del self._owed[delivery.envelope_id]
        self._again(delivery, "timeout")

    def _again(self, delivery: Delivery, reason: str) -> None:
        if delivery.attempt >= len(self.retries):
            self.lost += 1
            return
        wait = self.retries[delivery.attempt]
        delivery.attempt, delivery.reason = delivery.attempt + 1, reason
        if not wait:
            self._deliver(delivery)
            return
        if len(self._parked) >= MOST_PARKED:
            self._parked.pop(next(iter(self._parked))).cancel()
            self.lost += 1
        loop = asyncio.get_running_loop()
        self._parked[delivery] = loop.call_later(wait, self._deliver, delivery)

    def _answered(self, text: str) -> None:
        with contextlib.suppress(ValueError, AttributeError):
            delivery = self._owed.pop(json.loads(text).get("envelope_id"), None)
            if delivery is not None and delivery.timer is not None:
                delivery.timer.cancel()

    def _forget(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        for delivery in [one for one in self._owed.values() if one.connection is connection]:
            del self._owed[delivery.envelope_id]
            if delivery.timer is not None:
                delivery.timer.cancel()
            self._again(delivery, "connection_failed")


def _disconnect(reason: str) -> str:
    return json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "standin"}})


async def _pings(connection: Connection, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        connection.queue.put_nowait(_PING)
