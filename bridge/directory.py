"""Addresses such as acme:#help become channels and people, by what the store knows of names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session, select

from bridge.errors import ConfigError
from bridge.messages import DIRECT, ChannelRef
from bridge.models import Account, Channel, Person
from bridge.store import insert_into

AUTHOR = "dm:author"


@dataclass(frozen=True, slots=True)
class Names:
    """What channels and people are called, account by account."""

    channels: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    people: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    channel_ids: frozenset[tuple[str, str]] = frozenset()

    def resolve(self, address: str, where: str) -> ChannelRef:
        """The channel (or direct messages) that an address means.

        `where` names the place in the config for the error: unknown, or meant by several.
        """
        account, _, name = address.partition(":")
        if name.startswith("@"):
            return ChannelRef(account, DIRECT + self.person(address, where))
        if name.startswith("#"):
            found = self.channels.get((account, name[1:].casefold()), ())
            return ChannelRef(account, _single(found, address, where, "channel"))
        if (account, name) not in self.channel_ids:
            raise ConfigError(
                f"{where}: the account {account} sees no channel with the id {name!r}; "
                "invite it there, or give the name as #name"
            )
        return ChannelRef(account, name)

    def person(self, address: str, where: str) -> str:
        """The native id of the person that an address means, see resolve."""
        account, _, name = address.partition(":")
        found = self.people.get((account, name.removeprefix("@").casefold()), ())
        return _single(found, address, where, "person")


def read_names(session: Session) -> Names:
    """All that the store knows."""
    channels: dict[tuple[str, str], list[str]] = {}
    people: dict[tuple[str, str], list[str]] = {}
    ids = set()
    for channel in session.exec(select(Channel)):
        channels.setdefault((channel.account, channel.name.casefold()), []).append(channel.id)
        ids.add((channel.account, channel.id))
    for person in session.exec(select(Person)):
        people.setdefault((person.account, person.name.casefold()), []).append(person.id)
    return Names(channels, people, frozenset(ids))


def keep_accounts(session: Session, accounts: Iterable[Account]) -> None:
    """Write who we are on each account."""
    rows = [account.model_dump() for account in accounts]
    if rows:
        insert = insert_into(session, Account)
        set_ = {name: insert.excluded[name] for name in rows[0] if name != "name"}
        statement = insert.on_conflict_do_update(index_elements=["name"], set_=set_)
        session.connection().execute(statement, sorted(rows, key=lambda row: row["name"]))


def own_people(session: Session) -> frozenset[str]:
    """The author ids of all our own accounts."""
    return frozenset(session.exec(select(Account.person)))


def _single(found: Sequence[str], address: str, where: str, what: str) -> str:
    if len(found) == 1:
        return found[0]
    account, _, name = address.partition(":")
    if not found:
        raise ConfigError(
            f"{where}: {address!r}: the account {account} sees no {what} called {name!r}; "
            "check the spelling, and invite the app where it is private"
        )
    raise ConfigError(
        f"{where}: {address!r} means several ({', '.join(sorted(found))}); give the id instead: "
        f"{account}:{found[0]}"
    )
