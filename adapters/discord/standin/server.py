"""The stand-in as a server: REST, gateway, files and control on one port of the loopback."""

from collections.abc import Iterator
from heapq import merge

from aiohttp import web

from adapters.discord.standin import acts, wire
from adapters.discord.standin.call import API
from adapters.discord.standin.door import Door
from adapters.discord.standin.rest import ENDPOINTS
from adapters.discord.standin.rest.files import download
from adapters.discord.standin.workspace import Channel, Message
from adapters.discord.standin.world import World
from adapters.standin import LOOPBACK, JsonDict, Knobs, Seen, control

REQUEST_BYTES = 25 * 1024 * 1024
"""The largest request Discord takes."""


class DiscordStandin(World):
    """A running stand-in; everything in it may be looked at and acted on directly."""

    def __init__(self, *, limits: bool = True) -> None:
        super().__init__(Knobs(limits=limits))
        self._door = Door(self)
        self._runner: web.AppRunner | None = None

    async def open(self, port: int) -> None:
        """Listen on a port of the loopback; 0 picks a free one."""
        app = web.Application(client_max_size=REQUEST_BYTES)
        app.add_routes([self._door.route(endpoint) for endpoint in ENDPOINTS])
        app.router.add_route("*", API + "/{rest:.*}", self._door.lost)
        for path in ("/gateway", "/gateway/", "/"):
            app.router.add_get(path, self.gateway.serve)
        app.router.add_get("/attachments/{channel_id}/{id}/{name}", download(self))
        app.add_routes(control(self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, port).start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        self.gateway.url = self.url.replace("http:", "ws:") + "/gateway"

    async def stop(self) -> None:
        """Close the server and every connection. Safe to call twice."""
        runner, self._runner = self._runner, None
        if runner:
            self._door.close()
            await self.disconnect("close")
            await runner.cleanup()

    def account(self) -> dict[str, str]:
        """The keys of an [accounts.x] section that points at this stand-in."""
        return {"platform": "discord", "token": self.workspace.token, "api_url": self.url + API}

    async def act(self, act: JsonDict) -> JsonDict:
        """Do what a person does, see acts.py. Raises KeyError or ValueError."""
        return acts.act(self, act)

    def seen(self, channel: str) -> list[Seen]:
        """Every message of a channel and its threads, deleted ones included, oldest first."""
        found = self._said(self.workspace.channel(channel))
        return [wire.seen(self.workspace, one) for one in found if wire.listed(one)]

    async def disconnect(self, how: str) -> None:
        """Cut all gateway connections: close, abort, fresh, reconnect (op 7) or a close code."""
        await self.hub.disconnect(how)

    def _said(self, channel: Channel) -> Iterator[Message]:
        if not channel.threads:
            return iter(channel.messages)
        places = (channel.messages, *(thread.messages for thread in channel.threads))
        return merge(*places, key=_number)


def _number(message: Message) -> int:
    return int(message.id)
