"""Reading a Web API request: token and arguments, from wherever Slack takes them."""

import json
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.slack.standin.errors import RefusedError
from adapters.standin import JsonDict

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_JSON = "application/json"
_CHARSETS = {"utf-8", "utf8", "iso-8859-1"}


async def arguments(request: web.Request) -> JsonDict:
    """Query, form and JSON body in one; the body wins. Raises RefusedError for a broken body."""
    args: JsonDict = dict(request.query) if request.query_string else {}
    if request.content_type == _MULTIPART:
        form = await request.post()
        return args | {name: one for name, one in form.items() if isinstance(one, str)}
    body = await request.read()
    if not body:
        return args
    if (request.charset or "utf-8").lower() not in _CHARSETS:
        raise RefusedError("invalid_charset")
    return args | _parsed(body, request.content_type, "Content-Type" in request.headers)


def token(request: web.Request, args: JsonDict) -> str:
    """The bearer token of the header, or the `token` argument; taken out of the arguments."""
    given = str(args.pop("token", ""))
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value.strip() else given


def warnings(request: web.Request) -> list[str]:
    """What Slack warns of in an answer: a charset that is missing, or too much."""
    if request.content_type == _JSON and request.charset is None:
        return ["missing_charset"]
    if request.content_type == _FORM and request.charset is not None:
        return ["superfluous_charset"]
    return []


def _parsed(body: bytes, content_type: str, stated: bool) -> JsonDict:  # noqa: FBT001
    if not stated:
        raise RefusedError("missing_post_type")
    if content_type == _FORM:
        return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    if content_type != _JSON:
        raise RefusedError("invalid_post_type")
    try:
        parsed = json.loads(body)
    except ValueError:
        raise RefusedError("invalid_json") from None
    if not isinstance(parsed, dict):
        raise RefusedError("json_not_object")
    return parsed
