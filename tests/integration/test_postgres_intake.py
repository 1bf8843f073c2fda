"""What intake promises holds on PostgreSQL too: the unit tier's tests, run there."""

from collections.abc import Iterator

import pytest

from bridge.errors import StoreError
from bridge.models import Message, Quarantine
from bridge.store import Store
from tests.unit import test_intake as unit
from tests.unit.test_intake import *  # noqa: F403  (the tests themselves)
from tests.values import NOW, intake, posted, rule

del test_a_store_that_is_away_is_a_clear_error_and_nothing_is_half_done  # noqa: F821  (a file's)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    made = Store(postgres_url)
    yield made
    made.close()


def test_a_server_that_is_away_is_a_clear_error() -> None:
    away = Store("postgresql+psycopg://ada:secret@127.0.0.1:1/none")
    with pytest.raises(StoreError, match="127.0.0.1") as raised:
        intake(away, rule())
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "unstorable",
    [
        posted(2, native_id="2\0"),
        posted(2, author="U\ud800"),
        posted(2, position=2**70),
        posted(2, thread="\0"),
    ],
    ids=["NUL in an id", "a lone surrogate in an id", "too large a number", "NUL in a thread"],
)
def test_a_batch_is_halved_until_the_culprit_is_found(store: Store, unstorable) -> None:
    batch = [posted(number) for number in range(10, 40)]
    batch[17] = unstorable
    taken = intake(store, rule()).take(batch, NOW)
    assert (taken.stored, taken.quarantined, len(taken.owed)) == (29, 1, 29)
    assert len(unit.rows(store, Message)) == 29
    [kept] = unit.rows(store, Quarantine)
    assert kept.event.isascii()
