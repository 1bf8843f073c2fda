"""The door to Slack's memory: one reading call at a time, cut in time, never repeated here."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.client import CALL_SECONDS, Api, attempt, body
from adapters.slack.direct import Conversations
from adapters.slack.failures import code, harmless
from adapters.slack.payload import JsonDict, position, position_at
from adapters.slack.settings import SlackSettings
from bridge.errors import SendError
from bridge.messages import ChannelRef

PAGE = 200
"""What Slack recommends; larger pages may fail."""
SETTLED = timedelta(seconds=10)
"""History lags behind posting: what is younger than this may be there without being shown."""
_WHOLE = timedelta(seconds=1)
_THREAD_IS_GONE = "thread_not_found"


@dataclass(frozen=True, slots=True)
class Ask:
    """One reading call."""

    method: str
    params: JsonDict

    def onward(self, cursor: str) -> "Ask":
        """The call for the page that a cursor names."""
        return Ask(self.method, {**self.params, "cursor": cursor})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call said, as of `at`: by our clock or by Slack's, whichever is behind."""

    body: JsonDict
    at: datetime

    @property
    def messages(self) -> list[JsonDict]:
        """The messages in it, but for those that nobody could name."""
        return [one for one in self.body.get("messages") or () if place(one) >= 0]

    @property
    def cursor(self) -> str:
        """What asks for the next page, "" on the last one."""
        return str((self.body.get("response_metadata") or {}).get("next_cursor") or "")

    @property
    def settled(self) -> int:
        """The position up to which an answer shows all there is."""
        return position_at(self.at - SETTLED)


class Asker:
    """Asks for one account."""

    def __init__(self, account: str, settings: SlackSettings) -> None:
        self._account = account
        self._api = Api(settings)
        self._conversations = Conversations(account)

    @property
    def client(self) -> AsyncWebClient:
        """The SDK's client; only for use inside the event loop."""
        return self._api.client

    async def native(self, channel: ChannelRef) -> str:
        """The native id of a channel, that of direct messages included."""
        return await self._conversations.native(self.client, channel, _deadline())

    async def ask(self, ask: Ask) -> Answer:
        """Make one call. A thread that is gone answers without messages.

        Raises SendError and its kinds, but never UnknownOutcomeError: reading changes nothing.
        """
        now = datetime.now(UTC)
        doing = f"{self._account}: {ask.method} in {ask.params.get('channel')}"
        call = self.client.api_call(ask.method, http_verb="GET", params=ask.params)
        try:
            answer = await attempt(call, doing, _deadline())
        except SendError as error:
            if code(error) == _THREAD_IS_GONE:
                return Answer({}, now)
            raise harmless(error) from error.__cause__
        return Answer(body(answer), read_at(answer.headers, now))

    async def pages(self, ask: Ask) -> AsyncIterator[Answer]:
        """Every page of what a call answers."""
        asking: Ask | None = ask
        while asking:
            answer = await self.ask(asking)
            yield answer
            asking = ask.onward(answer.cursor) if answer.cursor else None

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        await self._api.close()


def place(message: JsonDict) -> int:
    """A message's position, -1 where its time stamp is none."""
    try:
        return position(str(message.get("ts")))
    except ValueError:
        return -1


def read_at(headers: Mapping[str, str], now: datetime) -> datetime:
    """`now`, or Slack's own moment in the Date header where our clock runs ahead of it."""
    try:
        told = parsedate_to_datetime(headers.get("Date") or "")
    except ValueError:
        return now
    # a Date without a zone cannot be compared; one with it is cut to whole seconds
    return min(now, told + _WHOLE) if told.tzinfo else now


def _deadline() -> float:
    return asyncio.get_running_loop().time() + CALL_SECONDS
