"""Carries out what the plan says must go wrong."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field

from tests.chaos.plan import Plan, Trouble
from tests.chaos.servers import Server
from tests.chaos.stage import Stage

MISSED_SECONDS = 20.0
"""So long a kill waits for its target to be up again."""
_LOOK_SECONDS = 0.2


@dataclass(slots=True)
class Done:
    """What really went wrong, with the seconds since the beginning."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    kills: int = 0
    faults: int = 0
    late_at: float = 0.0

    def note(self, began: float, text: str) -> None:
        """Add a line."""
        self.lines.append((time.time(), f"{time.time() - began:7.2f}  {text}"))


async def make_trouble(plan: Plan, built: Stage, done: Done) -> None:
    """Let everything go wrong in time; returns when all has, and all is up again."""
    began, started = time.time(), asyncio.get_running_loop().time()
    servers = {"broker-1": built.broker, "database-1": built.store}
    async with asyncio.TaskGroup() as group:
        for trouble in plan.troubles:
            group.create_task(_one(trouble, built, servers, done, (began, started)))


async def _one(
    trouble: Trouble,
    built: Stage,
    servers: dict[str, Server],
    done: Done,
    clocks: tuple[float, float],
) -> None:
    began, started = clocks
    await asyncio.sleep(started + trouble.at - asyncio.get_running_loop().time())
    what = f"{trouble.kind} {trouble.target} {trouble.seconds:.1f} {trouble.options or ''}"
    done.note(began, what.strip())
    match trouble.kind:
        case "kill" if trouble.target in servers:
            hit = await _kill_server(servers[trouble.target], trouble.seconds)
            done.kills += hit
        case "kill":
            hit = await _kill(built, trouble)
            done.kills += hit
        case "stop":
            server = servers.get(trouble.target)
            pid = server.pid() if server else built.crew.pid(trouble.target)
            hit = await built.crew.stop(pid, trouble.seconds)
            done.faults += hit
        case "cut":
            hit = True
            await built.remotes[trouble.target].disconnect(trouble.options["how"])
            done.faults += 1
        case _:
            hit = True
            await built.remotes[trouble.target].fault(**trouble.options)
            done.faults += 1
            if trouble.options["kind"] == "accept_late":
                done.late_at = time.time() + trouble.options["seconds"]
    done.note(began, f"{what.strip()}: {'over' if hit else 'nobody there'}")


async def _kill(built: Stage, trouble: Trouble) -> bool:
    end = time.monotonic() + MISSED_SECONDS
    while not (hit := built.crew.kill(trouble.target, trouble.seconds)):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return hit


async def _kill_server(server: Server, seconds: float) -> bool:
    end = time.monotonic() + MISSED_SECONDS
    while (pid := server.pid()) is None:
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.start)
    return True
