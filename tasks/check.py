"""What `chatbridge check` looks at: features, tokens, channels, store and broker."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from bridge.directory import Names
from bridge.errors import BridgeError, ConfigError
from bridge.messages import ChannelNamed, PersonNamed
from bridge.migrations import current, newest
from tasks.wiring import Account, House

Finding = dict[str, Any]


async def examine(house: House) -> list[Finding]:
    """Every check with its outcome: {"ok": bool, "what": text}. Changes nothing."""
    findings = [_found(True, f"config {house.settings.path}")]
    findings += [_found(False, line) for line in house.settings.not_yet()]
    asked = await asyncio.gather(*(_account(account) for account in house.accounts.values()))
    entries = [entry for finding, known in asked for entry in known]
    findings += [finding for finding, _ in asked]
    if all(finding["ok"] for finding, _ in asked):
        findings += _addresses(house, _names(entries))
    findings.append(_attempt(lambda: _store(house)))
    findings.append(await asyncio.to_thread(_attempt, lambda: _broker(house)))
    return findings


async def _account(account: Account) -> tuple[Finding, Sequence[ChannelNamed | PersonNamed]]:
    directory = account.directory()
    try:
        identity = await directory.identify()
        entries = await directory.entries()
    except BridgeError as error:
        return _found(False, f"[accounts.{account.name}]: {error}"), ()
    finally:
        await directory.close()
    channels = sum(isinstance(entry, ChannelNamed) for entry in entries)
    what = f"account {account.name}: {identity.name} in {identity.workspace}, {channels} channels"
    return _found(True, what), entries


def _addresses(house: House, names: Names) -> list[Finding]:
    findings = []
    for what, resolve in (("notifications", house.rule_book), ("digests", house.digest_rules)):
        try:
            resolve(names)
            findings.append(_found(True, f"addresses of all {what}"))
        except ConfigError as error:
            findings += [_found(False, line) for line in error.problems]
    return findings


def _names(entries: Sequence[ChannelNamed | PersonNamed]) -> Names:
    channels: dict[tuple[str, str], list[str]] = {}
    people: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if isinstance(entry, ChannelNamed):
            key = entry.channel.account, entry.name.casefold()
            channels.setdefault(key, []).append(entry.channel.id)
        else:
            people.setdefault((entry.account, entry.name.casefold()), []).append(entry.person)
    ids = {(e.channel.account, e.channel.id) for e in entries if isinstance(e, ChannelNamed)}
    return Names(channels, people, frozenset(ids))


def _store(house: House) -> str:
    with house.store.reading() as session:
        found = current(session)
    if found != newest():
        return f"store {house.store}: {found or 'empty'}; `chatbridge migrate` brings it up to date"
    return f"store {house.store}"


def _broker(house: House) -> str:
    from tasks.celery import app  # noqa: PLC0415  (reading its settings starts the broker)

    url = house.settings.broker.url
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
            return f"broker {'embedded' if url == 'embedded' else connection.as_uri()}"
    except BridgeError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{house.settings.where('broker', 'url')}: broker.url: cannot be reached ({error}); "
            "is the server running there?"
        ) from error


def _attempt(look: Callable[[], str]) -> Finding:
    try:
        return _found(True, look())
    except BridgeError as error:
        return _found(False, str(error))


def _found(ok: bool, what: str) -> Finding:  # noqa: FBT001  (a pair with a name)
    return {"ok": ok, "what": what}
