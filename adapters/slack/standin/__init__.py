"""The far side of Slack on loopback: Web API, Socket Mode, and people who act in a workspace."""

from aiohttp import web

from adapters.slack.standin.api import Api
from adapters.slack.standin.world import SlackWorld
from adapters.standin import LOOPBACK, Knobs, control

_MOST_BYTES = 8 * 1024 * 1024
_SHUTDOWN_SECONDS = 0.5


class SlackStandin:
    """A running stand-in, see bridge.ports.Standin. `state` is its world, for tests."""

    def __init__(self, state: SlackWorld, api: Api, runner: web.AppRunner, url: str) -> None:
        self.state = state
        self.url = url
        self._api = api
        self._runner = runner

    def account(self) -> dict[str, str]:
        """The keys of an [accounts.x] section that points at this stand-in."""
        return {
            "platform": "slack",
            "bot_token": self.state.app.bot_token,
            "app_token": self.state.app.app_token,
            "api_url": f"{self.url}/api/",
        }

    async def stop(self) -> None:
        """Close the server and every connection. Safe to call twice."""
        self._api.stop()
        await self.state.sockets.stop()
        await self._runner.cleanup()


async def start(port: int = 0, *, limits: bool = True) -> SlackStandin:
    """A stand-in that listens on 127.0.0.1; port 0 picks a free one."""
    state = SlackWorld(Knobs(limits=limits))
    api = Api(state)
    app = web.Application(client_max_size=_MOST_BYTES)
    app.add_routes(control(state))
    app.router.add_get("/link/", state.sockets.serve)
    for verb in ("GET", "POST"):
        app.router.add_route(verb, "/api/{method}", api.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, port)
    await site.start()
    state.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    return SlackStandin(state, api, runner, state.url)
