"""Conversations by their native ids, direct messages with somebody included."""

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.client import attempt, body
from adapters.slack.failures import harmless
from adapters.slack.payload import need
from bridge.errors import RetryableError, SendError
from bridge.messages import ChannelRef


class Conversations:
    """Knows which conversation every person's direct messages are; asks once for each."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._direct: dict[str, str] = {}

    async def native(self, client: AsyncWebClient, channel: ChannelRef, deadline: float) -> str:
        """The native id of a channel; opens direct messages at first use.

        Raises SendError and its kinds, but never UnknownOutcomeError.
        """
        person = channel.person
        if not person:
            return channel.id
        if person not in self._direct:
            doing = f"{self._account}: opening direct messages with {person}"
            try:
                answer = await attempt(client.conversations_open(users=person), doing, deadline)
                self._direct[person] = need(body(answer), "channel.id", doing)
            except SendError as error:
                # Opening twice does no harm, and nothing was posted.
                raise harmless(error) from error.__cause__
            except ValueError as error:
                raise RetryableError(str(error)) from error
        return self._direct[person]
