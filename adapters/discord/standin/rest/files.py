"""Files that come with messages: kept in memory, served under their links."""

import mimetypes
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from adapters.discord.standin import refusals
from adapters.discord.standin.call import Call
from adapters.discord.standin.workspace import Channel
from adapters.discord.standin.world import World
from adapters.standin import JsonDict

FILE_BYTES = 10 * 1024 * 1024


def sent(call: Call, channel: Channel) -> list[JsonDict]:
    """The files of a multipart request, as stored. Raises Refusal for one that is too large."""
    found = []
    for name, part in call.form.items():
        if name.startswith("files[") and isinstance(part, web.FileField):
            content = part.file.read()
            if len(content) > FILE_BYTES:
                raise refusals.too_large()
            found.append(attach(call.world, channel, part.filename, content))
    return found


def attach(world: World, channel: Channel, name: str, content: bytes) -> JsonDict:
    """Keep a file. The answer is a MessageAttachmentResponse."""
    native_id = world.workspace.snowflakes.make()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    world.workspace.files[native_id] = (kind, content)
    url = f"{world.url}/attachments/{channel.id}/{native_id}/{quote(name, safe='')}"
    return {
        "id": native_id,
        "filename": name,
        "size": len(content),
        "url": url,
        "proxy_url": url,
        "content_type": kind,
        "flags": 0,
    }


def download(world: World) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler that serves files."""

    async def handle(request: web.Request) -> web.Response:
        found = world.workspace.files.get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound
        return web.Response(body=found[1], content_type=found[0])

    return handle
