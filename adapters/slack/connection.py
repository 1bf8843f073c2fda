"""One Socket Mode connection of Bolt, held until it is cancelled or lost for good."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from adapters.slack.failures import translated
from adapters.slack.payload import JsonDict

PING_SECONDS = 5
"""A dead connection shows after this many seconds; the SDK then opens another."""
CONNECT_SECONDS = 30
RESTORE_SECONDS = 30
WATCH_SECONDS = 1
CLOSE_SECONDS = 2

_LOG = logging.getLogger(__name__)


async def hold(app: AsyncApp, app_token: str, hello: Callable[[], Awaitable[None]]) -> None:
    """Connect and stay so until cancelled. The SDK replaces a connection that Slack recycles.

    `hello` is called at the greeting on every connection, before any event on it is handled; what
    it raises ends this. Raises SendError and its kinds where Slack refuses the connection,
    ConnectionError where one cannot be restored.
    """
    handler = _Handler(app, app_token, ping_interval=PING_SECONDS)
    socket = handler.client
    socket.proxy = app.client.proxy
    greeting = _Greeting(hello)
    socket.message_listeners.append(greeting.heard)
    try:
        await _connect(socket)
        await _watch(socket, greeting.failed)
    finally:
        greeting.forget()
        await _close(socket)


class _Handler(AsyncSocketModeHandler):
    """Acknowledges what Bolt itself cannot read, which Slack would otherwise send for ever."""

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        """Look whether Bolt can read a request before it gets it."""
        try:
            AsyncBoltRequest(mode="socket_mode", body=req.payload)
        except Exception as error:  # noqa: BLE001 - whatever Bolt makes of an odd payload
            known = req.payload.get("event_id") if isinstance(req.payload, dict) else None
            _LOG.warning("left out an event that Bolt cannot read: %s: %s", known, error)
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=req.envelope_id))
            return
        await super().handle(client, req)


class _Greeting:
    """Passes on Slack's greetings; `failed` holds what went wrong, which the SDK would swallow."""

    def __init__(self, hello: Callable[[], Awaitable[None]]) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hello = hello

    async def heard(self, _: Any, message: JsonDict, __: str | None) -> None:
        """Look at one frame."""
        if message.get("type") != "hello":
            return
        try:
            await self._hello()
        except Exception as error:  # noqa: BLE001 - whatever it is, the watch raises it
            if not self.failed.done():
                self.failed.set_exception(error)

    def forget(self) -> None:
        """Nobody watches any more."""
        if not self.failed.cancel():
            self.failed.exception()


async def _connect(socket: SocketModeClient) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            # The SDK's connect() would ask for this address for ever, even with a bad token.
            socket.wss_uri = await socket.issue_new_wss_url()
            await socket.connect()  # type: ignore[no-untyped-call]
    except Exception as error:
        failure = translated(error, "opening a Socket Mode connection")
        if failure is None:
            raise
        raise failure from error


async def _watch(socket: SocketModeClient, failed: asyncio.Future[None]) -> None:
    """Return never. Raises ConnectionError when the SDK does not get the connection back."""
    loop = asyncio.get_running_loop()
    alive_at = loop.time()
    while True:
        await asyncio.wait(
            {socket.message_processor, failed},
            timeout=WATCH_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if failed.done():
            failed.result()
        if socket.message_processor.done():
            raise ConnectionError("the Slack client stopped reading its events")
        if await socket.is_connected():
            alive_at = loop.time()
        elif loop.time() - alive_at > RESTORE_SECONDS:
            raise ConnectionError(f"no Slack connection for {RESTORE_SECONDS} seconds")


async def _close(socket: SocketModeClient) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close()  # type: ignore[no-untyped-call]
    # The SDK's close() ends early where the far side does not answer, and waits for no task.
    left: list[Any] = [
        socket.message_processor,
        socket.current_session_monitor,
        socket.message_receiver,
    ]
    tasks = [task for task in left if task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await socket.aiohttp_client_session.close()
