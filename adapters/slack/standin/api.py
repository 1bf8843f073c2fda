"""The Web API's front door: token, limits, faults and answers around the methods."""

import asyncio
import json
import math
import secrets
import time
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from adapters.slack.standin.errors import RefusedError
from adapters.slack.standin.methods import METHODS
from adapters.slack.standin.methods.call import Call, Method
from adapters.slack.standin.requests import arguments, token, warnings
from adapters.slack.standin.world import SlackWorld
from adapters.standin import Fault, JsonDict

_TYPE = "application/json; charset=utf-8"
_SCOPES = (
    "chat:write,chat:write.customize,channels:read,channels:history,channels:join,groups:read,"
    "groups:history,im:read,im:history,im:write,mpim:read,mpim:history,mpim:write,users:read,"
    "users:read.email,reactions:read,reactions:write,team:read"
)
_CODES = {
    400: "invalid_arguments",
    401: "invalid_auth",
    403: "access_denied",
    404: "unknown_method",
    503: "service_unavailable",
    504: "request_timeout",
}
"""What a fault's status says in its body; any other, 200 included, says internal_error."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a method answers, before it is on the wire."""

    body: JsonDict
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The reply as HTTP. Lone surrogates stay escaped, so any text can be answered."""
        headers = {
            "Content-Type": _TYPE,
            "x-oauth-scopes": _SCOPES,
            "x-slack-req-id": secrets.token_hex(16),
            **self.headers,
        }
        body = json.dumps(self.body).encode()
        return web.Response(body=body, status=self.status, headers=headers)


class Api:
    """Answers `/api/<method>`. One loop owns it."""

    def __init__(self, world: SlackWorld) -> None:
        self._world = world
        self._late: set[asyncio.TimerHandle] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One call, from the request to the answer."""
        name = request.match_info["method"]
        try:
            args = await arguments(request)
        except RefusedError as error:
            return Reply(error.body()).response()
        bearer = token(request, args)
        fault = self._world.faults.take(name, self._channel_name(args))
        if fault is not None:
            return await self._faulty(fault, request, name, bearer, args)
        reply = self.call(name, bearer, args)
        if warned := warnings(request):
            reply.body.update(warning=",".join(warned))
            reply.body.setdefault("response_metadata", {}).setdefault("warnings", []).extend(warned)
        if self._world.knobs.latency:
            await asyncio.sleep(self._world.knobs.latency)
        return reply.response()

    def call(self, name: str, bearer: str, args: JsonDict) -> Reply:
        """Carry out a method, or refuse it; never raises for anything a client can send."""
        method = METHODS.get(name)
        if method is None:
            return Reply(RefusedError("unknown_method", req_method=name).body())
        try:
            self._check(method, bearer)
            wait = self._wait(name, method, args)
            if wait:
                return _limited(wait)
            return Reply({"ok": True, **method.run(Call(self._world, args))})
        except RefusedError as error:
            return Reply(error.body())

    def stop(self) -> None:
        """Forget the calls that were to be carried out later."""
        for handle in self._late:
            handle.cancel()

    def _check(self, method: Method, bearer: str) -> None:
        app = self._world.app
        if not bearer:
            raise RefusedError("not_authed")
        if bearer not in {app.bot_token, app.app_token}:
            raise RefusedError("invalid_auth")
        if (bearer == app.app_token) != method.app_token:
            raise RefusedError("not_allowed_token_type")

    def _wait(self, name: str, method: Method, args: JsonDict) -> int:
        if not self._world.knobs.limits:
            return 0
        key = f"{name}:{args.get('channel')}" if method.per_channel else name
        return self._world.buckets.take(key, method.tier, time.monotonic())

    def _channel_name(self, args: JsonDict) -> str:
        wanted = args.get("channel")
        if not isinstance(wanted, str):
            return ""
        if channel := self._world.channels.get(wanted):
            return channel.name
        someone = self._world.people.get(wanted)
        return f"dm:{someone.name}" if someone else wanted.removeprefix("#")

    async def _faulty(
        self, fault: Fault, request: web.Request, name: str, bearer: str, args: JsonDict
    ) -> web.StreamResponse:
        if fault.kind == "ratelimit":
            return _limited(math.ceil(fault.seconds)).response()
        reply = None
        if fault.kind in {"drop_after", "status_after", "latency"}:
            reply = self.call(name, bearer, args)
        elif fault.kind == "accept_late":
            self._later(fault.seconds, name, bearer, args)
        if reply and fault.kind == "latency":
            await asyncio.sleep(fault.seconds)
            return reply.response()
        return _broken(fault.status) if fault.kind.startswith("status") else _cut(request)

    def _later(self, seconds: float, name: str, bearer: str, args: JsonDict) -> None:
        def carry_out() -> None:
            self._late.discard(handle)
            self.call(name, bearer, args)

        handle = asyncio.get_running_loop().call_later(seconds, carry_out)
        self._late.add(handle)


def _limited(seconds: int) -> Reply:
    body = {"ok": False, "error": "ratelimited"}
    return Reply(body, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(seconds)})


def _broken(status: int) -> web.StreamResponse:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _limited(1).response()
    if status == HTTPStatus.BAD_GATEWAY:
        page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
        return web.Response(status=status, text=page, content_type="text/html")
    code = _CODES.get(status, "internal_error")
    return Reply({"ok": False, "error": code}, status).response()


def _cut(request: web.Request) -> web.StreamResponse:
    """Close the connection instead of answering; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
