"""Gateway dispatches, recorded in shape, become the bridge's events."""

import importlib.util
import json
import pathlib
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord.convert import convert, unfold
from adapters.discord.known import Known
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Event,
    Gap,
    PersonNamed,
    Posted,
    Reacted,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "adapters" / "discord" / "samples"
SHARED = ROOT / ".." / "shared"
SPEC = SHARED / "spec"

AT = datetime(2026, 1, 2, tzinfo=UTC)
TEN = datetime(2026, 1, 1, 10, tzinfo=UTC)
GUILD = "197038439483310086"
GENERAL = ChannelRef("club", "103735883630395392")
SECRET = ChannelRef("club", "103735883630395393")
THREAD = "1290000000000000001"
ADA = "80351110224678912"
LINUS = "90000000000000001"


def sample(name: str) -> tuple[str, Any]:
    frame = json.loads((SAMPLES / f"{name}.json").read_text())
    return frame["t"], frame["d"]


def learned(known: Known, name: str, data: Any) -> list[Event]:
    found: list[Event] = []
    for part, fields in unfold(name, data):
        found += convert("club", part, fields, known, AT)
        known.learn(part, fields)
    return found


@pytest.fixture
def known() -> Known:
    memory = Known()
    learned(memory, *sample("guild_create"))
    return memory


def posted(known: Known, name: str) -> Posted:
    [event] = [one for one in learned(known, *sample(name)) if isinstance(one, Posted)]
    return event


def test_a_guild_tells_its_channels_and_people() -> None:
    events = learned(Known(), *sample("guild_create"))
    assert ChannelNamed(GENERAL, "general") in events
    assert ChannelNamed(SECRET, "secret", private=True) in events
    assert PersonNamed("club", LINUS, "Linus the Elder") in events
    assert PersonNamed("club", "90000000000000009", "Chatbridge", bot=True) in events
    assert len(events) == 6  # no category, no thread


def test_a_guild_told_again_tells_nothing_new(known: Known) -> None:
    assert learned(known, *sample("guild_create")) == []


def test_a_guild_can_be_converted_as_a_whole() -> None:
    assert len(convert("club", *sample("guild_create"), Known(), AT)) == 6


def test_a_message_is_told_in_readable_words(known: Known) -> None:
    event = posted(known, "message_create")
    assert event.text == (
        "@Linus the Elder see #general and https://example.org/a_(b). :partyparrot: "
        "@Moderators at 2026-01-01 10:00 UTC"
    )
    assert event.channel == GENERAL
    assert (event.author, event.author_name) == (ADA, "Ada Lovelace")
    assert event.sent_at == TEN + timedelta(seconds=1)
    assert event.position == int(event.native_id)
    assert event.mentions == (LINUS,)
    assert event.links == ("https://example.org/a_(b)",)
    assert event.files == ("plan.pdf",)
    assert event.link == (f"https://discord.com/channels/{GUILD}/{GENERAL.id}/{event.native_id}")
    assert not event.private
    assert not event.by_bot
    assert (event.thread, event.reply_to) == ("", "")


def test_a_reply_names_what_it_answers(known: Known) -> None:
    root = posted(known, "message_create")
    assert posted(known, "message_create_reply").reply_to == root.native_id


def test_a_message_in_a_thread_keeps_the_channel_people_see(known: Known) -> None:
    event = posted(known, "message_create_thread")
    assert (event.channel, event.thread, event.private) == (GENERAL, THREAD, False)
    assert f"/{THREAD}/" in event.link


def test_the_first_message_of_a_thread_is_its_root_not_a_reply(known: Known) -> None:
    name, data = sample("message_create_thread")
    [event] = convert("club", name, {**data, "id": THREAD}, known, AT)
    assert isinstance(event, Posted)
    assert (event.channel, event.thread) == (GENERAL, "")


@pytest.mark.parametrize(
    "name", ["message_create_secret", "message_create_private_thread", "message_create_dm"]
)
def test_what_not_everybody_can_read_is_private(known: Known, name: str) -> None:
    assert posted(known, name).private


def test_a_channel_nobody_told_of_counts_as_private() -> None:
    assert posted(Known(), "message_create").private


def test_a_direct_message_links_without_a_guild(known: Known) -> None:
    assert "/channels/@me/" in posted(known, "message_create_dm").link


def test_mentions_of_everybody_have_a_word(known: Known) -> None:
    assert posted(known, "message_create_everyone").mentions == ("here",)


def test_a_webhook_is_a_bot_whose_name_is_not_a_persons(known: Known) -> None:
    events = learned(known, *sample("message_create_webhook"))
    assert [type(event) for event in events] == [Posted]
    assert isinstance(events[0], Posted)
    assert (events[0].by_bot, events[0].author_name) == (True, "CI")


def test_a_notice_of_discord_itself_says_nothing(known: Known) -> None:
    assert learned(known, *sample("message_create_join_notice")) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("message_create_forward", "the forwarded words"),
        ("message_create_card", "Digest\n3 messages"),
    ],
)
def test_a_message_without_content_shows_what_it_carries(
    known: Known, name: str, text: str
) -> None:
    assert posted(known, name).text == text


def test_an_author_nobody_told_of_is_named_before_the_message() -> None:
    events = convert("club", *sample("message_create_reply"), Known(), AT)
    assert [type(event) for event in events] == [PersonNamed, PersonNamed, Posted]


def test_a_name_without_its_nick_does_not_replace_one_with_it(known: Known) -> None:
    name, data = sample("message_create")
    learned(
        known,
        name,
        data | {"mentions": [{k: v for k, v in data["mentions"][0].items() if k != "member"}]},
    )
    assert known.people[LINUS] == "Linus the Elder"


def test_an_edit_tells_how_it_reads_now(known: Known) -> None:
    [event] = convert("club", *sample("message_update"), known, AT)
    assert isinstance(event, Edited)
    assert event.message.text == "second thoughts"
    assert event.edited_at == TEN + timedelta(seconds=61)


def test_an_unfurled_link_is_no_edit(known: Known) -> None:
    assert convert("club", *sample("message_update_unfurl"), known, AT) == []


def test_deletions_are_told_one_by_one(known: Known) -> None:
    one = convert("club", *sample("message_delete"), known, AT)
    many = convert("club", *sample("message_delete_bulk"), known, AT)
    assert len(many) == 2
    assert many[:1] == one
    assert isinstance(one[0], Deleted)
    assert (one[0].channel, one[0].deleted_at) == (GENERAL, AT)


def test_a_reaction_has_the_short_name_slack_gives_it(known: Known) -> None:
    [event] = convert("club", *sample("message_reaction_add"), known, AT)
    assert isinstance(event, Reacted)
    assert (event.emoji, event.person, event.added) == ("white_check_mark", LINUS, True)


def test_a_reaction_in_a_thread_belongs_to_its_channel_and_has_no_skin_tone(known: Known) -> None:
    [event] = convert("club", *sample("message_reaction_add_thread"), known, AT)
    assert isinstance(event, Reacted)
    assert (event.channel, event.emoji) == (GENERAL, "+1")


def test_a_custom_reaction_taken_back_has_its_own_name(known: Known) -> None:
    [event] = convert("club", *sample("message_reaction_remove_custom"), known, AT)
    assert isinstance(event, Reacted)
    assert (event.emoji, event.added) == ("partyparrot", False)


def test_reactions_removed_by_a_moderator_name_nobody(known: Known) -> None:
    assert convert("club", *sample("message_reaction_remove_all"), known, AT) == []


def test_a_channel_that_is_hidden_is_told_as_private(known: Known) -> None:
    events = learned(known, *sample("channel_update_hidden"))
    assert events == [ChannelNamed(GENERAL, "general", private=True)]
    assert posted(known, "message_create").private
    assert posted(known, "message_create_thread").private


def test_a_server_that_hides_its_channels_by_role_has_private_channels(known: Known) -> None:
    role = {"id": GUILD, "name": "@everyone", "permissions": "0"}
    known.learn("GUILD_ROLE_UPDATE", {"guild_id": GUILD, "role": role})
    assert posted(known, "message_create").private


@pytest.mark.parametrize("name", ["thread_create", "thread_list_sync"])
def test_a_thread_learned_later_leads_to_its_channel(known: Known, name: str) -> None:
    assert learned(known, *sample(name)) == []
    data = sample(name)[1]
    thread = data["threads"][0]["id"] if "threads" in data else data["id"]
    assert known.home(thread) == (GENERAL.id, thread)


def test_people_who_come_or_change_are_named(known: Known) -> None:
    assert learned(known, *sample("guild_member_add")) == [
        PersonNamed("club", "90000000000000030", "Grace Hopper")
    ]
    assert learned(known, *sample("guild_member_update")) == [PersonNamed("club", ADA, "Countess")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": None}, "id is missing"),
        ({"id": "abc"}, "id is not an id: 'abc'"),
        ({"id": "9" * 30}, "id is not an id"),
        ({"channel_id": 5}, "channel_id is int, not str"),
        ({"author": None}, "author is missing"),
        ({"author": {"username": "x"}}, "id is missing"),
        ({"mentions": "all"}, "mentions is str, not list"),
        ({"mentions": [3]}, "an item of mentions is int, not dict"),
        ({"attachments": [{}]}, "filename is missing"),
        ({"content": 7}, "content is int, not str"),
    ],
)
def test_a_malformed_message_is_refused_with_what_is_wrong(
    known: Known, change: dict[str, Any], words: str
) -> None:
    name, data = sample("message_create")
    with pytest.raises(ValueError, match=words):
        convert("club", name, {**data, **change}, known, AT)


def test_a_malformed_edit_time_is_refused(known: Known) -> None:
    name, data = sample("message_update")
    with pytest.raises(ValueError, match="edited_timestamp is not a moment"):
        convert("club", name, {**data, "edited_timestamp": "soon"}, known, AT)


def test_data_that_is_no_object_is_refused(known: Known) -> None:
    with pytest.raises(ValueError, match="data is list, not an object"):
        convert("club", "MESSAGE_CREATE", [], known, AT)


def test_a_dispatch_that_is_not_ours_says_nothing(known: Known) -> None:
    assert convert("club", "TYPING_START", {}, known, AT) == []


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("12345"),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
_names = [path.stem for path in sorted(SAMPLES.glob("*.json"))]


@given(name=st.sampled_from(_names), data=st.data())
def test_any_damage_gives_events_or_a_value_error_and_nothing_else(
    name: str, data: st.DataObject
) -> None:
    memory = Known()
    learned(memory, *sample("guild_create"))
    dispatch, fields = sample(name)
    inner = data.draw(st.sampled_from([fields, *_objects(fields)]))
    inner[data.draw(st.sampled_from(sorted(inner) or ["id"]))] = data.draw(_json)
    try:
        learned(memory, dispatch, fields)
        convert("club", *sample("message_create"), memory, AT)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - any other kind must fail the test


def _objects(value: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict):
            found.append(inner)
        if isinstance(inner, dict | list):
            found += _objects(inner)
    return found


def _validator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("discord_spec", SPEC / "validate_discord.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not SHARED.exists(), reason="the published spec is not beside the project")
def test_the_samples_have_the_shapes_of_the_published_spec() -> None:
    validator = _validator()
    for path in sorted(SAMPLES.glob("message_[cu]*.json")):
        if path.stem == "message_create_forward":
            continue  # the published schema does not know references of type 1 yet
        data = json.loads(path.read_text())["d"]
        assert validator.schema_errors("MessageResponse", data) == [], path.name
    guild = sample("guild_create")[1]
    for one in guild["channels"][1:3]:
        assert validator.schema_errors("GuildChannelResponse", {**one, "guild_id": GUILD}) == []
    for one in guild["members"]:
        assert validator.schema_errors("GuildMemberResponse", one) == []


# -- gaps and keys


def ready(known: Known, person: str = LINUS) -> list[Event]:
    return learned(known, "READY", {"user": {"id": person}, "session_id": "s"})


def test_a_new_session_is_a_gap_at_its_moment() -> None:
    [gap] = ready(Known())
    assert isinstance(gap, Gap)
    assert (gap.account, gap.at) == ("club", AT)
    assert gap.position >> 22 == (AT - datetime(2015, 1, 1, tzinfo=UTC)) // timedelta(
        milliseconds=1
    )
    assert learned(Known(), "RESUMED", {}) == []


def echo(known: Known, nonce: Any) -> str:
    name, data = sample("message_create")
    found = learned(known, name, {**data, "nonce": nonce})
    [event] = [one for one in found if isinstance(one, Posted)]
    return event.key


def test_the_nonce_of_our_own_message_is_its_key(known: Known) -> None:
    assert echo(known, "k1") == ""
    ready(known, ADA)
    assert echo(known, "k1") == "k1"
    assert echo(known, 77) == ""
    assert echo(known, None) == ""


def test_the_nonce_of_somebody_else_is_no_key(known: Known) -> None:
    ready(known)
    assert echo(known, "k1") == ""
