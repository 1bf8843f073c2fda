"""What people do in the demo, and what must come of it: computed from the acts, not from us."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.standin import Remote
from tasks.demo import transcript

WAIT_SECONDS = 6
"""How long a question of the script waits for an answer."""
WINDOW_SECONDS = 15
"""How often the digest of the script comes."""
KEYWORD = "library"
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
unless = ["reply", "reaction:white_check_mark"]
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
    """What the acts so far must lead to. `waiting` texts are to be seen once on every platform's
    #oncall, `settled` ones nowhere.
    """

    waiting: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    sent: int = 0


async def scenes(remotes: Mapping[str, Remote], expected: Expected) -> None:
    """Act on every platform: questions left alone, answered, ticked off, edited or taken away."""
    for name, remote in remotes.items():
        await _questions(name, remote, expected)
        await _talk(name, remote, expected)


async def _questions(name: str, remote: Remote, expected: Expected) -> None:
    async def ask(person: str, text: str) -> str:
        expected.sent += 1
        return await remote.post(person, "help", text)

    waits = f"How do I reset my password on {name}? <b>*thanks*</b> @channel & @everyone"
    await ask("ada", waits)
    expected.waiting.append(f"How do I reset my password on {name}?")
    other = f"Is the staging server of {name} down?"
    await ask("grace", other)
    expected.waiting.append(other)

    answered = await ask("linus", f"Where is the handbook of {name}?")
    expected.sent += 1
    await remote.post("margaret", "help", "It is pinned in #general.", thread=answered)
    ticked = await ask("dennis", f"Can someone restart the build of {name}?")
    await remote.act(
        "react", person="ada", channel="help", message=ticked, emoji="white_check_mark"
    )
    edited = await ask("ada", f"Does anyone know the wifi code of {name}?")
    await remote.act("edit", person="ada", channel="help", message=edited, text="Found it, thanks.")
    deleted = await ask("grace", f"Who moved my cheese on {name}?")
    await remote.act("delete", person="grace", channel="help", message=deleted)
    expected.settled += [
        f"{text} of {name}" for text in ("handbook", "restart the build", "wifi code")
    ]
    expected.settled.append(f"moved my cheese on {name}")

    alone = await ask("margaret", f"Why does the printer of {name} smoke?")
    expected.sent += 1
    await remote.post("margaret", "help", "Still smoking.", thread=alone)
    expected.waiting.append(f"Why does the printer of {name} smoke?")
    await ask("linus", "No question here, only a statement.")


async def _talk(name: str, remote: Remote, expected: Expected) -> None:
    for person, text in (
        ("ada", f"The release of {name} goes out at noon: https://example.org/notes?utm_source=x"),
        ("grace", "Lunch is at one."),
        ("linus", "Who takes the minutes today?"),
    ):
        root = await remote.post(person, "general", text)
        expected.sent += 1
        if person == "ada":
            for who in ("grace", "dennis"):
                await remote.post(who, "general", f"Noted by {who}.", thread=root)
                expected.sent += 1


async def replay(remote: Remote, path: Path, most: int, expected: Expected) -> None:
    """Post a transcript as fast as the far side takes it."""
    known: set[str] = set()
    for line in transcript.read(path, most):
        if line.person not in known:
            known.add(line.person)
            await remote.act("person", person=line.person)
        await remote.post(line.person, "general", line.text or "(nothing)")
        expected.sent += 1


def speaks(text: str) -> bool:
    """Whether a text holds the keyword, as a reader sees it."""
    return bool(_SPOKEN.search(text))
