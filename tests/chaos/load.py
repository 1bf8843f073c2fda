"""The people: they say what the plan tells them to, and what really happened is noted down."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.standin import PEOPLE, Remote
from tests.chaos.plan import Plan, Said
from tests.chaos.stage import TICK


@dataclass(slots=True)
class Deed:
    """What came of a planned message. `acted_at`: when it was cancelled; `act_id` a reply's id."""

    said: Said
    native_id: str = ""
    acted_at: float = 0.0
    act_id: str = ""


@dataclass(slots=True)
class Record:
    """All that people did. `replies` counts messages beyond the planned ones."""

    deeds: dict[int, Deed] = field(default_factory=dict)
    began: float = 0.0

    @property
    def posts(self) -> dict[str, set[str]]:
        """The native ids of all that was posted, by platform."""
        found: dict[str, set[str]] = {}
        for one in self.deeds.values():
            ids = found.setdefault(one.said.platform, set())
            ids |= {one.native_id, one.act_id} - {""}
        return found


async def talk(plan: Plan, remotes: Mapping[str, Remote], record: Record) -> None:
    """Act the plan out, from now on."""
    record.began = time.time()
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for said in plan.said:
            record.deeds[said.number] = deed = Deed(said)
            group.create_task(_play(deed, remotes[said.platform], began))


async def _play(deed: Deed, remote: Remote, began: float) -> None:
    said, loop = deed.said, asyncio.get_running_loop()
    await asyncio.sleep(began + said.at - loop.time())
    deed.native_id = await remote.post(said.person, said.channel, said.text)
    if said.fate == "stays":
        return
    await asyncio.sleep(said.then)
    somebody = next(one for one in PEOPLE if one != said.person)
    about = {"channel": said.channel, "message": deed.native_id}
    match said.fate.removeprefix("racing_"):
        case "reply":
            deed.act_id = await _reply(remote, somebody, deed)
        case "own_reply":
            deed.act_id = await _reply(remote, said.person, deed)
        case "reaction":
            await remote.act("react", person=somebody, emoji=TICK, **about)
        case "edit":
            await remote.act("edit", person=said.person, text=f"{said.token} solved", **about)
        case "delete":
            await remote.act("delete", person=said.person, **about)
    deed.acted_at = time.time()


async def _reply(remote: Remote, person: str, deed: Deed) -> str:
    """Every other reply is in a thread, the others beside it where the platform has that."""
    how = "thread" if deed.said.number % 2 else "reply_to"
    text = f"about {deed.said.number}"
    return await remote.post(person, deed.said.channel, text, **{how: deed.native_id})
