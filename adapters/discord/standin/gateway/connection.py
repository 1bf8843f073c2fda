"""One WebSocket of a client: sends frames in order, compressed if it asked for that."""

import asyncio
import json
import zlib
from contextlib import suppress
from typing import Any

from aiohttp import web


class Connection:
    """Queues what is to be sent, so that whoever dispatches never waits for a client."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._request = request
        self._queue: asyncio.Queue[str | int] = asyncio.Queue()
        # One zlib stream per connection; other kinds of compression get plain text, which
        # clients accept (measured with discord.py).
        wanted = request.query.get("compress") == "zlib-stream"
        self._zlib = zlib.compressobj() if wanted else None
        self.closing = False
        self.closed = asyncio.Event()

    def send(self, frame: str) -> None:
        """Queue a frame."""
        self._queue.put_nowait(frame)

    def say(self, op: int, data: Any = None) -> None:
        """Queue a frame that is no event."""
        self.send(json.dumps({"op": op, "d": data, "s": None, "t": None}))

    def close(self, code: int) -> None:
        """Close after everything queued before has been sent."""
        self.closing = True
        self._queue.put_nowait(code)

    def abort(self) -> None:
        """Cut the line at once, without a word."""
        if self._request.transport:
            self._request.transport.abort()

    async def write(self) -> None:
        """Send what is queued until the connection closes."""
        with suppress(ConnectionError):
            while isinstance(item := await self._queue.get(), str):
                if self._zlib:
                    packed = self._zlib.compress(item.encode("utf-8", "surrogatepass"))
                    await self._socket.send_bytes(packed + self._zlib.flush(zlib.Z_SYNC_FLUSH))
                else:
                    await self._socket.send_str(item)
            await self._socket.close(code=item)
