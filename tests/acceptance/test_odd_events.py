"""What no platform should send, and what people should not type: logged, stored, never fatal."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.models import Status
from tests.acceptance.bridges import Bridge
from tests.acceptance.commands import Running, eventually
from tests.acceptance.conftest import Far

RULE = """
[scheduler]
sweep = "1s"

[[notifications]]
name = "everything"
channels = ["slack:#help", "discord:#help"]
to = ["slack:#oncall", "discord:#oncall"]
text = "{author}: {excerpt} {link}"
"""

SLACK_ODDITIES: tuple[dict[str, Any], ...] = (
    {"type": "message"},
    {"type": "message", "channel": "C1", "user": [], "text": {}, "ts": None},
    {"type": "message", "channel": "C1", "user": "U1", "text": "x", "ts": "yesterday"},
    {"type": "message", "subtype": "message_changed", "channel": "C1", "ts": "1.1"},
    {"type": "message", "subtype": "never_heard_of", "channel": "C1", "ts": "1.1"},
    {"type": "reaction_added", "item": {"type": "message"}},
    {"type": "emoji_changed", "subtype": "add"},
    {"type": "something_new", "deep": {"er": [1, 2, {}]}},
    {},
)
DISCORD_ODDITIES: tuple[tuple[str, Any], ...] = (
    ("MESSAGE_CREATE", {}),
    ("MESSAGE_CREATE", {"id": "7", "channel_id": "no number", "author": None, "content": 5}),
    ("MESSAGE_UPDATE", {"id": "x"}),
    ("MESSAGE_DELETE", []),
    ("MESSAGE_REACTION_ADD", {"message_id": "1"}),
    ("GUILD_CREATE", {"id": "1"}),
    ("SOMETHING_NEW", {"deep": {"er": [1, 2, {}]}}),
    ("MESSAGE_CREATE", None),
)
TEXTS = {
    "emoji": "🏳️‍🌈 👩🏽‍🚀 🇩🇪 e\u0301",
    "right-to-left": "\u202eevil\u202c שלום مرحبا",
    "controls": "bell \x07, escape \x1b[31m, NUL \x00 end",
    "surrogates": "half \ud83d of a pair, \udfff the other",
    "markup": "*b* _i_ ~s~ `c` ```f``` > q ||s|| [l](https://e.org) <b> &amp; @everyone @here",
    "sql": "Robert'); DROP TABLE message;-- {author} {link} %s $HOME",
    "piled accents": "z" + "\u0301" * 2000,
    "no letters": "\u200b\u2060 \ufeff",
}


@pytest.fixture
async def bridge(far: Far, tmp_path: Path) -> AsyncIterator[Bridge]:
    for remote in far.remotes.values():
        await remote.knobs(limits=False)
    with Bridge(tmp_path, far, RULE) as made:
        yield made


@pytest.fixture
async def up(bridge: Bridge) -> AsyncIterator[Running]:
    async with bridge.up() as running:
        yield running


async def test_malformed_and_unknown_events_are_acknowledged_and_later_ones_arrive(
    bridge: Bridge, up: Running
) -> None:
    slack, discord = bridge.far.remotes["slack"], bridge.far.remotes["discord"]
    for event in SLACK_ODDITIES:
        await slack.act("raw", event=event)
    for name, data in DISCORD_ODDITIES:
        await discord.act("raw", t=name, d=data)
    await slack.post("ada", "help", "Slack goes on.")
    await discord.post("ada", "help", "Discord goes on.")
    for account in ("slack", "discord"):
        await bridge.tells(account, "Slack goes on.")
        await bridge.tells(account, "Discord goes on.")
    assert "Traceback" not in up.output
    assert "listener lost" not in up.output

    async def all_acknowledged() -> bool:
        return bridge.far.standins["slack"].state.sockets.owed == 0  # type: ignore[attr-defined]

    await eventually(all_acknowledged)


async def test_a_malformed_event_is_logged_with_its_id(bridge: Bridge, up: Running) -> None:
    await bridge.far.remotes["slack"].act("raw", event=SLACK_ODDITIES[2])
    await bridge.far.remotes["discord"].act("raw", t="MESSAGE_CREATE", d=DISCORD_ODDITIES[1][1])
    await up.printed("left out a malformed event: Ev")
    await up.printed("MESSAGE_CREATE cannot be read (id=7 ")


async def test_any_text_is_stored_and_told_once_on_every_platform(
    bridge: Bridge, up: Running
) -> None:
    for name, remote in bridge.far.remotes.items():
        for what, text in TEXTS.items():
            await remote.post("ada", "help", f"{what} on {name}: {text}")
    wanted = [f"{what} on {name}" for name in bridge.far.remotes for what in TEXTS]
    for text in wanted:
        assert (await bridge.stored(text)).author_name == "ada"
        for account in bridge.far.remotes:
            await bridge.tells(account, text)
    for account in bridge.far.remotes:
        told = [one.text for one in await bridge.told(account)]
        assert [sum(text in one for one in told) for text in wanted] == [1] * len(wanted)
        assert not any(one.raw.get("pinged") for one in await bridge.told(account))
    assert len(bridge.deliveries(Status.SENT)) == 2 * len(wanted)
    assert "Traceback" not in up.output


async def test_forty_thousand_characters_are_stored_whole_and_told_in_short(
    bridge: Bridge, up: Running
) -> None:
    text = "long story " + "🏳️‍🌈&<b>*" * 5000
    text = text[:40_000]
    await bridge.far.remotes["slack"].post("ada", "help", text.replace("long", "slack"))
    await _dispatch(bridge, text.replace("long", "discord"))
    for name in ("slack", "discord"):
        stored = await bridge.stored(f"{name} story")
        assert len(stored.text) > 35_000
        for account in bridge.far.remotes:
            seen = await bridge.tells(account, f"{name} story")
            assert len(seen.text) < 2000
            assert "…" in seen.text
            assert "\ufffd" not in seen.text
    assert "Traceback" not in up.output


async def _dispatch(bridge: Bridge, text: str) -> None:
    """A message longer than a person may type there, as the gateway would tell of it."""
    discord = bridge.far.remotes["discord"]
    await discord.post("ada", "help", "The one before.")
    (before,) = [one for one in await discord.messages("help") if one.text == "The one before."]
    told = {
        **before.raw,
        "id": str(int(before.id) + 1),
        "guild_id": bridge.far.standins["discord"].workspace.guild_id,  # type: ignore[attr-defined]
        "content": text,
    }
    await discord.act("raw", t="MESSAGE_CREATE", d=told)


async def test_a_message_without_any_text_is_told_as_such(bridge: Bridge, up: Running) -> None:
    await bridge.far.remotes["slack"].post("ada", "help", "")
    await bridge.far.remotes["discord"].post("ada", "help", "", files=["plan.pdf"])
    for account in bridge.far.remotes:
        await bridge.tells(account, "(no text)")
        await bridge.tells(account, "plan.pdf")
    assert "Traceback" not in up.output
