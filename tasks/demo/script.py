"""What people do in the demo, and what must come of it: computed from the acts, not from us."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.standin import PEOPLE, Remote
from tasks.demo.transcript import Line

WAIT_SECONDS = 6
"""How long a question of the script waits for an answer."""
WINDOW_SECONDS = 15
"""How often the digest of the script comes."""
KEYWORD = "library"
TICK = "white_check_mark"
_SPOKEN = re.compile(rf"(?<!\w){KEYWORD}(?!\w)", re.IGNORECASE)


def rules(platforms: tuple[str, ...]) -> str:
    """The config of the demo: questions that wait, a keyword at once, a digest of the talk."""

    def everywhere(channel: str) -> str:
        return ", ".join(f'"{name}:#{channel}"' for name in platforms)

    return f"""
[scheduler]
sweep = "1s"

[[notifications]]
name = "unanswered question"
channels = [{everywhere("help")}]
when = {{ question = true }}
after = "{WAIT_SECONDS}s"
unless = ["reply", "reaction:{TICK}"]
to = [{everywhere("oncall")}]
text = "{{author}} in {{channel}} still waits: {{excerpt}} {{link}}"

[[notifications]]
name = "keyword"
channels = [{everywhere("general")}]
when = {{ keywords = ["{KEYWORD}"] }}
after = "1s"
to = ["{platforms[0]}:#bridge-admin"]
text = "{{author}} in {{channel}}: {{excerpt}} {{link}}"

[[digests]]
name = "news"
channels = [{everywhere("general")}]
every = "{WINDOW_SECONDS}s"
to = [{everywhere("digest")}]
sections = ["numbers", "threads", "unanswered", "links"]
"""


@dataclass(slots=True)
class Expected:
    """What the acts so far must lead to.

    `waiting` texts are to be seen once in every platform's #oncall, `settled` ones nowhere.
    """

    waiting: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    sent: int = 0


@dataclass(slots=True)
class People:
    """Those who act on one platform, `pace` seconds apart. Counts what they post."""

    remote: Remote
    expected: Expected
    pace: float = 0.0

    async def post(self, person: str, channel: str, text: str, **fields: Any) -> str:
        """Post; returns the native id."""
        await asyncio.sleep(self.pace)
        self.expected.sent += 1
        return await self.remote.post(person, channel, text, **fields)

    async def act(self, do: str, person: str, message: str, **fields: Any) -> None:
        """Do something with a message in #help."""
        await asyncio.sleep(self.pace)
        await self.remote.act(do, person=person, channel="help", message=message, **fields)


async def scenes(remotes: Mapping[str, Remote], expected: Expected, pace: float = 0.0) -> None:
    """Act on every platform: some talk, then questions that meet all kinds of ends."""
    async with asyncio.TaskGroup() as group:
        for number, (name, remote) in enumerate(remotes.items()):
            group.create_task(
                _scene(name, People(remote, expected, pace), number * pace / len(remotes))
            )


async def _scene(name: str, people: People, delay: float) -> None:
    await asyncio.sleep(delay)
    await _talk(name, people)
    await _questions(name, people)


async def _questions(name: str, people: People) -> None:
    waiting, settled = people.expected.waiting, people.expected.settled

    async def ask(person: str, text: str) -> str:
        return await people.post(person, "help", text)

    await ask("ada", f"How do I reset my password on {name}? <b>*thanks*</b> @channel & @everyone")
    waiting.append(f"How do I reset my password on {name}?")
    answered = await ask("linus", f"Where is the handbook of {name}?")
    await people.post("margaret", "help", "It is pinned in #general.", thread=answered)
    settled.append(f"handbook of {name}")
    await ask("grace", f"Is the staging server of {name} down?")
    waiting.append(f"Is the staging server of {name} down?")
    ticked = await ask("dennis", f"Can someone restart the build of {name}?")
    await people.act("react", "ada", ticked, emoji=TICK)
    settled.append(f"restart the build of {name}")
    edited = await ask("ada", f"Does anyone know the wifi code of {name}?")
    await people.act("edit", "ada", edited, text="Found it, thanks.")
    settled.append(f"wifi code of {name}")
    deleted = await ask("grace", f"Who moved my cheese on {name}?")
    await people.act("delete", "grace", deleted)
    settled.append(f"moved my cheese on {name}")
    alone = await ask("margaret", f"Why does the printer of {name} smoke?")
    await people.post("margaret", "help", "Still smoking.", thread=alone)
    waiting.append(f"Why does the printer of {name} smoke?")
    await ask("linus", "No question here, only a statement.")


async def _talk(name: str, people: People) -> None:
    link = "https://example.org/notes?utm_source=x"
    root = await people.post("ada", "general", f"The release of {name} goes out at noon: {link}")
    for who in ("grace", "dennis"):
        await people.post(who, "general", f"Noted by {who}.", thread=root)
    await people.post("grace", "general", "Lunch is at one.")
    await people.post("linus", "general", "Who takes the minutes today?")


async def recite(remote: Remote, lines: Sequence[Line], expected: Expected) -> None:
    """Post a transcript as fast as the far side takes it."""
    known = set(PEOPLE)
    for line in lines:
        await introduce(remote, line.person, known)
        await remote.post(line.person, "general", line.text or "(nothing)")
        expected.sent += 1


async def introduce(remote: Remote, person: str, known: set[str]) -> None:
    """Let somebody join the workspace, unless `known` has them."""
    if person not in known:
        known.add(person)
        await remote.act("person", person=person)


def speaks(text: str) -> bool:
    """Whether a text holds the keyword, as a reader sees it."""
    return bool(_SPOKEN.search(text))
