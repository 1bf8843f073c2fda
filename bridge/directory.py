"""Addresses such as acme:#help become channels and people, by what the store knows of names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from sqlalchemy import func
from sqlmodel import Session, select

from bridge.archive import storable
from bridge.errors import ConfigError
from bridge.messages import DIRECT, ChannelNamed, ChannelRef, PersonNamed
from bridge.models import Account, Channel, Person
from bridge.store import insert_into

AUTHOR = "dm:author"


@dataclass(frozen=True, slots=True)
class Names:
    """What channels and people are called, account by account."""

    channels: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    people: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    channel_ids: frozenset[tuple[str, str]] = frozenset()
    person_ids: frozenset[tuple[str, str]] = frozenset()

    def resolve(self, address: str, where: str) -> ChannelRef:
        """The channel (or direct messages) that an address means.

        `where` names the place in the config for the error: unknown, or meant by several.
        """
        account, _, name = address.partition(":")
        if name.startswith("#"):
            found = self.channels.get((account, name[1:].casefold()), ())
            return ChannelRef(account, _single(found, address, where, "channel"))
        if name.startswith("@") or (account, name) in self.person_ids:
            return ChannelRef(account, DIRECT + self.person(address, where))
        if (account, name) not in self.channel_ids:
            raise ConfigError(
                f"{where}: {address!r}: the account {account} sees no channel or person with the "
                f"id {name!r}; names are written #channel or @person"
            )
        return ChannelRef(account, name)

    def person(self, address: str, where: str) -> str:
        """The native id of the person that an address means, see resolve."""
        account, _, name = address.partition(":")
        if (account, name) in self.person_ids:
            return name
        found = self.people.get((account, name.removeprefix("@").casefold()), ())
        return _single(found, address, where, "person")


def names_of(entries: Iterable[ChannelNamed | PersonNamed]) -> Names:
    """The names in a platform's own listing."""
    channels: dict[tuple[str, str], list[str]] = {}
    people: dict[tuple[str, str], list[str]] = {}
    channel_ids, person_ids = set(), set()
    for one in entries:
        if isinstance(one, ChannelNamed):
            account, native_id = one.channel.account, one.channel.id
            channels.setdefault((account, one.name.casefold()), []).append(native_id)
            channel_ids.add((account, native_id))
        else:
            people.setdefault((one.account, one.name.casefold()), []).append(one.person)
            person_ids.add((one.account, one.person))
    return Names(channels, people, frozenset(channel_ids), frozenset(person_ids))


def read_names(session: Session) -> Names:
    """All that the store knows."""
    channels = (
        ChannelNamed(ChannelRef(one.account, one.id), one.name, one.private)
        for one in session.exec(select(Channel))
    )
    people = (PersonNamed(one.account, one.id, one.name) for one in session.exec(select(Person)))
    return names_of(chain(channels, people))


def name_channels(session: Session, named: Sequence[ChannelNamed]) -> None:
    """Write what channels are called."""
    rows = [
        {
            "account": one.channel.account,
            "id": one.channel.id,
            "name": storable(one.name),
            "private": one.private,
        }
        for one in {one.channel: one for one in named}.values()
    ]
    if rows:
        insert = insert_into(session, Channel)
        set_ = {"name": insert.excluded.name, "private": insert.excluded.private}
        statement = insert.on_conflict_do_update(index_elements=["account", "id"], set_=set_)
        session.execute(statement, sorted(rows, key=lambda row: (row["account"], row["id"])))


def name_people(session: Session, named: Sequence[PersonNamed]) -> None:
    """Write what people are called; an unknown zone leaves the known one."""
    rows = [
        {
            "account": one.account,
            "id": one.person,
            "name": storable(one.name),
            "bot": one.bot,
            "zone": one.zone,
        }
        for one in {(one.account, one.person): one for one in named}.values()
    ]
    if rows:
        insert = insert_into(session, Person)
        new, old = insert.excluded, Person.__table__.c  # type: ignore[attr-defined]
        zone = func.coalesce(func.nullif(new.zone, ""), old.zone)
        set_ = {"name": new.name, "bot": new.bot, "zone": zone}
        statement = insert.on_conflict_do_update(index_elements=["account", "id"], set_=set_)
        session.execute(statement, sorted(rows, key=lambda row: (row["account"], row["id"])))


def forget_names(session: Session, entries: Iterable[ChannelNamed | PersonNamed]) -> None:
    """Take names from those who had them before the listed ones, such as a deleted channel.

    `entries` are all that a platform lists now; what it does not list keeps any other name.
    """
    listed = names_of(entries)
    for channel in session.exec(select(Channel)):
        taken = (channel.account, channel.name.casefold()) in listed.channels
        if taken and (channel.account, channel.id) not in listed.channel_ids:
            channel.name = ""
    for person in session.exec(select(Person)):
        taken = (person.account, person.name.casefold()) in listed.people
        if taken and (person.account, person.id) not in listed.person_ids:
            person.name = ""
    session.flush()


def keep_accounts(session: Session, accounts: Iterable[Account]) -> None:
    """Write who we are on each account."""
    rows = [account.model_dump() for account in accounts]
    if rows:
        insert = insert_into(session, Account)
        set_ = {
            name: insert.excluded[name] for name in rows[0] if name not in {"name", "paused_until"}
        }
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
            f"{where}: {address!r}: the account {account} sees no {what} {name!r}; "
            "check the spelling, and invite the app where it is private"
        )
    raise ConfigError(
        f"{where}: {address!r} means several ({', '.join(sorted(found))}); give the id instead: "
        f"{account}:{found[0]}"
    )
