"""A process tells how it is: over real sockets, with a real broker, and never late."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.errors import ConfigError
from bridge.migrations import upgrade
from bridge.models import Worker
from tasks.web.health import Health, Probes, pulse, serve_in_thread, serving
from tasks.wiring import House, open_house
from tests.integration.servers import free_ports
from tests.values import NOW, intake, posted, rule

PASSWORD = "a-secret-password"


def house(folder: Path, broker: str, *, store: str = "sqlite:///store.db", listen: str) -> House:
    (folder / "config.toml").write_text(
        f'[store]\nurl = "{store}"\n[broker]\nurl = "{broker}"\n[metrics]\nlisten = "{listen}"\n'
    )
    return open_house(str(folder / "config.toml"))


@pytest.fixture
def well(tmp_path: Path, valkey: str) -> Iterator[House]:
    """A house with a migrated store and a broker that answers."""
    made = house(tmp_path, valkey, listen="127.0.0.1:0")
    upgrade(made.store)
    yield made
    made.store.close()


async def ask(server: Health | None, path: str) -> tuple[int, dict[str, object]]:
    assert server
    async with aiohttp.ClientSession() as client, client.get(server.url + path) as answer:
        return answer.status, await answer.json()


async def scrape(server: Health | None) -> dict[str, float]:
    """Samples by name and labels."""
    assert server
    async with aiohttp.ClientSession() as client, client.get(f"{server.url}/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    return {
        f"{one.name}{sorted(one.labels.values())}": one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


async def test_all_is_well(well: House) -> None:
    async with serving(well, "listen", {"listener acme": lambda: ""}):
        pass
    server = serve_in_thread(well, "worker")
    assert await ask(server, "/healthz") == (200, {"alive": True, "role": "worker", "reasons": {}})
    assert await ask(server, "/readyz") == (200, {"ready": True, "role": "worker", "reasons": {}})
    assert server
    server.stop()
    server.stop()


async def test_nobody_is_told_where_config_does_not_say_so(tmp_path: Path) -> None:
    assert serve_in_thread(house(tmp_path, "embedded", listen=""), "worker") is None


async def test_a_store_without_tables_is_not_ready(tmp_path: Path, valkey: str) -> None:
    server = serve_in_thread(house(tmp_path, valkey, listen="127.0.0.1:0"), "worker")
    status, told = await ask(server, "/readyz")
    assert status == 503
    assert "is empty" in str(told["reasons"])
    assert (await ask(server, "/healthz"))[0] == 200
    found = await scrape(server)
    assert found["chatbridge_well['store']"] == 0
    assert found["chatbridge_well['broker']"] == 1
    assert server
    server.stop()


async def test_servers_that_are_away_are_named_without_their_passwords(tmp_path: Path) -> None:
    one, other = free_ports(2)
    made = house(
        tmp_path,
        f"amqp://me:{PASSWORD}@127.0.0.1:{one}//",
        store=f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:{other}/chat",
        listen="127.0.0.1:0",
    )
    server = serve_in_thread(made, "worker")
    status, told = await ask(server, "/readyz")
    assert status == 503
    assert set(told["reasons"]) == {"store", "broker"}  # type: ignore[call-overload]
    assert PASSWORD not in str(told)
    assert server
    server.stop()
    made.store.close()


async def test_a_server_that_hangs_makes_no_look_longer_than_a_second(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        made = house(tmp_path, f"redis://127.0.0.1:{port}/0", listen="127.0.0.1:0")
        upgrade(made.store)
        server = serve_in_thread(made, "worker")
        before = threading.active_count()
        began = time.monotonic()
        answers = await asyncio.gather(*(ask(server, "/readyz") for _ in range(5)))
        assert time.monotonic() - began < 4.0
        assert {status for status, _ in answers} == {503}
        assert "no answer within 1 s" in str(answers[0][1]["reasons"])
        assert threading.active_count() <= before + 2, "they share one look"
        assert server
        server.stop()
    made.store.close()


async def test_a_loop_that_is_busy_is_not_alive(well: House) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = serve_in_thread(well, "listen", Probes(alive={"loop": pulse(loop)}))
    assert (await ask(server, "/healthz"))[0] == 200
    free = threading.Event()
    loop.call_soon_threadsafe(free.wait)
    status, told = await ask(server, "/healthz")
    assert (status, told["alive"]) == (503, False)
    assert "loop" in str(told["reasons"])
    free.set()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    end = time.monotonic() + 10.0  # an earlier look may still be under way
    while "has ended" not in str(await ask(server, "/healthz")):
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    assert server
    server.stop()


async def test_a_listener_that_is_away_makes_a_process_unready_but_alive(well: House) -> None:
    probes = Probes(ready={"listener acme": lambda: "not connected yet"})
    server = serve_in_thread(well, "listen", probes)
    assert (await ask(server, "/readyz"))[1]["reasons"] == {"listener acme": "not connected yet"}
    assert (await ask(server, "/healthz"))[0] == 200
    assert server
    server.stop()


async def test_what_waits_in_the_store_is_told(well: House) -> None:
    intake(well.store, rule(after="0s")).take([posted(1), posted(2)], NOW)
    with well.store.transaction() as session:
        session.add(Worker(id="w", role="worker", started_at=NOW))
    server = serve_in_thread(well, "scheduler")
    found = await scrape(server)
    assert found["chatbridge_due['acme']"] == 2
    assert found["chatbridge_pending[]"] == 2
    assert found["chatbridge_lane_depth['C-oncall', 'acme']"] == 2
    assert found["chatbridge_oldest_due_seconds['acme']"] > 3600
    assert found["chatbridge_processes['worker']"] == 1
    assert found["chatbridge_process['scheduler']"] == 1
    assert found["process_resident_memory_bytes[]"] > 1_000_000
    assert server
    server.stop()


async def test_processes_of_one_machine_each_take_a_port(tmp_path: Path, valkey: str) -> None:
    [port] = free_ports(1)
    made = house(tmp_path, valkey, listen=f"127.0.0.1:{port}")
    servers = [serve_in_thread(made, "worker") for _ in range(3)]
    ports = [int(one.url.rpartition(":")[2]) for one in servers if one]
    assert len(set(ports)) == 3
    assert ports[0] == port
    assert all(port <= one <= port + 20 for one in ports)
    assert [(await ask(one, "/healthz"))[0] for one in servers] == [200] * 3
    for one in servers:
        assert one
        one.stop()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_of_somebody_else_is_refused(host: str, tmp_path: Path) -> None:
    made = house(tmp_path, "embedded", listen=f"{host}:9464")
    with pytest.raises(ConfigError, match=r"config\.toml:6: metrics\.listen: "):
        serve_in_thread(made, "worker")
