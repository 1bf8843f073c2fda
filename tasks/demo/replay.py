"""Real talk, replayed: a transcript whose time, and the rules' time with it, runs faster."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from adapters.standin import PEOPLE, Remote
from tasks.demo.script import TICK, introduce
from tasks.demo.transcript import Line

WAIT_SECONDS = 300
"""How long a question waits for an answer, in the transcript's time."""
WINDOW_SECONDS = 3600
"""How often a digest comes, in the transcript's time."""
_SHORTEST_WAIT = 1
_SHORTEST_WINDOW = 10
_LATER = 3.0


@dataclass(frozen=True, slots=True)
class Clock:
    """How much faster than the talk was everything runs; the real seconds that come of it."""

    speed: float

    @property
    def wait(self) -> int:
        """How long a question waits for an answer."""
        return max(round(WAIT_SECONDS / self.speed), _SHORTEST_WAIT)

    @property
    def window(self) -> int:
        """How often a digest comes."""
        return max(round(WINDOW_SECONDS / self.speed), _SHORTEST_WINDOW)

    @property
    def longest_silence(self) -> float:
        """Longer pauses are cut to this: no rule tells them apart, and nobody likes to wait."""
        return self.wait + _LATER

    def rules(self, platforms: tuple[str, ...]) -> str:
        """The config of a replay: unanswered questions and a digest, told on every platform."""
        everywhere = {
            channel: ", ".join(f'"{name}:#{channel}"' for name in platforms)
            for channel in ("oncall", "digest")
        }
        return f"""
[scheduler]
sweep = "1s"

[[notifications]]
name = "unanswered question"
channels = ["{platforms[-1]}:#general"]
when = {{ question = true }}
after = "{self.wait}s"
unless = ["reply", "reaction:{TICK}"]
to = [{everywhere["oncall"]}]
text = "{{author}} in {{channel}} still waits: {{excerpt}} {{link}}"

[[digests]]
name = "news"
channels = ["{platforms[-1]}:#general"]
every = "{self.window}s"
to = [{everywhere["digest"]}]
"""

    def pauses(self, lines: Sequence[Line]) -> list[float]:
        """Real seconds before each message."""
        gaps = [(b.at - a.at).total_seconds() / self.speed for a, b in pairwise(lines)]
        return [0.0, *(min(max(gap, 0.0), self.longest_silence) for gap in gaps)][: len(lines)]


@dataclass(slots=True)
class Player:
    """Plays a transcript; the first message of a conversation is the root, the rest its thread."""

    remote: Remote
    clock: Clock
    _known: set[str] = field(default_factory=lambda: set(PEOPLE))
    _roots: dict[str, str] = field(default_factory=dict)

    async def play(self, lines: Sequence[Line]) -> None:
        """Post every line in its time."""
        for line, pause in zip(lines, self.clock.pauses(lines), strict=True):
            await asyncio.sleep(pause)
            await introduce(self.remote, line.person, self._known)
            thread = {"thread": self._roots[line.talk]} if line.talk in self._roots else {}
            text = line.text or "(nothing)"
            native_id = await self.remote.post(line.person, "general", text, **thread)
            if line.talk:
                self._roots.setdefault(line.talk, native_id)
