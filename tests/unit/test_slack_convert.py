"""Slack's events as they are recorded, and what they mean to the bridge."""

import json
import pathlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.convert import Context, events, permalink, posted
from adapters.slack.names import Names
from adapters.slack.payload import moment, position
from bridge.messages import (
    ChannelNamed,
    ChannelRef,
    Deleted,
    Edited,
    Event,
    PersonNamed,
    Posted,
    Reacted,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "adapters" / "slack" / "samples"
SHAPES = ROOT / ".." / "shared" / "spec" / "slack_events"
HOME = "https://acme.slack.com/"
HELP = ChannelRef("acme", "C024BE91L")


def context() -> Context:
    names = Names()
    names.note(PersonNamed("acme", "U2147483697", "ada"))
    names.note(PersonNamed("acme", "U0GRACE01", "grace"))
    names.note(ChannelNamed(ChannelRef("acme", "C0RANDOM1"), "random"))
    names.note(ChannelNamed(HELP, "help"))
    return Context("acme", names, HOME)


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())["event"]
    return event


def converted(name: str) -> list[Event]:
    return events(sample(name), context())


def one(name: str) -> Posted:
    (event,) = converted(name)
    assert isinstance(event, Posted)
    return event


def test_a_message_is_read_from_its_blocks() -> None:
    assert one("message") == Posted(
        channel=HELP,
        native_id="1355517523.000005",
        position=1355517523000005,
        author="U2147483697",
        author_name="ada",
        text="Hello @grace, @here: see the docs in #random :tada:\n• one <b>\n• two\n> quoted",
        sent_at=datetime(2012, 12, 14, 20, 38, 43, 5, tzinfo=UTC),
        mentions=("U0GRACE01", "here"),
        links=("https://example.com/a?b=1&c=2",),
        link="https://acme.slack.com/archives/C024BE91L/p1355517523000005",
    )


def test_without_blocks_the_markup_is_read() -> None:
    message = one("message_mrkdwn")
    assert message.text == (
        "R&D <b> @grace @zoe #random #plans @channel @everyone @ops Feb 18 at 2:39 PM "
        "https://example.com/?q=1&r=2 label & more bob@example.com"
    )
    assert message.mentions == ("U0GRACE01", "U0NOBODY1", "channel", "S012AB3CD")
    assert message.links == ("https://example.com/?q=1&r=2", "https://example.com")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("message_thread_reply", "it works"),
        ("message_thread_broadcast", "for everybody"),
    ],
)
def test_a_reply_keeps_its_channel_and_names_its_root(name: str, text: str) -> None:
    reply = one(name)
    assert (reply.text, reply.thread, reply.channel) == (text, "1355517523.000005", HELP)
    assert reply.link.endswith("?thread_ts=1355517523.000005&cid=C024BE91L")


def test_the_root_of_a_thread_is_in_no_thread() -> None:
    root = {**sample("message"), "thread_ts": "1355517523.000005"}
    assert events(root, context()) == converted("message")


def test_an_integration_is_a_bot_and_its_attachment_is_read() -> None:
    message = one("message_bot")
    assert message.by_bot
    assert (message.author, message.author_name) == ("B0GITHUB1", "deploys")
    assert message.text == "Deployed\napi 1.4\nby @grace"


def test_an_apps_message_is_read_with_all_its_blocks() -> None:
    message = one("message_app")
    assert (message.author, message.by_bot) == ("U0CHATBRG", True)
    assert message.author_name == "Chatbridge"
    assert message.text == "Daily\n12 messages since 2014-02-18 14:39 UTC\nby <Chatbridge> more"
    assert message.links == ("https://example.com",)


def test_files_are_named_and_vanished_ones_left_out() -> None:
    message = one("message_file_share")
    assert (message.text, message.files) == ("the plan", ("plan.pdf",))


def test_a_me_message_is_a_message() -> None:
    assert one("message_me").text == "is doing that thing"


@pytest.mark.parametrize(
    ("kind", "private"), [("channel", False), ("group", True), ("im", True), ("mpim", True)]
)
def test_the_kind_of_channel_says_what_is_private(kind: str, *, private: bool) -> None:
    (message,) = events({**sample("message"), "channel_type": kind}, context())
    assert isinstance(message, Posted)
    assert message.private is private


def test_without_its_kind_the_names_say_what_is_private_and_the_unknown_is() -> None:
    message = sample("message")
    del message["channel_type"]
    assert not posted(message, context(), channel="C0RANDOM1").private
    assert posted(message, context(), channel="C0NOBODY").private
    assert one("message_direct").private


@pytest.mark.parametrize(
    "name",
    [
        "message_channel_join",
        "message_unfurled",
        "message_replied_to",
        "reaction_added_to_file",
        "app_mention",
    ],
)
def test_what_nobody_said_or_changed_means_nothing(name: str) -> None:
    assert converted(name) == []


def test_an_edit_carries_the_new_text_and_its_moment() -> None:
    (edited,) = converted("message_changed")
    assert isinstance(edited, Edited)
    assert edited.message.text == "Hello, world!"
    assert edited.message.native_id == "1355517523.000005"
    assert edited.edited_at == moment("1355517536.000001")


def test_an_edit_that_changes_only_the_format_is_an_edit() -> None:
    event = sample("message_changed")
    event["previous_message"]["text"] = event["message"]["text"]
    assert len(events(event, context())) == 1


def test_a_deleted_message_is_deleted() -> None:
    at = moment("1358878755.000001")
    ts = "1358878749.000002"
    assert converted("message_deleted") == [Deleted(HELP, ts, 1358878749000002, at)]


def test_a_deleted_root_with_replies_is_deleted() -> None:
    at = moment("1355517550.000300")
    ts = "1355517523.000005"
    assert converted("message_tombstone") == [Deleted(HELP, ts, 1355517523000005, at)]


def test_reactions_lose_their_skin_tone() -> None:
    added, removed = converted("reaction_added")[0], converted("reaction_removed")[0]
    at = moment("1360782804.083113")
    ts = "1355517523.000005"
    assert added == Reacted(HELP, ts, "U0GRACE01", "+1", added=True, at=at)
    assert isinstance(removed, Reacted)
    assert (removed.emoji, removed.added) == ("white_check_mark", False)


def test_channels_get_their_names() -> None:
    new = ChannelRef("acme", "C0NEWCHAN")
    assert converted("channel_created") == [ChannelNamed(new, "fun", private=False)]
    assert converted("channel_rename") == [ChannelNamed(new, "serious", private=False)]
    secret = ChannelRef("acme", "G0SECRET1")
    assert converted("group_rename") == [ChannelNamed(secret, "plans-2", private=True)]


def test_a_renamed_channel_stays_as_private_as_it_was() -> None:
    known = context()
    known.names.note(ChannelNamed(ChannelRef("acme", "C0NEWCHAN"), "fun", private=True))
    (named,) = events(sample("channel_rename"), known)
    assert named == ChannelNamed(ChannelRef("acme", "C0NEWCHAN"), "serious", private=True)


def test_people_are_called_as_slack_shows_them() -> None:
    zone = "America/New_York"
    joined = PersonNamed("acme", "U0MARGRT1", "Margaret Hamilton", zone=zone)
    assert converted("team_join") == [joined]
    assert converted("user_change") == [PersonNamed("acme", "U0MARGRT1", "maggie", zone=zone)]


def test_names_teach_who_is_unknown() -> None:
    names = context().names
    assert names.unknown_people("U2147483697", "U0NEW", "here", "B0BOT") == ["U0NEW"]
    assert names.unknown_channels("C0RANDOM1", "C0NEW", "D0DIRECT") == ["C0NEW"]


@pytest.mark.parametrize(
    ("name", "path", "complaint"),
    [
        ("message", "ts", "message without ts"),
        ("message", "channel", "message without channel"),
        ("message", "user", "without user and bot_id"),
        ("message_changed", "message", "message_changed without message"),
        ("message_deleted", "deleted_ts", "message_deleted without deleted_ts"),
        ("reaction_added", "reaction", "reaction_added without reaction"),
        ("reaction_added", "item.ts", "reaction_added without item.ts"),
        ("channel_rename", "channel", "channel_rename without channel"),
        ("channel_rename", "channel.name", "channel without name"),
        ("team_join", "user.id", "user without id"),
    ],
)
def test_a_malformed_event_says_what_is_missing(name: str, path: str, complaint: str) -> None:
    event = sample(name)
    holder: dict[str, Any] = event
    *outer, last = path.split(".")
    for key in outer:
        holder = holder[key]
    del holder[last]
    with pytest.raises(ValueError, match=complaint):
        events(event, context())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(data=st.data())
def test_whatever_is_in_a_field_only_a_value_error_is_raised(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(path.stem for path in SAMPLES.glob("*.json"))))
    event = sample(name)
    key = data.draw(st.sampled_from(sorted(set(event) - {"type"})))
    event[key] = data.draw(JSON)
    try:
        found = events(event, context())
    except ValueError:
        return
    assert isinstance(found, list)


@pytest.mark.parametrize("ts", ["", "x", "1.2.3", "-1.0", "1355517523.0000051", "99999999999999"])
def test_what_is_no_time_stamp_is_refused(ts: str) -> None:
    with pytest.raises(ValueError, match="no time stamp"):
        position(ts)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - made aware below
def test_every_moment_is_exact(at: datetime) -> None:
    aware = at.replace(tzinfo=UTC)
    micros = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution)
    ts = f"{micros // 1_000_000}.{micros % 1_000_000:06}"
    assert (position(ts), moment(ts)) == (micros, aware)


def test_without_a_home_there_is_no_link() -> None:
    assert permalink("", "C1", "1.000001") == ""


@pytest.mark.skipif(not SHAPES.parent.parent.is_dir(), reason="the published shapes are not here")
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("message", "MessagePayload"),
        ("message_bot", "MessageBotPayload"),
        ("message_changed", "MessageChangedPayload"),
        ("message_deleted", "MessageDeletedPayload"),
        ("message_file_share", "MessageFileSharePayload"),
        ("message_me", "MessageMePayload"),
        ("message_thread_broadcast", "MessageThreadBroadcastPayload"),
        ("reaction_added", "ReactionAddedPayload"),
        ("channel_created", "ChannelCreatedPayload"),
        ("channel_rename", "ChannelRenamePayload"),
        ("team_join", "TeamJoinPayload"),
        ("user_change", "UserChangePayload"),
    ],
)
def test_a_sample_has_only_fields_that_slack_sends(name: str, shape: str) -> None:
    known = json.loads((SHAPES / f"{shape}.json").read_text())["event"]
    unknown = set(sample(name)) - set(known) - {"team", "event_ts"}
    assert not unknown
