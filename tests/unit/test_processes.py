"""Children under supervision, with small real processes."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from tasks import processes
from tasks.processes import Children, run_until_stopped

PATIENCE = 20.0


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    made = Children(tmp_path / "config.toml", output=tmp_path / "log")
    yield made
    made.stop(1.0)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_dies_is_started_again(children: Children) -> None:
    child = children.add("brief", *python("print('here', flush=True); raise SystemExit(3)"))
    assert children.output is not None
    output = children.output

    def lived_twice() -> bool:
        assert not children.refused()
        return output.read_text().count("here") >= 2

    until(lived_twice)
    assert child.failures >= 1


def test_the_config_is_handed_to_every_child(children: Children, tmp_path: Path) -> None:
    children.add("told", *python("import os; print(os.environ['CHATBRIDGE_CONFIG'], flush=True)"))
    until(lambda: str(tmp_path / "config.toml") in (tmp_path / "log").read_text())


def test_a_child_that_refuses_its_config_ends_everything(children: Children) -> None:
    children.add("sleeper", *python("import time; time.sleep(60)"))
    children.add("refuses", *python("raise SystemExit(2)"))
    assert children.watch(threading.Event()) == 2


def test_a_child_that_has_worked_before_may_be_refused_for_a_while(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_STEADY_SECONDS", 0.0)
    child = children.add("refuses later", *python("raise SystemExit(2)"))
    assert child.process is not None
    until(lambda: children.refused() == "" and child.process is None)


def test_stopping_asks_first_and_kills_what_does_not_listen(children: Children) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    stubborn = children.add("stubborn", *python(deaf + "; time.sleep(60)"))
    polite = children.add("polite", *python("import time; print(1, flush=True); time.sleep(60)"))
    assert children.output is not None
    output = children.output
    until(lambda: output.read_text().count("1") == 2)
    children.stop(0.5)
    assert stubborn.process is not None
    assert polite.process is not None
    assert stubborn.process.returncode == -signal.SIGKILL
    assert polite.process.returncode == -signal.SIGTERM


def test_work_that_ends_gives_its_own_code() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 1

    async def silent() -> None:
        await asyncio.sleep(0)

    assert run_until_stopped(work()) == 1
    assert run_until_stopped(silent()) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_work_that_goes_on(number: signal.Signals) -> None:
    async def work() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, number)
        await asyncio.Event().wait()

    assert run_until_stopped(work(), interrupted=130) == 130


def test_the_first_error_of_several_tasks_is_the_one_that_counts() -> None:
    async def fail() -> None:
        raise ConfigError("mend it")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    with pytest.raises(ConfigError, match="mend it"):
        run_until_stopped(work())
