"""What Discord remembers: look-ups of what we sent, and what was missed while nobody listened."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from adapters.discord.history.reader import PAGE, Gone, Reader
from adapters.discord.history.reading import Reading, reading
from adapters.discord.history.surroundings import Surroundings
from adapters.discord.known import FORUMS, THREADED, Known
from adapters.discord.payload import JsonDict, dicts, maybe, need, part
from adapters.discord.posts import answered, shown
from adapters.discord.readable import emoji_name
from adapters.discord.sender import message_fields
from adapters.discord.settings import DiscordSettings
from adapters.discord.snowflakes import earlier, position_at
from bridge.errors import RateLimitedError, RetryableError
from bridge.messages import ChannelRef, Deleted, Event, Outbound, Page, Receipt, Shown, Threads

OVERLAP = timedelta(minutes=1)
"""How far before the cursor history is read again, and how old what it lacks must be to count."""
RECENT = timedelta(hours=1)
"""How far back a message is looked for where no earlier receipt bounds the search."""
MOST_SEARCHES = 1000
HAS_THREAD = 1 << 5

_log = logging.getLogger(__name__)


class DiscordHistory:
    """Reads for one account, over REST alone. Logs in on first use, on the loop that uses it."""

    def __init__(self, account: str, settings: DiscordSettings, *, patient: bool = False) -> None:
        self._account = account
        self._settings = settings
        self._reader = Reader(account, settings, patient=patient)
        self._backlog: DiscordHistory | None = self if patient else None
        self._surroundings = Surroundings(self._reader)
        self._searched: dict[tuple[str, str], int] = {}

    async def find(self, outbound: Outbound, after: str) -> Receipt | None:
        """Whether an earlier attempt to send this arrived, in its channel, thread or DM.

        Discord's history has no nonces, so what counts is our own message with the same content,
        later than `after`. One that was to go into a thread may be a reply beside it as well.
        """
        me, home = await self._reader.me(), await self._reader.place(outbound.channel)
        wanted = reading(message_fields(outbound))
        places = [(home, "")]
        if outbound.thread and not outbound.channel.person:
            places = [(outbound.thread, ""), (home, outbound.thread)]
        for place, root in places:
            fits = partial(_is_it, me=me, root=root, wanted=wanted)
            with suppress(Gone):  # no such thread: nobody opened one
                found = await self._search(outbound.key, place, after, fits)
                if found:
                    return Receipt(found, int(found))
        return None

    async def look(self, channel: ChannelRef, native_id: str, thread: str) -> Sequence[Event]:
        """How one message stands now: Shown with its reactions, or Deleted; and every reply to it.

        Replies are what its thread holds, and what answers it among the 100 messages after it.
        """
        at, home = datetime.now(UTC), await self._reader.place(channel)
        try:
            known = await self._surroundings.around(thread or home)
            place = thread or (native_id if known.places[home].kind in FORUMS else home)
            message = await self._reader.message(place, native_id)
            reactions = await self._reactions(place, native_id, message)
            replies = await self._replies(place, message, known)
        except ValueError as error:
            told = f"{self._account}: message {native_id} cannot be read: {error}"
            raise RetryableError(told) from error
        except Gone:
            return (Deleted(ChannelRef(self._account, home), native_id, int(native_id), at),)
        return (*self._shown([message], known, at, reactions), *self._shown(replies, known, at))

    def missed(
        self,
        channel: ChannelRef,
        after: int,
        roots_after: int,
        known: Threads | None = None,  # noqa: ARG002  (a thread's list says what is new in it)
    ) -> AsyncIterator[Page]:
        """All that history shows of a channel later than the position `after`, oldest first.

        Waits out rate limits. Raises PermanentError where the bot may not read history.
        """
        if self._backlog is None:
            self._backlog = DiscordHistory(self._account, self._settings, patient=True)
        return self._backlog._missed(channel, after, roots_after)  # noqa: SLF001  (its own kind)

    async def _missed(
        self, channel: ChannelRef, after: int, roots_after: int
    ) -> AsyncIterator[Page]:
        home, since = await self._reader.place(channel), earlier(after, OVERLAP)
        known = await self._surroundings.around(home)
        place = known.places[home]
        if place.kind not in FORUMS:
            async for page in self._pages(home, since, known):
                yield page
        if place.kind not in THREADED:
            return
        for thread in await self._reader.threads(place.guild, home, since):
            if int(thread["id"]) >= roots_after and _learned(known, thread):
                async for page in self._replies_since(thread["id"], since, known):
                    yield page

    async def close(self) -> None:
        """Give back connections. Safe to call twice."""
        await self._reader.close()
        if self._backlog and self._backlog is not self:
            await self._backlog.close()

    async def _search(
        self, key: str, place: str, after: str, fits: Callable[[JsonDict], bool]
    ) -> str:
        """The id of the first message later than `after` that fits, "" for none."""
        if not after.isdecimal():
            oldest = position_at(datetime.now(UTC) - RECENT)
            recent = await self._reader.newest(place)
            return _first(one for one in recent if int(one["id"]) >= oldest and fits(one))
        # A search that a limit cut short goes on from there, else a long one would never end.
        mark = max(self._searched.pop((key, place), 0), int(after))
        while True:
            try:
                batch = await self._reader.later(place, mark)
            except RateLimitedError:
                self._remember((key, place), mark)
                raise
            found = _first(one for one in batch if fits(one))
            if found or len(batch) < PAGE:
                return found
            mark = int(batch[-1]["id"])

    def _remember(self, search: tuple[str, str], mark: int) -> None:
        self._searched[search] = mark
        if len(self._searched) > MOST_SEARCHES:
            del self._searched[next(iter(self._searched))]

    async def _pages(self, place: str, since: int, known: Known) -> AsyncIterator[Page]:
        start = since + 1
        while True:
            at = datetime.now(UTC)
            batch = await self._reader.later(place, start - 1)
            end = int(batch[-1]["id"]) if batch else 0
            if len(batch) < PAGE:
                # Nothing is behind this page, so what is not there by now never will be.
                end = max(end, earlier(position_at(at), OVERLAP))
            if end >= start:
                yield Page(tuple(self._shown(batch, known, at)), start, end)
            if len(batch) < PAGE:
                return
            start = end + 1

    async def _replies_since(self, thread: str, since: int, known: Known) -> AsyncIterator[Page]:
        while True:
            at = datetime.now(UTC)
            try:
                batch = await self._reader.later(thread, since)
            except Gone:
                return  # the thread was deleted since it was listed
            found = tuple(self._shown(batch, known, at))
            if found:
                yield Page(found, start=1, end=0)
            if len(batch) < PAGE:
                return
            since = int(batch[-1]["id"])

    async def _reactions(
        self, place: str, message_id: str, message: JsonDict
    ) -> tuple[tuple[str, str], ...]:
        found: dict[tuple[str, str], None] = {}
        for given in dicts(message, "reactions"):
            emoji = emoji_name(need(given, "emoji", dict))
            for person in await self._reader.people(place, message_id, given):
                found[emoji, person] = None
        return tuple(found)

    async def _replies(self, place: str, message: JsonDict, known: Known) -> list[JsonDict]:
        root = str(message["id"])
        if place == root:  # the first message of a forum's thread
            return await self._reader.all_later(place, int(root))
        beside = await self._reader.later(place, int(root))
        found = [one for one in beside if _answers(one, root)]
        if not maybe(message, "flags", 0) & HAS_THREAD:
            return found
        with suppress(Gone):  # the thread alone was deleted
            known.learn("THREAD_CREATE", await self._reader.channel(root))
            found += await self._reader.all_later(root, int(root))
        return found

    def _shown(
        self,
        messages: Iterable[JsonDict],
        known: Known,
        at: datetime,
        reactions: tuple[tuple[str, str], ...] | None = None,
    ) -> list[Shown]:
        found = []
        for message in messages:
            try:
                one = shown(self._account, message, known, at, reactions)
            except ValueError as error:
                told = (self._account, message.get("id"), error)
                _log.error("%s: message %s of the history cannot be read: %s", *told)
            else:
                found += [one] if one else []
        return found


def _learned(known: Known, thread: JsonDict) -> bool:
    """Remember a thread; a malformed one cannot be told from a channel, so it is passed over."""
    try:
        known.learn("THREAD_CREATE", thread)
    except ValueError as error:
        _log.error("thread %s cannot be read: %s", thread.get("id"), error)
        return False
    return True


def _is_it(message: JsonDict, me: str, root: str, wanted: Reading) -> bool:
    """Whether a message is ours, answers `root` (if any), and reads as wanted."""
    try:
        own = part(message, "author").get("id") == me and not message.get("webhook_id")
        return own and (not root or _answers(message, root)) and reading(message) == wanted
    except ValueError:
        return False


def _answers(message: JsonDict, root: str) -> bool:
    try:
        return answered(message) == root
    except ValueError:
        return False


def _first(messages: Iterable[JsonDict]) -> str:
    return next((str(one["id"]) for one in messages), "")
