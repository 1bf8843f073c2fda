"""What `chatbridge check` looks at: features, tokens, channels, store and broker."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bridge.digest import DigestRule
from bridge.directory import Names, names_of
from bridge.errors import BridgeError, ConfigError, StoreError
from bridge.messages import ChannelNamed, ChannelRef, PersonNamed
from bridge.migrations import current, newest, require_current
from bridge.rules import RuleBook
from tasks import problems
from tasks.broker import EMBEDDED
from tasks.wiring import Account, House, require_accounts

Finding: TypeAlias = dict[str, Any]
Entries: TypeAlias = Sequence[ChannelNamed | PersonNamed]


async def examine(house: House) -> list[Finding]:
    """Every check with its outcome: {"ok": bool, "warning": bool, "what": text}.

    Changes nothing, but for an embedded broker that is started for the moment.
    """
    findings = [_found(f"config {house.settings.path}")]
    findings += [_wrong(line) for line in house.settings.not_yet()]
    findings += _attempt(house, require_accounts)
    asked = await asyncio.gather(*(_account(house, one) for one in house.accounts.values()))
    findings += [finding for finding, _ in asked]
    if asked and all(finding["ok"] for finding, _ in asked):
        findings += _addresses(house, [entry for _, entries in asked for entry in entries])
    findings += _attempt(house, _store)
    findings += await asyncio.to_thread(_attempt, house, require_broker)
    return findings


def told(finding: Finding) -> str:
    """A finding as a line for people."""
    word = "WRONG" if not finding["ok"] else "warn " if finding["warning"] else "ok   "
    return f"{word} {finding['what']}"


def require_broker(house: House) -> str:
    """Say which broker answers. Raises ConfigError, naming the line, where none does."""
    from tasks.celery import app  # noqa: PLC0415  (reading its settings starts the broker)

    embedded = house.settings.broker.url == EMBEDDED
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
            return f"broker {EMBEDDED if embedded else connection.as_uri()}"
    except BridgeError:
        raise
    except Exception as error:
        reason = str(error).rstrip(".") or type(error).__name__
        what = (
            f"cannot run in {house.state} ({reason}); make the folder writable, or name a broker"
            if embedded
            else f"cannot be reached ({reason}); start the server there, or name another one"
        )
        raise ConfigError(f"{house.settings.where('broker', 'url')}: broker.url: {what}") from error


async def _account(house: House, account: Account) -> tuple[Finding, Entries]:
    directory = account.directory()
    try:
        identity = await directory.identify()
        entries = await directory.entries()
    except BridgeError as error:
        return _wrong(problems.of_account(house.settings, account.name, error)), ()
    finally:
        await directory.close()
    channels = sum(isinstance(entry, ChannelNamed) for entry in entries)
    what = f"account {account.name}: {identity.name} in {identity.workspace}, {channels} channels"
    return _found(what), entries


def _addresses(house: House, entries: Entries) -> list[Finding]:
    names = names_of(entries)
    return [
        *_resolved("notifications", house.rule_book, names, entries),
        *_resolved("digests", house.digest_rules, names, entries),
    ]


def _resolved(
    what: str,
    resolve: Callable[[Names], RuleBook | list[DigestRule]],
    names: Names,
    entries: Entries,
) -> Iterator[Finding]:
    try:
        found = resolve(names)
    except ConfigError as error:
        yield from (_wrong(line) for line in error.problems)
        return
    yield _found(f"addresses of all {what}")
    channels = [one for one in entries if isinstance(one, ChannelNamed)]
    private = {one.channel: one.name for one in channels if one.private}
    for one in found.rules if isinstance(found, RuleBook) else found:
        name = one.name if isinstance(one, DigestRule) else one.snapshot.name
        if not one.allow_private:
            yield from _withheld(what, name, one.channels, one.to, private)


def _withheld(
    what: str,
    name: str,
    channels: Collection[ChannelRef],
    targets: Sequence[ChannelRef],
    private: dict[ChannelRef, str],
) -> Iterator[Finding]:
    """A warning for each private channel of which a rule will tell nothing elsewhere."""
    for channel in sorted(private.keys() & set(channels), key=lambda one: (one.account, one.id)):
        if any(target != channel for target in targets):
            yield _found(
                f"{what} {name!r}: #{private[channel]} is private, so nothing of it goes to other "
                "channels; if that is meant, set allow_private = true",
                warning=True,
            )


def _store(house: House) -> str:
    url = house.store.url
    if house.store.is_sqlite and url.database and not Path(url.database).exists():
        folder = Path(url.database).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            why = "cannot be written" if folder.exists() else "does not exist"
            raise ConfigError(
                f"{house.settings.where('store', 'url')}: store.url: the folder {folder} {why}; "
                "mend that, or name another file"
            )
        return f"store {house.store}: not there yet; `chatbridge migrate` makes it"
    with house.store.reading() as session:
        found = current(session)
    if found and found != newest():
        require_current(house.store)
    return f"store {house.store}{'' if found else ': empty; `chatbridge migrate` fills it'}"


def _attempt(house: House, look: Callable[[House], str | None]) -> list[Finding]:
    try:
        found = look(house)
    except StoreError as error:
        return [_wrong(problems.of_store(house.settings, error))]
    except BridgeError as error:
        return [_wrong(line) for line in str(error).splitlines()]
    return [_found(found)] if found else []


def _found(what: str, *, warning: bool = False) -> Finding:
    return {"ok": True, "warning": warning, "what": what}


def _wrong(what: str) -> Finding:
    return {"ok": False, "warning": False, "what": what}
