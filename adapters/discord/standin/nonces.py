"""Which message a nonce made, for as long as Discord remembers."""

from collections import deque

from adapters.discord.standin.workspace import Message, Person

REMEMBERED = 120.0
"""Seconds. Documented as "the past few minutes", so nobody may rely on more."""


class Nonces:
    """The recent messages by author and nonce."""

    def __init__(self) -> None:
        self._messages: dict[tuple[str, str], Message] = {}
        self._order: deque[tuple[float, tuple[str, str]]] = deque()

    def keep(self, author: Person, nonce: str | int, message: Message, at: float) -> None:
        """Remember what a nonce made at a moment in seconds of a steady clock."""
        key = (author.id, str(nonce))
        self._messages[key] = message
        self._order.append((at, key))

    def recall(self, author: Person, nonce: str | int, at: float) -> Message | None:
        """The message that nonce made not long before, deleted or not."""
        while self._order and self._order[0][0] <= at - REMEMBERED:
            self._messages.pop(self._order.popleft()[1], None)
        return self._messages.get((author.id, str(nonce)))
