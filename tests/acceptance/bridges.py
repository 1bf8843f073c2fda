"""A whole bridge, run by our own commands against the stand-ins, and what it keeps and sends."""

import contextlib
import math
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self

from sqlmodel import col, select

from adapters.standin import Seen
from bridge.migrations import upgrade
from bridge.models import Delivery, Message, Status
from bridge.store import Store
from tests.acceptance.commands import Running, eventually, running, write_config
from tests.acceptance.conftest import Far

PROBE = "Can you hear me?"


class Bridge:
    """One folder with a config, its store, and the far sides."""

    def __init__(self, folder: Path, far: Far, rules: str) -> None:
        self.folder = folder
        self.far = far
        self.config = write_config(folder, rules, far.accounts)
        self.store = Store(f"sqlite:///{folder / 'chatbridge.db'}")
        upgrade(self.store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    @contextlib.asynccontextmanager
    async def up(self, *accounts: str) -> AsyncIterator[Running]:
        """`chatbridge up` (or `listen` to some accounts), once it hears what people say."""
        command = ("listen", *accounts) if accounts else ("up",)
        async with running(*command, folder=self.folder) as process:
            await self.hears(*(accounts or self.far.remotes))
            yield process

    async def hears(self, *accounts: str) -> None:
        """Wait until what is said from now on arrives from these accounts."""
        for name in accounts:
            with contextlib.suppress(ValueError):  # it is there already
                await self.far.remotes[name].act("channel", channel="random")
        known, said_at = len(self.messages()), -math.inf

        async def heard() -> bool:
            nonlocal said_at
            deaf = set(accounts) - {one.account for one in self.messages()[known:]}
            if deaf and time.monotonic() - said_at > 1:
                said_at = time.monotonic()
                for name in deaf:
                    await self.far.remotes[name].post("ada", "random", PROBE)
            return not deaf

        await eventually(heard, "the listeners hear")

    def messages(self) -> Sequence[Message]:
        """All that is stored, in the order in which it came in."""
        with self.store.reading() as session:
            return session.exec(select(Message).order_by(col(Message.id))).all()

    def said(self) -> list[str]:
        """What people said, without our own probes."""
        return [one.text for one in self.messages() if not one.own and one.text != PROBE]

    def deliveries(self, *statuses: Status) -> Sequence[Delivery]:
        """Deliveries, of these statuses if any are named."""
        with self.store.reading() as session:
            found = session.exec(select(Delivery).order_by(col(Delivery.id))).all()
        return [one for one in found if not statuses or Status(one.status) in statuses]

    async def stored(self, text: str) -> Message:
        """Wait for a message with this in it."""

        async def there() -> Message | None:
            return next((one for one in self.messages() if text in one.text), None)

        found: Message = await eventually(there, f"{text!r} is stored")
        return found

    async def told(self, account: str, channel: str = "oncall") -> list[Seen]:
        """What our app has said in a channel so far."""
        return [one for one in await self.far.remotes[account].messages(channel) if one.by_app]

    async def tells(self, account: str, text: str, channel: str = "oncall") -> Seen:
        """Wait until our app says this in a channel."""

        async def there() -> Seen | None:
            return next(
                (one for one in await self.told(account, channel) if text in one.text), None
            )

        found: Seen = await eventually(there, f"{text!r} in #{channel} of {account}")
        return found
