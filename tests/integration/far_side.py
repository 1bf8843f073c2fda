"""The far side of a bridge as a model: what people did, what arrived, and what is shown of it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bridge.errors import RateLimitedError, RetryableError, UnknownOutcomeError
from bridge.messages import (
    ChannelRef,
    Deleted,
    Event,
    Limits,
    Outbound,
    Page,
    Posted,
    Receipt,
    Shown,
    Threads,
)
from bridge.pending import Pending
from bridge.ports import History, Sender
from tests import values
from tests.values import HELP, NOW, ONCALL, STAFF

TICK = "white_check_mark"
LAG = timedelta(seconds=3)
"""History shows a message of ours only after so long."""
US = "U-us"
SNAPSHOT = values.rule().snapshot
RULE = values.rule(after="10s", unless=("reply", f"reaction:{TICK}"), to=(ONCALL, STAFF))
# no link and no author: several deliveries of a lane read alike
RULE = replace(RULE, snapshot=(plain := replace(SNAPSHOT, text="{excerpt}")), snapshot_id=plain.id)


REFUSED = {"refused": RetryableError("busy"), "limited": RateLimitedError("slow down", 5.0)}
OUTCOMES = (
    *("ok", "ok", *REFUSED),
    *("500", "500 after", "lost", "lost after", "lost 4", "lost 24"),
)
"""What comes of a call: what its caller learns, and whether it is carried out, now or later."""
CRASHES = ("crash", "crash after", "crash 9")


class Crash(Exception):  # noqa: N818  (not an error of anything: the power went off)
    """A process ends here and forgets everything."""


@dataclass
class Told:
    """A message of ours in a lane: what it was for, and when it got there."""

    native: int
    keys: tuple[str, ...]
    document: Any
    at: datetime


@dataclass
class World:
    """Both platforms: what people did in #help, and what arrived in the lanes."""

    now: datetime = NOW
    posts: dict[str, Posted] = field(default_factory=dict)
    edited_at: dict[str, datetime] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    ticked: set[str] = field(default_factory=set)
    lanes: dict[ChannelRef, list[Told]] = field(default_factory=lambda: defaultdict(list))
    late: list[tuple[datetime, ChannelRef, Outbound, tuple[str, ...]]] = field(default_factory=list)
    echo: Callable[[Posted], None] = lambda _: None
    outcome: str = "ok"
    job: Pending | None = None
    _count: int = 0

    def position(self) -> int:
        self._count += 1
        return int(self.now.timestamp() * 1000) * 1000 + self._count

    def wait(self, seconds: float) -> None:
        end = self.now + timedelta(seconds=seconds)
        for one in sorted(self.late, key=lambda late: late[0]):
            if one[0] <= end:
                self.late.remove(one)
                self.now = one[0]
                self.accept(*one[1:])
        self.now = end

    def accept(self, channel: ChannelRef, outbound: Outbound, keys: tuple[str, ...]) -> Receipt:
        """A message arrives, unless the platform still remembers its key."""
        if channel == STAFF:
            for one in self.lanes[channel]:
                if one.keys[0] == outbound.key and self.now - one.at < timedelta(seconds=60):
                    return Receipt(str(one.native), one.native)
        native = self.position()
        self.lanes[channel].append(Told(native, keys, outbound.document, self.now))
        if channel == ONCALL:
            said = Posted(channel, str(native), native, US, "told", self.now, key=outbound.key)
            self.echo(said)
        return Receipt(str(native), native)

    # ---- as the ports see it

    def sender(self, account: str) -> Sender:
        self.limits = Limits(remembers_seconds=60 if account == STAFF.account else 0)
        return self

    def history(self, account: str) -> History:  # noqa: ARG002  (a port's name)
        return self

    async def send(self, outbound: Outbound) -> Receipt:
        assert self.job
        keys = (self.job.key, *(one.key for one in self.job.others))
        what, _, then = self.outcome.partition(" ")
        if what in REFUSED:
            raise REFUSED[what]
        receipt = None
        if what == "ok" or then == "after":
            receipt = self.accept(outbound.channel, outbound, keys)
        elif then:
            moment = self.now + timedelta(seconds=float(then))
            self.late.append((moment, outbound.channel, outbound, keys))
        if what == "ok" and receipt:
            return receipt
        raise Crash if what == "crash" else UnknownOutcomeError(what, answered=what == "500")

    async def find(self, outbound: Outbound, after: str) -> Receipt | None:
        for one in self.lanes[outbound.channel]:
            if one.native <= int(after or 0) or self.now - one.at < LAG:
                continue
            by_key = outbound.channel == ONCALL
            if one.keys[0] == outbound.key if by_key else one.document == outbound.document:
                return Receipt(str(one.native), one.native)
        return None

    async def look(self, channel: ChannelRef, native_id: str, thread: str) -> Sequence[Event]:
        assert (channel, thread) == (HELP, "")
        replies = [one for one in self.posts.values() if one.thread == native_id]
        return [self._stands(self.posts[native_id]), *map(self._stands, replies)]

    async def missed(
        self, channel: ChannelRef, after: int, roots_after: int, known: Threads
    ) -> AsyncIterator[Page]:
        """Pages of two, and the replies to each root one by one."""
        assert channel == HELP
        every, now = sorted(self.posts.values(), key=lambda post: post.position), self.position()
        roots = [one for one in every if not one.thread and one.position > after]
        start = after + 1
        for index in range(0, len(roots), 2):
            two = roots[index : index + 2]
            end = two[-1].position
            yield Page(tuple(self._stands(one) for one in two), start, end)
            start = end + 1
        yield Page((), start, now)
        for one in every:
            new = one.thread and one.position > after and int(one.thread) >= roots_after
            if new and known.get(one.thread) != self._thread(one.thread):
                yield Page((self._stands(one),), 1, 0)

    def _thread(self, root: str) -> tuple[int, int]:
        replies = [one.position for one in self.posts.values() if one.thread == root]
        return max(replies), len(replies)

    async def close(self) -> None:
        """Nothing to give back."""

    def _stands(self, post: Posted) -> Shown | Deleted:
        post = self.posts[post.native_id]  # it may have been edited since it was listed
        if post.native_id in self.deleted:
            return Deleted(HELP, post.native_id, post.position, self.now)
        reactions = ((TICK, "U-grace"),) if post.native_id in self.ticked else ()
        return Shown(post, self.now, self.edited_at.get(post.native_id), reactions)

    def matters(self, native: str) -> bool:
        """Whether what a question owes still has to be told in the end."""
        answered = any(one.thread == native for one in self.posts.values())
        gone = native in self.deleted | self.ticked | set(self.edited_at)
        return not answered and not gone


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits for anything."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")
