"""The demo as a new user sees it, and its headless run."""

import json
import re
import signal
from pathlib import Path

import pytest

from tests.acceptance.commands import (
    STOP_SECONDS,
    eventually,
    nothing_left,
    processes_of,
    run,
    running,
)

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")

PLATFORMS = ("slack", "discord")
KEYS = {
    *("messages_sent", "messages_stored", "notifications_expected"),
    *("notifications_seen_slack", "notifications_seen_discord"),
    *("cancelled_expected", "cancelled", "digests_seen_slack", "digests_seen_discord"),
    *("lost", "doubled", "seconds"),
}
TALK = """
<talk>
<message conversation_id="1"><ts>2018-01-01T09:00:00</ts><user>Ada</user>
<text>Who knows why &lt;@Bob&gt; left?</text></message>
<message conversation_id="2"><ts>2018-01-01T09:00:30</ts><user>Cy</user>
<text>Is anybody there?</text></message>
<message conversation_id="1"><ts>2018-01-01T09:01:00</ts><user>Bob</user>
<text>I am back.</text></message>
<message conversation_id="3"><ts>2018-01-02T09:00:00</ts><user>Ada</user>
<text>A day later.</text></message>
</talk>
"""


def own_folder(tmp_path: Path) -> dict[str, str]:
    """An environment in which the demo's own folder is inside of ours: nothing escapes us."""
    return {"TMPDIR": str(tmp_path)}


def assert_nothing_is_left(folder: Path) -> None:
    assert not processes_of(folder)
    assert not list(folder.glob("chatbridge-*"))


async def test_it_shows_what_happens_on_every_platform_and_sums_up(tmp_path: Path) -> None:
    async with running("demo", folder=tmp_path, env=own_folder(tmp_path)) as demo:
        await demo.printed("every 15 s a digest of #general goes to #digest")
        await demo.printed("Ctrl-C ends it")
        for platform in PLATFORMS:
            await demo.printed(f"{platform} stand-in at http://127.0.0.1:")
            await demo.shows(rf":\d\d  {platform} +#help +ada: How do I reset my password")
            await demo.shows(rf":\d\d  {platform} +⏲ in 6 s to discord and slack: How do I reset")
            await demo.shows(rf":\d\d  {platform} +✘ cancelled, somebody replied: Where is the han")
            await demo.shows(
                rf":\d\d  {platform} +#oncall +▶ SENT ada in #help still waits: How do"
            )
            await demo.shows(rf":\d\d  {platform} +#digest +▶ SENT news")
        await demo.printed("That was the script")
        demo.interrupt()
        assert await demo.ended(STOP_SECONDS) == 0
        assert re.search(r"^\d+ messages heard, \d+ sent, \d+ cancelled", demo.output, re.MULTILINE)
        assert "rehearsal" not in demo.output
        assert "\x1b[" not in demo.output
        assert "Traceback" not in demo.output
        assert_nothing_is_left(tmp_path)


async def test_it_ends_by_itself_when_told_so(tmp_path: Path) -> None:
    result = await run("demo", "--seconds", "1", folder=tmp_path, env=own_folder(tmp_path))
    assert result.code == 0, result
    assert "ends by itself after 1 s" in result.out
    assert re.search(r"^\d+ messages heard", result.out, re.MULTILINE)
    assert not result.err
    assert_nothing_is_left(tmp_path)


async def test_it_can_be_ended_while_it_still_starts(tmp_path: Path) -> None:
    async with running("demo", folder=tmp_path, env=own_folder(tmp_path)) as demo:

        async def begun() -> bool:
            return len(processes_of(tmp_path)) > 2

        await eventually(begun)
        demo.interrupt()
        assert await demo.ended(STOP_SECONDS) in {0, 130}
        assert "Traceback" not in demo.output
        assert_nothing_is_left(tmp_path)


async def test_killed_it_takes_its_processes_along(tmp_path: Path) -> None:
    async with running("demo", folder=tmp_path, env=own_folder(tmp_path)) as demo:
        await demo.shows(r"#general +ada: ")
        demo.signal(signal.SIGKILL)
        await demo.ended()
        await nothing_left(tmp_path)


async def test_a_transcript_is_played_at_its_speed_and_answered_questions_stay_quiet(
    tmp_path: Path,
) -> None:
    (tmp_path / "talk.xml").write_text(TALK)
    options = ("--replay", "talk.xml", "--speed", "60")
    async with running("demo", *options, folder=tmp_path, env=own_folder(tmp_path)) as demo:
        await demo.printed("4 messages of talk.xml are posted in #general, 60 times as fast")
        await demo.printed("a question waits 5 s for a reply")
        await demo.shows(r"slack +#general +Bob \(in a thread\): I am back\.")
        await demo.shows(r"slack +✘ cancelled, somebody replied: Who knows why @Bob left\?")
        for platform in PLATFORMS:
            await demo.shows(rf"{platform} +#oncall +▶ SENT Cy in #general still waits: Is anybody")
        await demo.printed("The transcript is over: 4 messages.")
        assert "Ada in #general still waits" not in demo.output
        demo.interrupt()
        assert await demo.ended(STOP_SECONDS) == 0


async def test_the_headless_run_finds_all_as_expected(tmp_path: Path) -> None:
    result = await run("demo", "--check", folder=tmp_path, env=own_folder(tmp_path))
    assert result.code == 0, result
    summary = json.loads(result.out.splitlines()[-1])
    assert summary.keys() >= KEYS
    assert summary["messages_stored"] == summary["messages_sent"] == 30
    assert summary["cancelled"] == summary["cancelled_expected"] == 16
    assert summary["notifications_seen_slack"] == summary["notifications_seen_discord"] == 6
    assert summary["digests_seen_slack"] == summary["digests_seen_discord"] >= 1
    assert summary["lost"] == summary["doubled"] == 0
    assert_nothing_is_left(tmp_path)
