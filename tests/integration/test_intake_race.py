"""Several listeners of one account hand on the same events at once: everything is there once."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from sqlmodel import select

from bridge.intake import Taken
from bridge.messages import ChannelNamed, Deleted, Edited, Event, PersonNamed, Posted, Reacted
from bridge.models import Delivery, Message, Reaction, Status
from bridge.rules import When
from bridge.store import Store
from tests.integration.together import together
from tests.values import HELP, NOW, ONCALL, STAFF, intake, posted, reply, rule, seconds

LISTENERS = 3
RULES = (
    rule(name="all", when=When(), unless=("reply",), to=(ONCALL, STAFF)),
    rule(name="author", to=(), to_author=True),
)


def talk(dice: random.Random, length: int = 200) -> list[Event]:
    """A conversation in which people ask, answer, edit, delete and react."""
    events: list[Event] = [ChannelNamed(HELP, "help"), PersonNamed("acme", "U-ada", "ada")]
    for number in range(1, length + 1):
        earlier = dice.randint(1, number)
        events.append(reply(number, earlier) if dice.random() < 0.2 else posted(number))
        events += _change(dice, number, earlier)
    return events


def _change(dice: random.Random, now: int, number: int) -> list[Event]:
    at = NOW + seconds(now)
    match dice.randint(0, 5):
        case 0:
            return [Edited(posted(number, f"Edited at {now}?"), at)]
        case 1:
            return [Deleted(HELP, str(number), number, at)]
        case 2:
            return [Reacted(HELP, str(number), "U-grace", "eyes", added=now % 2 == 0, at=at)]
        case _:
            return []


def batches(dice: random.Random, events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """All events, in pieces as a group commit would cut them; some are handed on twice."""
    start = 0
    while start < len(events):
        end = start + dice.randint(1, 15)
        yield events[max(start - dice.randint(0, 5), 0) : end]
        start = end


def listen(store: Store, events: Sequence[Event], seed: int) -> Taken:
    own = Store(store.url.render_as_string(hide_password=False), synchronous="normal")
    taking = intake(own, *RULES)
    taken = Taken()
    for batch in batches(random.Random(seed), events):
        taken += taking.take(batch, NOW)
    own.close()
    return taken


@pytest.mark.parametrize("seed", range(4))
def test_listeners_that_hear_the_same_store_it_once(store_on: Store, seed: int) -> None:
    events = talk(random.Random(seed))
    taken = together([partial(listen, store_on, events, n) for n in range(LISTENERS)])
    posts = [one for one in events if isinstance(one, Posted)]
    assert sum(one.stored for one in taken) <= len(posts)
    assert sum(one.quarantined for one in taken) == 0
    with store_on.reading() as session:
        messages = session.exec(select(Message)).all()
        deliveries = session.exec(select(Delivery)).all()
        reactions = session.exec(select(Reaction)).all()
    assert Counter(row.native_id for row in messages) == Counter(post.native_id for post in posts)
    assert all(row.posted for row in messages)
    assert len({row.key for row in deliveries}) == len(deliveries)
    assert len(deliveries) == sum(len(one.owed) for one in taken)
    assert {(row.native_id, row.active) for row in reactions} == _last_reactions(events)
    deleted = {row.id for row in messages if row.deleted_at}
    assert deleted
    still = [row for row in deliveries if row.message in deleted and row.status == Status.OWED]
    assert still == []


def _last_reactions(events: Sequence[Event]) -> set[tuple[str, bool]]:
    return set({e.native_id: e.added for e in events if isinstance(e, Reacted)}.items())
