"""Runs the listeners: what they need to know first, supervision, and backfill beside them."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from bridge import directory
from bridge.errors import BridgeError, ConfigError, PermanentError, SendError
from bridge.intake import Intake
from bridge.messages import ChannelNamed, PersonNamed
from bridge.migrations import require_current
from bridge.models import Account as AccountRow
from bridge.rules import RuleBook
from bridge.store import one_by_one
from tasks.backfill import Backfill
from tasks.bells import Bells
from tasks.celery import app
from tasks.committer import Committer
from tasks.problems import of_account
from tasks.wiring import Account, House, jitter, require_accounts

MOST_EVENTS = 500
"""Events in one transaction at most."""
_LONGEST_BACKOFF = 60.0
_STEADY_SECONDS = 60.0

E = TypeVar("E")

log = structlog.get_logger(__name__)


async def listen(house: House, only: Iterable[str] = ()) -> None:
    """Run the listeners of these accounts (all if none is named) until cancelled.

    Raises ConfigError for an address or a token that cannot be used.
    """
    require_accounts(house)
    wanted = _wanted(house, tuple(only))
    house.store.require_sound()
    require_current(house.store)
    rules, own = await learn(house)
    intake = Intake(house.store, rules, own.__contains__)
    intake.prepare()
    bells = Bells(app)
    bells.start()
    committer = Committer(intake, bells)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(committer.run())
            for account in wanted:
                backfill = Backfill(account, intake, committer.call, bells)
                committer.on_gap(account.name, backfill.request)
                group.create_task(backfill.run())
                group.create_task(supervise(account, committer))
    finally:
        committer.close()
        bells.close()


async def learn(house: House) -> tuple[RuleBook, frozenset[str]]:
    """Ask every platform who we are and what is there, keep it, and resolve the rules with it.

    A platform that is away is no error while the store knows its names from earlier. Raises
    ConfigError for a token or an address that cannot be used, BridgeError without any names.
    """
    asked = await asyncio.gather(*(_ask(house, account) for account in house.accounts.values()))
    bad = [str(one) for one in asked if isinstance(one, ConfigError)]
    if bad:
        raise ConfigError(*bad)
    with house.store.transaction() as session:
        found = [one for one in asked if isinstance(one, _Learned)]
        one_by_one(session, {one.row.name for one in found})
        directory.keep_accounts(session, [one.row for one in found])
        for one in found:
            directory.forget_names(session, one.entries)
            directory.name_channels(session, _of(one.entries, ChannelNamed))
            directory.name_people(session, _of(one.entries, PersonNamed))
        names = directory.read_names(session)
        own = directory.own_people(session)
    _require_names(names, [one for one in asked if isinstance(one, _Away)])
    rules = house.rule_book(names)
    house.digest_rules(names)
    return rules, own


@dataclass(frozen=True, slots=True)
class _Learned:
    row: AccountRow
    entries: Sequence[ChannelNamed | PersonNamed]


@dataclass(frozen=True, slots=True)
class _Away:
    account: str
    reason: str


async def _ask(house: House, account: Account) -> _Learned | _Away | ConfigError:
    asked = account.directory()
    try:
        identity = await asked.identify()
        entries = await asked.entries()
    except (PermanentError, ConfigError) as error:
        return ConfigError(of_account(house.settings, account.name, error))
    except SendError as error:
        log.warning("platform away", account=account.name, reason=str(error))
        return _Away(account.name, of_account(house.settings, account.name, error))
    finally:
        await asked.close()
    row = AccountRow(
        name=account.name,
        platform=account.platform,
        person=identity.person,
        display=identity.name,
        workspace=identity.workspace,
    )
    log.info("known", account=account.name, as_=identity.name, workspace=identity.workspace)
    return _Learned(row, entries)


def _require_names(names: directory.Names, away: Iterable[_Away]) -> None:
    known = {account for account, _ in names.channel_ids}
    missing = [one.reason for one in away if one.account not in known]
    if missing:
        raise BridgeError("\n".join(f"{one}; its channels are not known yet" for one in missing))


def _of(entries: Iterable[object], kind: type[E]) -> list[E]:
    return [entry for entry in entries if isinstance(entry, kind)]


async def supervise(account: Account, committer: Committer) -> None:
    """Run one account's listener, and again after every loss, with growing pauses."""
    failures = 0
    while True:
        began = time.monotonic()
        try:
            await account.listener().listen(committer.receive)
            reason = "the connection ended"
        except PermanentError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001  (whatever ends a listener, it starts again)
            reason = f"{type(error).__name__}: {error}"
        steady = time.monotonic() - began > _STEADY_SECONDS
        failures = 1 if steady else failures + 1
        pause = min(2.0 ** (failures - 1), _LONGEST_BACKOFF) * (0.5 + 0.5 * jitter())
        log.warning("listener lost", account=account.name, reason=reason, again_in=round(pause, 1))
        await asyncio.sleep(pause)


def _wanted(house: House, only: tuple[str, ...]) -> list[Account]:
    unknown = [name for name in only if name not in house.accounts]
    if unknown:
        known = ", ".join(sorted(house.accounts)) or "none"
        raise ConfigError(f"no [accounts.{unknown[0]}] in the config; there are: {known}")
    return [house.accounts[name] for name in only or house.accounts]
