"""The links of a window, each once, however it was written. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from bridge.digest.contents import Said
from bridge.render import is_web, one_run


@dataclass(frozen=True, slots=True)
class Shared:
    """A link as it was first written, and every message that holds it, in order of time."""

    url: str
    said: tuple[Said, ...]


def shared_links(said: Iterable[Said]) -> list[Shared]:
    """Every link in these messages, alike ones together, by first appearance."""
    found: dict[str, tuple[str, list[Said]]] = {}
    for one in said:
        for url in one.links:
            _, holders = found.setdefault(canonical(url), (url, []))
            if one not in holders[-1:]:
                holders.append(one)
    found.pop("", None)
    return [Shared(url, tuple(holders)) for url, holders in found.values()]


def canonical(url: str) -> str:
    """What links to the same place have in common; "" for what is no link to the web.

    Scheme and host in lower case; without fragment, utm_* parameters and trailing slash.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    if not is_web(url.strip()) or not parts.hostname:
        return ""
    user, at, host = parts.netloc.rpartition("@")
    kept = "&".join(
        one for one in parts.query.split("&") if one and not one.lower().startswith("utm_")
    )
    bare = parts._replace(
        netloc=user + at + host.lower(), path=parts.path.rstrip("/"), query=kept, fragment=""
    )
    return bare.geturl()


def words_of(url: str) -> str:
    """A link as one reads it: without scheme and www."""
    return one_run(url).partition("://")[2].removeprefix("www.").rstrip("/")
