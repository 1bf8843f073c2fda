"""The Celery app. `celery -A tasks worker` finds it here; settings are read at first use."""

from typing import Any

import structlog
from celery import Celery, signals
from celery.loaders.app import AppLoader
from kombu.transport import redis, virtual

from bridge.errors import BridgeError
from tasks import broker, engine, logs
from tasks.web.health import Health, Probes, serve_in_thread
from tasks.wiring import House, this_house

QUEUE = "chatbridge"
HORIZON_SECONDS = 60.0
"""Bells are rung this far ahead; what is due later waits in the store alone."""
VISIBILITY_SECONDS = 600
"""Far above the horizon: an ETA beyond it would be delivered twice."""


log = structlog.get_logger(__name__)

_servers: list[Health] = []


class Loader(AppLoader):  # type: ignore[misc]
    """Gives Celery its configuration from config.toml, when something first asks for it."""

    def read_configuration(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The settings that fit our tasks: short, idempotent, many lanes at once."""
        return configuration(this_house())


class _QoS(redis.QoS):
    """Lets go of a bell that cannot be acknowledged because the broker is gone.

    Kombu's own keeps it among those in hand; two of them, and this worker takes no more for ever.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


redis.Channel.QoS = _QoS

app = Celery(
    "chatbridge",
    loader=Loader,
    include=["tasks.deliver", "tasks.digest"],
    set_as_current=True,
)


def configuration(house: House) -> dict[str, Any]:
    """Celery's settings for this config.toml."""
    results = _results(house)
    url = broker.use(house.settings.broker.url, house.state)
    return {
        "broker_url": url,
        "broker_transport_options": _transport(url),
        "broker_connection_retry_on_startup": True,
        "result_backend": results or None,
        "task_ignore_result": not results,
        "task_default_queue": QUEUE,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_publish_retry": False,
        "task_store_errors_even_if_ignored": False,
        "worker_pool": "threads",
        "worker_concurrency": 2,
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "timezone": "UTC",
        "enable_utc": True,
    }


def _transport(url: str) -> dict[str, Any]:
    if url.startswith("amqp"):
        return {}
    return {
        "visibility_timeout": VISIBILITY_SECONDS,
        "socket_connect_timeout": 1.0,
        "socket_keepalive": True,
        "priority_steps": [0],  # four steps would cost a millisecond a message
        "max_connections": 50,
    }


def _results(house: House) -> str:
    """The result backend; a SQLite file is relative to config.toml."""
    url = house.settings.broker.results
    prefix = "db+sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        return f"{prefix}{house.settings.folder / url.removeprefix(prefix)}"
    return url


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _join(**_: Any) -> None:
    """Be seen among the living, and be warm, before the first bell rings."""
    try:
        engine.current()
    except BridgeError as error:
        log.warning("joins at the first bell", reason=str(error))


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _tell(**_: Any) -> None:
    """Answer /healthz, /readyz and /metrics, where config says so."""
    try:
        server = serve_in_thread(this_house(), "worker", Probes(alive={"engine": engine.well}))
    except BridgeError as error:
        log.warning("nobody can ask for our health", reason=str(error))
        return
    if server:
        _servers.append(server)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop_taking_lanes(**_: Any) -> None:
    engine.hold()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _hand_back(**_: Any) -> None:
    # Celery's warm shutdown waits for tasks only, and ours are done before anything is sent
    engine.stop()
    while _servers:
        _servers.pop().stop()


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _log_as_configured(**_: Any) -> None:
    logs.configure(this_house())
