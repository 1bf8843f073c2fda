"""What the floors hand each other: a small required interface, and optional ones beside it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Event,
    Identity,
    Limits,
    Outbound,
    Page,
    PersonNamed,
    Receipt,
    Threads,
)

Receive: TypeAlias = Callable[[Event], Awaitable[None]]
"""Handed to a listener. Returns after the commit; raises StoreError when nothing was stored,
and then the listener must not acknowledge the event."""


class Listener(Protocol):
    """The way in."""

    async def listen(self, receive: Receive) -> None:
        """Stay connected and hand on every event until cancelled.

        Raises when the connection is lost for good; the caller starts it again. Reports channels
        and people it learns of as ChannelNamed and PersonNamed events, and a Gap each time that it
        begins to hear anew, before any event that it hears from then on.
        """


class Sender(Protocol):
    """The way out. One event loop owns it; `send` may run many times at once."""

    limits: Limits

    async def send(self, outbound: Outbound) -> Receipt:
        """Make one attempt, cut after 10 seconds. Raises only SendError and its kinds."""

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""


class Directory(Protocol):
    """Who we are, and what channels and people are called."""

    async def identify(self) -> Identity:
        """Ask the platform who the token belongs to. Raises PermanentError for a bad token."""

    async def entries(self) -> Sequence[ChannelNamed | PersonNamed]:
        """All channels and people that the account can see."""

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""


class History(Protocol):
    """What the platform remembers. Raises only SendError and its kinds (RateLimitedError: wait)."""

    async def find(self, outbound: Outbound, after: str) -> Receipt | None:
        """Whether an earlier attempt to send this arrived, in its channel, thread or DM.

        `after` is the native id of the lane's last receipt ("" for none): what is looked for is
        later. By key where history shows it, else our own message with the same content.
        """

    async def look(self, channel: ChannelRef, native_id: str, thread: str) -> Sequence[Event]:
        """How one message stands now: Shown with its reactions, or Deleted; and every reply to it.

        `thread` is the root where the message is a reply in a thread, else "".
        """

    def missed(
        self, channel: ChannelRef, after: int, roots_after: int, known: Threads
    ) -> AsyncIterator[Page]:
        """All that history shows of a channel later than the position `after`.

        First the channel itself, oldest first, beginning a minute before `after` for what was on
        its way then; next the replies later than that in threads whose root is not older than the
        position `roots_after`; where history tells of a thread that it is as it is `known`, that
        need not be read. A page can be handed over as soon as it is read. The iterator goes
        on where it was when it is asked again after a RateLimitedError; some wait by themselves.
        """

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""


@runtime_checkable
class Standin(Protocol):
    """A local server that speaks a platform's wire protocol (see adapters/standin.py)."""

    url: str

    def account(self) -> dict[str, str]:
        """The keys of an [accounts.x] section that points at this stand-in."""

    async def stop(self) -> None:
        """Close the server and every connection."""
