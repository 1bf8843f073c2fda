"""The sessions of the gateway: who is listening, what they missed, and what they may hear."""

import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from adapters.discord.standin.gateway import intents
from adapters.discord.standin.gateway.connection import Connection
from adapters.standin import JsonDict

BUFFER = 10_000
"""How many events of a session can be replayed."""
LEFT_BEHIND = 16
"""How many sessions without a connection are kept for a resume."""
INVALID_SESSION, RECONNECT = 9, 7


@dataclass(slots=True, eq=False)
class Session:
    """What one IDENTIFY opened. `here`: the guild is on its shard; `first`: it is shard 0."""

    intents: int
    here: bool = True
    first: bool = True
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    seq: int = 0
    connection: Connection | None = None
    missed: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=BUFFER))

    def push(self, event: str, body: str) -> None:
        """Number an event, keep it for a resume and send it."""
        self.seq += 1
        frame = f'{{"t":"{event}","s":{self.seq},"op":0,"d":{body}}}'
        self.missed.append((self.seq, frame))
        if self.connection:
            self.connection.send(frame)

    def since(self, seq: int) -> list[str] | None:
        """The events after a number, None where some are no longer known."""
        if seq < self.seq and (not self.missed or self.missed[0][0] > seq + 1):
            return None
        return [frame for number, frame in self.missed if number > seq]


class Hub:
    """Every session there is."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._connections: dict[Connection, None] = {}
        self.identified = 0

    @property
    def listened(self) -> bool:
        """Whether anybody would hear an event."""
        return bool(self._sessions)

    def dispatch(
        self, event: str, data: Any, *, direct: bool = False, hidden: JsonDict | None = None
    ) -> None:
        """Tell every session that may hear it; `hidden` is for those without message content."""
        need = intents.needed(event, direct=direct)
        bodies: dict[bool, str] = {}
        for session in self._sessions.values():
            if (session.intents & need) != need:
                continue
            if not (session.first if direct else session.here):
                continue
            blind = hidden is not None and not session.intents & intents.MESSAGE_CONTENT
            if blind not in bodies:
                bodies[blind] = json.dumps(hidden if blind else data)
            session.push(event, bodies[blind])

    def open(self, session: Session, connection: Connection) -> None:
        """Start a session on a connection."""
        self.identified += 1
        self._sessions[session.id] = session
        session.connection = connection
        left = [one for one in self._sessions.values() if one.connection is None]
        for one in left[: max(0, len(left) - LEFT_BEHIND)]:
            del self._sessions[one.id]

    def find(self, session_id: str) -> Session | None:
        """The session with that id, if it can still be resumed."""
        return self._sessions.get(session_id)

    def attach(self, session: Session, connection: Connection) -> None:
        """Move a session to a new connection; the one it had is closed."""
        if session.connection:
            session.connection.close(4000)
        session.connection = connection

    def entered(self, connection: Connection) -> None:
        """A client has connected."""
        self._connections[connection] = None

    def left(self, connection: Connection, session: Session | None, *, over: bool) -> None:
        """A client has gone; `over`: it closed its session as well."""
        self._connections.pop(connection, None)
        if session and session.connection is connection:
            session.connection = None
            if over:
                self._sessions.pop(session.id, None)

    async def disconnect(self, how: str) -> None:
        """Cut every client off: close, abort, fresh, reconnect or a close code."""
        connections = list(self._connections)
        if how == "fresh":
            self._sessions.clear()
        for connection in connections:
            _cut(connection, how)
        for connection in connections:
            await connection.closed.wait()


def _cut(connection: Connection, how: str) -> None:
    match how:
        case "abort":
            connection.abort()
            return
        case "fresh":
            connection.say(INVALID_SESSION, data=False)
        case "reconnect":
            connection.say(RECONNECT)
    connection.close(int(how) if how.isdigit() else 4000)
