"""Every process of a running bridge can be asked how it is."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridges import Bridge
from tests.acceptance.commands import eventually, run
from tests.acceptance.conftest import Far
from tests.integration.servers import free_ports

RULES = """
[scheduler]
sweep = "1s"

[metrics]
listen = "127.0.0.1:{port}"

[[notifications]]
name = "soon"
channels = ["slack:#general"]
to = ["discord:#oncall"]
"""
ROLES = {"listen", "worker", "scheduler"}


@pytest.fixture
async def bridge(far: Far, tmp_path: Path) -> AsyncIterator[Bridge]:
    [port] = free_ports(1)
    with Bridge(tmp_path, far, RULES.replace("{port}", str(port))) as made:
        yield made


async def asked(url: str) -> tuple[int, str]:
    try:
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            return answer.status, await answer.text()
    except aiohttp.ClientError:
        return 0, ""


async def test_listener_worker_and_scheduler_tell_that_they_are_well(bridge: Bridge) -> None:
    async with bridge.up() as up:
        found: dict[str, str] = {}

        async def all_told() -> bool:
            lines = [line for line in up.output.splitlines() if " health " in line]
            for line in lines:
                url, role = re.search(r"url=(\S+)", line), re.search(r"role=(\w+)", line)
                assert url
                assert role
                found[role[1]] = url[1]
            return found.keys() == ROLES

        async def all_ready() -> bool:
            return [(await asked(f"{url}/readyz"))[0] for url in found.values()] == [200] * 3

        await eventually(all_told, "each says where")
        assert len(set(found.values())) == 3
        await eventually(all_ready, "each is ready")
        assert [(await asked(f"{url}/healthz"))[0] for url in found.values()] == [200] * 3

        await bridge.far.remotes["slack"].post("ada", "general", "It burns.")
        await bridge.tells("discord", "It burns.")
        heard = (await asked(f"{found['listen']}/metrics"))[1]
        assert value(heard, 'events_total{account="slack",kind="posted"}') >= 1
        assert value(heard, "bells_rung_total") >= 1
        assert value(heard, 'well{part="listener slack"}') == 1
        assert value(heard, 'well{part="loop"}') == 1
        led = (await asked(f"{found['scheduler']}/metrics"))[1]
        assert value(led, 'processes{role="worker"}') == 1
        assert value(led, 'well{part="clock"}') == 1
        assert value((await asked(f"{found['worker']}/metrics"))[1], 'well{part="broker"}') == 1

    async def gone() -> bool:
        return [(await asked(f"{url}/healthz"))[0] for url in found.values()] == [0] * 3

    await eventually(gone, "the ports are given back")


async def test_an_address_of_another_machine_is_refused_with_its_line(
    far: Far, tmp_path: Path
) -> None:
    with Bridge(tmp_path, far, '[metrics]\nlisten = "192.0.2.1:9464"\n') as bridge:
        result = await run("listen", folder=bridge.folder)
    assert result.code == 2
    assert "metrics.listen: " in result.err
    assert "Traceback" not in result.err


def value(text: str, sample: str) -> Any:
    found = re.search(rf"^chatbridge_{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found, f"no {sample} in:\n{text}"
    return float(found[1])
