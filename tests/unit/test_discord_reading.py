"""How our own messages are known again, how history becomes events, and what time an id is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord.history.reading import reading
from adapters.discord.known import Known, Place
from adapters.discord.posts import shown
from adapters.discord.sender import message_fields
from adapters.discord.snowflakes import DISCORD_EPOCH, earlier, moment_of, position_at
from bridge.messages import ChannelRef, Outbound
from bridge.richtext import Heading, Note, Paragraph, Text

AT = datetime(2026, 1, 2, tzinfo=UTC)
CHANNEL, GUILD, ADA, ME = "500", "400", "30", "31"
MESSAGE = "1456225443119104001"


def message(**fields: Any) -> dict[str, Any]:
    author = {"id": ADA, "username": "ada", "global_name": "Ada"}
    return {"id": MESSAGE, "channel_id": CHANNEL, "type": 0, "author": author, **fields}


@pytest.fixture
def known() -> Known:
    made = Known()
    made.me = ME
    made.places[CHANNEL] = Place("help", 0, guild=GUILD)
    made.places["501"] = Place("a thread", 11, guild=GUILD, parent=CHANNEL)
    return made


def rendered(*blocks: Any, card: bool = False) -> dict[str, Any]:
    return message_fields(Outbound(ChannelRef("club", CHANNEL), "k1", blocks, card=card))


# -- the same words


def test_content_is_known_again_after_discord_trimmed_it() -> None:
    sent = rendered(Paragraph((Text("  it is *due*\n\nnow \n"),)))
    assert sent["content"] != sent["content"].strip()
    assert reading(message(content=sent["content"].strip(), embeds=[])) == reading(sent)


def test_other_words_are_another_message() -> None:
    sent = reading(rendered(Paragraph((Text("one"),))))
    assert reading(message(content="two")) != sent
    assert reading(message(content="one", embeds=[{"type": "rich", "title": "x"}])) != sent


def test_a_card_is_known_again_among_what_discord_adds_to_it() -> None:
    blocks = (Heading("News"), Paragraph((Text("ten"),)), Note((Text("small"),)))
    sent = rendered(*blocks, card=True)
    stored = [
        {**embed, "type": "rich", "content_scan_version": 0, "flags": 0} for embed in sent["embeds"]
    ]
    preview = {"type": "article", "title": "A page", "url": "https://x.example"}
    assert reading(message(content="", embeds=[*stored, preview])) == reading(sent)
    stored[0]["footer"] = {"text": "tiny"}
    assert reading(message(content="", embeds=stored)) != reading(sent)


def test_the_fields_of_an_embed_count() -> None:
    embed = {"fields": [{"name": "a", "value": "b", "inline": False}]}
    assert reading({"embeds": [embed]}) != reading({"embeds": [{}]})
    assert reading({"embeds": [embed]}) == reading(message(embeds=[embed]))


@given(st.text(max_size=60))
def test_trimming_never_makes_a_message_unknown(text: str) -> None:
    sent = rendered(Paragraph((Text(text),)))
    assert reading({**sent, "content": sent["content"].strip()}) == reading(sent)


# -- history as events


def test_history_lacks_guild_and_name_and_gets_them_from_what_is_known(known: Known) -> None:
    known.people[ADA] = "Countess"
    found = shown("club", message(content="hi"), known, AT)
    assert found
    assert found.message.author_name == "Countess"
    assert found.message.link == f"https://discord.com/channels/{GUILD}/{CHANNEL}/{MESSAGE}"
    assert not found.message.private
    assert (found.at, found.edited_at, found.reactions) == (AT, None, ())


def test_a_name_nobody_told_is_the_persons_own(known: Known) -> None:
    found = shown("club", message(), known, AT)
    assert found
    assert found.message.author_name == "Ada"


def test_an_edit_tells_its_moment(known: Known) -> None:
    found = shown("club", message(edited_timestamp="2026-01-01T11:00:00.5+00:00"), known, AT)
    assert found
    assert found.edited_at == datetime(2026, 1, 1, 11, 0, 0, 500_000, tzinfo=UTC)


def test_a_message_in_a_thread_stands_in_its_parent(known: Known) -> None:
    found = shown("club", message(channel_id="501"), known, AT)
    assert found
    assert (found.message.channel.id, found.message.thread) == (CHANNEL, "501")


def test_discords_own_notices_are_nothing(known: Known) -> None:
    assert shown("club", message(type=21), known, AT) is None


def test_direct_messages_are_private(known: Known) -> None:
    found = shown("club", message(channel_id="900"), known, AT)
    assert found
    assert found.message.private
    assert "/@me/" in found.message.link


# -- ids and moments


@given(st.datetimes(datetime(2015, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_position_carries_its_moment_to_the_millisecond(moment: datetime) -> None:
    assert timedelta(0) <= moment - moment_of(position_at(moment)) < timedelta(milliseconds=1)


def test_positions_move_back_in_time_but_not_before_the_first() -> None:
    position = position_at(AT) + 77
    assert moment_of(earlier(position, timedelta(minutes=1))) == AT - timedelta(minutes=1)
    assert earlier(5, timedelta(minutes=1)) == 0
    assert position_at(DISCORD_EPOCH - timedelta(days=1)) == 0
