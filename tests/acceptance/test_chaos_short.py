"""A short run of tests/chaos: whoever dies, nothing is lost, doubled or out of order."""

import tempfile
from pathlib import Path

import pytest

from tests.chaos.plan import Size
from tests.chaos.run import run
from tests.integration.servers import alive_in

SIZE = Size(messages=150, channels=12, seconds=20.0, kills=5, window=10)


async def test_nothing_is_lost_or_doubled_while_processes_are_killed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # a socket's path may not be long
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        facts = await run(11, SIZE, "sqlite-valkey")
        left = _left_in(Path(folder))
    told = capsys.readouterr().out
    wrong = {name: facts[name] for name in ("lost", "doubled", "wrongly_sent", "out_of_order")}
    assert wrong == dict.fromkeys(wrong, 0), told
    assert facts["sent"] == SIZE.messages
    assert facts["delivered"] > SIZE.messages / 4
    assert facts["kills"] >= SIZE.kills - 1, told
    assert not left, "something is left of the run"


def _left_in(folder: Path) -> list[str]:
    """Files and processes."""
    return [*map(str, folder.iterdir()), *alive_in(folder).values()]
