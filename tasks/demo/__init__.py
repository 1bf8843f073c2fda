"""The demo: everything on this machine, people who talk, and a line for all that happens."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from adapters.standin import Remote
from bridge.errors import BridgeError
from bridge.models import Status
from tasks.demo import script, transcript
from tasks.demo.ledger import entries_after, summary
from tasks.demo.replay import Clock, Player
from tasks.demo.stage import Stage, stage
from tasks.demo.view import View, legend

PACE_SECONDS = 1.0
"""Between two acts on one platform; with two platforms there is one every half a second."""
_LOOK_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Plot:
    """What is played: the rules, what the legend says of them, the acts, and a last word."""

    rules: Callable[[tuple[str, ...]], str]
    legend: tuple[str, ...]
    act: Callable[[Stage], Awaitable[None]]
    last: str
    open_end: bool = False


async def run(replay: str, speed: float, most: int, seconds: float) -> int:
    """Show the bridge at work until Ctrl-C, or for `seconds`."""
    plot = _replayed(Path(replay), speed, most) if replay else _scripted()
    view = View()
    end = f"ends by itself after {seconds:g} s" if seconds else "Ctrl-C ends it"
    view.say(
        "Chatbridge demo: people talk in local stand-ins, the bridge listens and answers.", "bold"
    )
    view.say(legend((*plot.legend, end)))
    view.say(
        "Starting stand-ins, listeners, a worker and the scheduler; this takes some seconds ..."
    )
    async with stage(plot.rules) as built:
        over = _over()
        for name, remote in built.remotes.items():
            view.say(
                f"{name} stand-in at {remote.url}, act in it through {remote.url}/control", "dim"
            )
        view.say(f"log: {built.log}", "dim")
        await _play(built, view, plot, over, seconds)
        view.say("Stopping ...", "bold")
        await asyncio.to_thread(built.children.stop)
        told = await asyncio.to_thread(summary, built.house, built.rehearsal)
        view.say(f"{told}. In a real run, what is owed goes out at the next start.", "bold")
    return 0


def _scripted() -> Plot:
    async def act(built: Stage) -> None:
        await script.scenes(built.remotes, script.Expected(), PACE_SECONDS)

    told = (
        f"a question in #help waits {script.WAIT_SECONDS} s for a reply, tick, edit or delete",
        "what nobody took care of is told in #oncall on every platform; the rest is cancelled",
        f"every {script.WINDOW_SECONDS} s a digest of #general goes to #digest",
        "first notification after about 15 s, first digest after 25 s at the most",
    )
    last = "That was the script; what is owed still goes out."
    return Plot(script.rules, told, act, last, open_end=True)


def _replayed(path: Path, speed: float, most: int) -> Plot:
    lines, clock = list(transcript.read(path, most)), Clock(speed)
    takes = sum(clock.pauses(lines))

    async def act(built: Stage) -> None:
        await Player(built.remotes[built.platforms[-1]], clock).play(lines)

    told = (
        f"{len(lines)} messages of {path.name} are posted in #general, {speed:g} times as fast",
        f"silences are cut to {clock.longest_silence:g} s, so that it takes about {takes:.0f} s",
        "the messages of one conversation become a thread",
        f"the rules' time runs as fast: a question waits {clock.wait} s for a reply,",
        f"then #oncall is told; every {clock.window} s a digest goes to #digest, on every platform",
    )
    return Plot(clock.rules, told, act, f"The transcript is over: {len(lines)} messages.")


async def _play(built: Stage, view: View, plot: Plot, over: asyncio.Event, seconds: float) -> None:
    async def act() -> None:
        await plot.act(built)
        view.say(plot.last, "bold")
        if plot.open_end:
            view.say(f"Take part, for example:\n  {_example(built)}", "dim")

    async with asyncio.TaskGroup() as group:
        tasks = [
            *(group.create_task(_watch(view, *each)) for each in built.remotes.items()),
            group.create_task(_watch_outbox(built, view)),
            group.create_task(_keep_going(built)),
            group.create_task(act()),
        ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), seconds or None)
        for task in tasks:
            task.cancel()


def _example(built: Stage) -> str:
    """A command with which whoever watches can ask something."""
    act = {"do": "post", "person": "ada", "channel": "help", "text": "Who can help me?"}
    return f"curl -d '{json.dumps(act)}' {built.remotes[built.platforms[-1]].url}/control/act"


def _over() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set from now on."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    return over


async def _keep_going(built: Stage) -> None:
    while True:
        built.keep_going()
        await asyncio.sleep(_LOOK_SECONDS)


async def _watch(view: View, name: str, remote: Remote) -> None:
    """Show what people and our app do on one platform."""
    last = 0
    while True:
        try:
            entries = await remote.happened(last, wait=20)
        except aiohttp.ClientError as error:
            raise BridgeError(f"the stand-in of {name} is gone: {error}") from error
        for entry in entries:
            last = entry["n"]
            view.happened(name, entry)


async def _watch_outbox(built: Stage, view: View) -> None:
    """Show what is scheduled and what is cancelled."""
    last, owed = 0, set[int]()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        first = min(owed, default=last + 1) - 1
        entries = await asyncio.to_thread(entries_after, built.house, first)
        new = [one for one in entries if one.id > last]
        owed.update(one.id for one in new)
        settled = [one for one in entries if one.id in owed and one.status != Status.OWED]
        owed.difference_update(one.id for one in settled)
        last = max((one.id for one in new), default=last)
        view.owed(new)
        view.settled(settled)
