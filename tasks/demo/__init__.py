"""The demo: everything on this machine, people who talk, and a line for all that happens."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import typer

from adapters.standin import JsonDict, Remote
from bridge.models import Status
from tasks.demo import script, transcript
from tasks.demo.stage import Stage, stage
from tasks.status import rows_after

_LOOK_SECONDS = 0.3


async def run(replay: str, speed: float, most: int, seconds: float) -> int:
    """Show the bridge at work until Ctrl-C, or for `seconds`."""
    _say("", "starting the stand-ins, the listeners, a worker and the scheduler ...")
    async with stage(script.rules) as built:
        for name, remote in built.remotes.items():
            _say(name, f"stand-in at {remote.url}, act in it through {remote.url}/control")
        _say("", f"log: {built.log}")
        async with asyncio.TaskGroup() as group:
            watchers = [
                group.create_task(_watch(name, remote)) for name, remote in built.remotes.items()
            ]
            watchers.append(group.create_task(_watch_outbox(built)))
            acting = group.create_task(_act(built, replay, speed, most))
            await _until_over(seconds)
            for task in [*watchers, acting]:
                task.cancel()
        _say("", "stopping; what was not sent yet would go out at the next start")
    return 0


async def _act(built: Stage, replay: str, speed: float, most: int) -> None:
    if not replay:
        await script.scenes(built.remotes, script.Expected())
        _say("", f"questions wait {script.WAIT_SECONDS} s for an answer; Ctrl-C ends the demo")
        return
    remote, known = built.remotes[built.platforms[-1]], set()
    lines = list(transcript.read(Path(replay), most))
    began = time.monotonic()
    for line in lines:
        due = (line.at - lines[0].at).total_seconds() / speed
        await asyncio.sleep(max(began + due - time.monotonic(), 0))
        if line.person not in known:
            known.add(line.person)
            await remote.act("person", person=line.person)
        channel = "help" if "?" in line.text else "general"
        await remote.post(line.person, channel, line.text or "(nothing)")
    _say("", f"the transcript is over: {len(lines)} messages")


async def _until_over(seconds: float) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds or None)


async def _watch(name: str, remote: Remote) -> None:
    """Print what people and our app do on one platform."""
    last = 0
    while True:
        for entry in await remote.happened(last, wait=20):
            last = entry["n"]
            if line := _told(entry):
                _say(name, line)


def _told(entry: JsonDict) -> str:
    text = " ".join(str(entry.get("text", "")).split())[:150]
    place = f"#{entry.get('channel')}"
    match entry["what"], bool(entry.get("by_app")):
        case "posted", True:
            return f"{place:<14} ▶ SENT  {text}"
        case "posted", False:
            thread = " (in a thread)" if entry.get("thread") else ""
            return f"{place:<14} {entry['author']}{thread}: {text}"
        case what, _:
            return f"{place:<14} {entry.get('author')} {what}: {text}"


async def _watch_outbox(built: Stage) -> None:
    """Print what is scheduled and what is cancelled."""
    last, open_ = 0, {}
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        first = min(open_, default=last + 1) - 1
        for delivery, lane, message in await asyncio.to_thread(rows_after, built.house, first):
            about = " ".join(message.text.split())[:60] if message else "the digest"
            if delivery.id > last:
                last = delivery.id
                open_[delivery.id] = True
                wait = (delivery.due_at - delivery.owed_at).total_seconds()
                _say(lane.account, f"{'':<14} ⏲ scheduled in {max(wait, 0):.1f} s: {about}")
            if delivery.id in open_ and delivery.status != Status.OWED:
                del open_[delivery.id]
                if delivery.status == Status.CANCELLED:
                    _say(lane.account, f"{'':<14} ✘ cancelled, {delivery.reason}: {about}")
                elif delivery.status == Status.DEAD:
                    _say(lane.account, f"{'':<14} ✘ given up, {delivery.reason}: {about}")


def _say(who: str, line: str) -> None:
    typer.echo(f"{time.strftime('%H:%M:%S')}  {who:<8} {line}")
