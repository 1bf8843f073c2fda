"""Messages of history as the bridge's values, with what reading them takes to ask."""

import logging
from collections.abc import Sequence
from datetime import datetime

from adapters.slack.convert import Context
from adapters.slack.history.asking import Answer, Ask, Asker
from adapters.slack.history.learning import Learner
from adapters.slack.history.shown import Reactions, cut, deleted, reactions, shown
from adapters.slack.payload import JsonDict, position
from adapters.slack.settings import SlackSettings
from bridge.errors import PermanentError, RetryableError
from bridge.messages import Deleted, Shown

_LOG = logging.getLogger(__name__)


class Reader:
    """Reads for one account. `asker` makes its calls."""

    def __init__(self, account: str, settings: SlackSettings) -> None:
        self.asker = Asker(account, settings)
        self._learner = Learner(account)

    async def us(self) -> str:
        """The author id of our own messages. Raises SendError and its kinds."""
        identity, _ = await self._learner.us(self.asker.client)
        return identity.person

    async def read(
        self, channel: str, messages: Sequence[JsonDict], at: datetime
    ) -> tuple[Shown | Deleted, ...]:
        """How messages stood at a moment; announcements and what is unreadable are left out.

        Raises SendError and its kinds, but never UnknownOutcomeError.
        """
        context = await self._learner.context(self.asker.client, channel, messages)
        found = []
        for message in messages:
            reacting = await self._reactions(channel, message)
            if stands := _stands(message, context, channel, at, reacting):
                found.append(stands)
        return tuple(found)

    async def gone(self, channel: str, native_id: str, answer: Answer) -> Deleted:
        """What it means that an answer does not show a message.

        Raises RetryableError where the message is so young that this means nothing.
        """
        if position(native_id) > answer.settled:
            raise RetryableError(f"history may not show {native_id} in {channel} yet")
        context = await self._learner.context(self.asker.client, channel, ())
        return deleted(context, channel, native_id, answer.at)

    async def _reactions(self, channel: str, message: JsonDict) -> Reactions | None:
        """Every reaction to a message; None where history does not name everybody."""
        if not cut(message):
            return reactions(message)
        which = {"channel": channel, "timestamp": message["ts"], "full": 1}
        try:
            answer = await self.asker.ask(Ask("reactions.get", which))
        except PermanentError as error:
            _LOG.info("reactions to %s stay unread: %s", message["ts"], error)
            return None
        whole = answer.body.get("message")
        return reactions(whole) if isinstance(whole, dict) and not cut(whole) else None


def _stands(
    message: JsonDict, context: Context, channel: str, at: datetime, reacting: Reactions | None
) -> Shown | Deleted | None:
    try:
        return shown(message, context, channel, at, reacting)
    except ValueError as error:
        _LOG.warning("left out a malformed message of %s: %s", channel, error)
        return None
