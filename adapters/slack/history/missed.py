"""A channel being read up, page by page."""

from typing import Self

from adapters.slack.history.asking import Answer, Ask
from adapters.slack.history.reading import Reader
from adapters.slack.history.walk import Piece, Plan, walk
from bridge.messages import ChannelRef, Page, Threads


class Missed:
    """The pages of bridge.ports.History.missed. After an error it goes on from where it was."""

    def __init__(
        self, reader: Reader, channel: ChannelRef, after: int, roots_after: int, known: Threads
    ) -> None:
        self._reader = reader
        self._channel = channel
        self._after = after
        self._roots_after = roots_after
        self._known = known
        self._native = ""
        self._plan: Plan[None] | None = None
        self._step: Ask | Piece | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        """The next page. Raises SendError and its kinds, but never UnknownOutcomeError."""
        plan = self._plan or await self._begin()
        while isinstance(self._step, Ask):
            self._step = _sent(plan, await self._reader.asker.ask(self._step))
        if self._step is None:
            raise StopAsyncIteration
        piece = self._step
        events = await self._reader.read(self._native, piece.messages, piece.at)
        self._step = next(plan, None)
        return Page(events, piece.start, piece.end)

    async def _begin(self) -> Plan[None]:
        self._native = await self._reader.asker.native(self._channel)
        self._plan = walk(self._native, self._after, self._roots_after, self._known)
        self._step = next(self._plan, None)
        return self._plan


def _sent(plan: Plan[None], answer: Answer) -> Ask | Piece | None:
    try:
        return plan.send(answer)
    except StopIteration:
        return None
