"""Where a process answers: the port that config names, or one of the next that is free."""

import errno
import socket

from bridge.errors import ConfigError
from bridge.settings import Settings

MORE_PORTS = 20
"""Several processes of one machine share a config; each has a port of its own."""
_LAST_PORT = 65535


def bound(settings: Settings) -> socket.socket:
    """A socket that listens. Raises ConfigError where no port can be had."""
    host, _, first = settings.metrics.listen.rpartition(":")
    host, port = host.strip("[]"), int(first)
    last = min(port + MORE_PORTS, _LAST_PORT) if port else 0
    for number in range(port, last + 1):
        try:
            return _bind(host, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _refused(settings, error.strerror or str(error)) from error
    raise _refused(settings, f"this port and the {MORE_PORTS} after it are in use")


def url_of(listening: socket.socket) -> str:
    """Where it answers, as a URL."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address, family=family)


def _refused(settings: Settings, why: str) -> ConfigError:
    place = settings.where("metrics", "listen")
    return ConfigError(f"{place}: metrics.listen: {why}; name another host or port")
