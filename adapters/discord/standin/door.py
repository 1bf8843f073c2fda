"""The way into the REST endpoints: token, limits, faults, errors and headers of every call."""

import asyncio
import json
import math
import time
from typing import Any

from aiohttp import web

from adapters.discord.standin import refusals
from adapters.discord.standin.call import API, Answer, Call, Endpoint
from adapters.discord.standin.limits import Limit, Limits, Verdict
from adapters.discord.standin.refusals import Refusal
from adapters.discord.standin.world import World
from adapters.standin import Fault, JsonDict

EVERYTHING = Limit(50, 1.0)
INVALID = Limit(10_000, 600.0)
_UNLIMITED = Verdict(1_000_000, 999_999, 1.0)
_JSON = "application/json"
"""Exactly this: with a charset behind it discord.py parses no body."""
_MAJOR = ("channel_id", "guild_id", "webhook_id")
_BLOCKED = (401, 403, 429)


class Door:
    """Lets calls through to endpoints as Discord's edge does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._limits = Limits()
        self._late: set[asyncio.Task[None]] = set()

    def route(self, endpoint: Endpoint) -> web.RouteDef:
        """The endpoint as a route of the server."""
        bucket = endpoint.bucket

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, endpoint, bucket)

        return web.route(endpoint.method, API + endpoint.path, handle)

    async def lost(self, _: web.Request) -> web.Response:
        """Answer for a path that is no endpoint."""
        return _refuse(refusals.not_found(), {"Via": "1.1 google"})

    def close(self) -> None:
        """Forget what was to be carried out late."""
        for task in self._late:
            task.cancel()

    async def _handle(
        self, request: web.Request, endpoint: Endpoint, bucket: str
    ) -> web.StreamResponse:
        knobs = self._world.knobs
        if knobs.latency:
            await asyncio.sleep(knobs.latency)
        try:
            call = await self._read(request)
        except Refusal as refusal:
            return _refuse(refusal, {"Via": "1.1 google"})
        if blocked := self._gate(request, endpoint):
            return blocked
        verdict = self._count(call, endpoint, bucket) if knobs.limits else _UNLIMITED
        headers = _headers(verdict, bucket)
        if verdict.wait:
            return self._spent(_limited(headers, verdict.wait, "user"))
        fault = self._world.faults.take(f"{call.method} {call.path}", self._place(call))
        if fault:
            return await self._go_wrong(fault, request, call, endpoint, headers)
        return await self._carry_out(call, endpoint, headers)

    async def _read(self, request: web.Request) -> Call:
        path = request.path.removeprefix(API)
        params = dict(request.match_info)
        call = Call(self._world, request.method, path, params, dict(request.query))
        try:
            if request.content_type.startswith("multipart/"):
                call.form = dict(await request.post())
            elif request.can_read_body:
                call.content = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise refusals.too_large() from error
        except ValueError as error:
            raise refusals.not_json() from error
        return call

    def _gate(self, request: web.Request, endpoint: Endpoint) -> web.Response | None:
        now = time.time()
        if self._world.knobs.limits and self._limits.spent("invalid", INVALID, now):
            return _banned()
        token = request.headers.get("Authorization", "").removeprefix("Bot ")
        if not endpoint.open and token != self._world.workspace.token:
            return self._spent(_refuse(refusals.unauthorized(), {"Via": "1.1 google"}))
        if not (self._world.knobs.limits and endpoint.counted):
            return None
        verdict = self._limits.take("everything", EVERYTHING, now)
        if not verdict.wait:
            return None
        return self._spent(_limited({"X-RateLimit-Global": "true"}, verdict.wait, "global"))

    def _count(self, call: Call, endpoint: Endpoint, bucket: str) -> Verdict:
        major = next((call.params[name] for name in _MAJOR if name in call.params), "")
        return self._limits.take(f"{bucket}:{major}", endpoint.limit, time.time())

    def _spent(self, response: web.Response) -> web.Response:
        """Count an answer that Discord takes for abuse when there are too many."""
        if response.status in _BLOCKED:
            self._limits.take("invalid", INVALID, time.time())
        return response

    def _place(self, call: Call) -> str:
        channel = self._world.workspace.channels.get(call.params.get("channel_id", ""))
        return channel.seen_as if channel else ""

    async def _carry_out(
        self, call: Call, endpoint: Endpoint, headers: dict[str, str]
    ) -> web.Response:
        try:
            answer = await endpoint.handle(call)
        except Refusal as refusal:
            return self._spent(_refuse(refusal, headers))
        return _respond(answer, headers)

    async def _go_wrong(
        self,
        fault: Fault,
        request: web.Request,
        call: Call,
        endpoint: Endpoint,
        headers: dict[str, str],
    ) -> web.StreamResponse:
        if fault.kind in {"drop_after", "status_after", "latency"}:
            done = await self._carry_out(call, endpoint, headers)
        match fault.kind:
            case "latency":
                await asyncio.sleep(fault.seconds)
                return done
            case "status" | "status_after":
                if fault.status == 429:  # noqa: PLR2004 - a 429 without more is Cloudflare's
                    return _banned()
                return _refuse(refusals.fault(fault.status), headers)
            case "ratelimit":
                return _limited(headers, fault.seconds, "user")
            case "accept_late":
                task = asyncio.create_task(self._later(fault.seconds, call, endpoint))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
        if request.transport:
            request.transport.close()
        return web.Response()

    async def _later(self, seconds: float, call: Call, endpoint: Endpoint) -> None:
        await asyncio.sleep(seconds)
        await self._carry_out(call, endpoint, {})


def _headers(verdict: Verdict, bucket: str) -> dict[str, str]:
    return {
        "Via": "1.1 google",
        "X-RateLimit-Limit": str(verdict.limit),
        "X-RateLimit-Remaining": str(verdict.remaining),
        "X-RateLimit-Reset": f"{time.time() + verdict.reset_after:.3f}",
        "X-RateLimit-Reset-After": f"{verdict.reset_after:.3f}",
        "X-RateLimit-Bucket": bucket,
    }


def _respond(answer: Answer, headers: dict[str, str]) -> web.Response:
    if answer.body is None:
        return web.Response(status=204, headers=headers)
    return _json(answer.status, answer.body, headers)


def _refuse(refusal: Refusal, headers: dict[str, str]) -> web.Response:
    return _json(refusal.status, refusal.body, headers)


def _json(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    content = json.dumps(body).encode()
    return web.Response(status=status, body=content, headers=headers, content_type=_JSON)


def _limited(headers: dict[str, str], wait: float, scope: str) -> web.Response:
    """Answer 429. `scope` is user or global (documented)."""
    body: JsonDict = {
        "message": "You are being rate limited.",
        "retry_after": round(wait, 3),
        "global": scope == "global",
    }
    more = {
        "Via": "1.1 google",
        "Retry-After": str(math.ceil(wait)),
        "X-RateLimit-Scope": scope,
        "X-RateLimit-Reset-After": f"{wait:.3f}",
        "X-RateLimit-Reset": f"{time.time() + wait:.3f}",
        "X-RateLimit-Remaining": "0",
    }
    return _json(429, body, {**headers, **more})


def _banned() -> web.Response:
    """Answer as Cloudflare does: no JSON, no Via."""
    page = "<html><head><title>Access denied</title></head><body>error code: 1015</body></html>"
    headers = {"Retry-After": "600", "Server": "cloudflare"}
    return web.Response(status=429, text=page, content_type="text/html", headers=headers)
