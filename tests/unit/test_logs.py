"""No line, of whatever kind and from wherever, shows a secret."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tasks import logs
from tasks.wiring import House, open_house

TOKEN = "xoxb-1-2-very/secret"
PASSWORD = 'pass%2Fword"x'
CONFIG = """
[accounts.acme]
platform = "slack"
bot_token = "xoxb-1-2-very/secret"
app_token = "xapp-1-A1-secret-too"
[store]
url = "postgresql+psycopg://me:pass%2Fword%22x@localhost/chat"
[broker]
url = "redis://:broker-secret@localhost/0"
"""


class Thing:
    """An object whose text holds a secret."""

    def __repr__(self) -> str:
        return f"<Thing {TOKEN}>"


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging is set up for a whole process; give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def house(folder: Path, form: str) -> House:
    path = folder / "config.toml"
    path.write_text(f'{CONFIG}\n[log]\nlevel = "debug"\nformat = "{form}"\n')
    return open_house(str(path))


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_taken_out_of_every_line(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(house(tmp_path, form))
    ours, theirs = structlog.get_logger("tasks.test"), logging.getLogger("some.library")
    ours.debug(f"token {TOKEN}", url="redis://:broker-secret@localhost/0", thing=Thing())
    ours.info("nested", inner={"list": [TOKEN, Thing()]}, **{"xapp-1-A1-secret-too": 1})
    ours.info("quoted", url="http://x?token=xoxb-1-2-very%2Fsecret", password='pass/word"x')
    theirs.warning("told %s", TOKEN)
    try:
        _raise(ValueError(f"bad {TOKEN}"))
    except ValueError:
        ours.exception("failed")
    error = ValueError(f"nobody catches {TOKEN}")
    sys.excepthook(ValueError, error, None)
    thread = threading.Thread(target=_raise, args=[error])
    thread.start()
    thread.join()
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert not printed.out
    assert len(lines) >= 7
    assert "[hidden]" in printed.err
    for secret in (TOKEN, "very%2Fsecret", "secret-too", "broker-secret", 'word"x', 'word\\"x'):
        assert secret not in printed.err
    assert printed.err.count("nobody catches [hidden]") >= 2
    if form == "json":
        assert [json.loads(line)["event"] for line in lines][:2] == ["token [hidden]", "nested"]


def _raise(error: Exception) -> Any:
    raise error


def test_the_end_of_a_process_on_ctrl_c_is_no_crash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(house(tmp_path, "text"))
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not capsys.readouterr().err
