"""What the floors hand each other: a small required interface, and optional ones beside it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from bridge.messages import ChannelNamed, Event, Identity, Outbound, PersonNamed, Receipt

Receive: TypeAlias = Callable[[Event], Awaitable[None]]
"""Handed to a listener. Returns after the commit; raises StoreError when nothing was stored,
and then the listener must not acknowledge the event."""


class Listener(Protocol):
    """The way in."""

    async def listen(self, receive: Receive) -> None:
        """Stay connected and hand on every event until cancelled.

        Raises when the connection is lost for good; the caller starts it again. Reports channels
        and people it learns of as ChannelNamed and PersonNamed events.
        """


class Sender(Protocol):
    """The way out. One event loop owns it; `send` may run many times at once."""

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


@runtime_checkable
class Standin(Protocol):
    """A local server that speaks a platform's wire protocol (see adapters/standin.py)."""

    url: str

    def account(self) -> dict[str, str]:
        """The keys of an [accounts.x] section that points at this stand-in."""

    async def stop(self) -> None:
        """Close the server and every connection."""
