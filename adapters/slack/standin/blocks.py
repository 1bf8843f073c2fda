"""Slack's rules for Block Kit in messages: what is refused, and what Slack fills in."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adapters.slack.standin.checks import Check, anything, at, items, kinds, string, text
from adapters.slack.standin.errors import RefusedError
from adapters.standin import JsonDict

MOST_BLOCKS = 50
MOST_CHARACTERS = 13_200
"""Undocumented: with more text than this over all blocks Slack answers msg_blocks_too_long."""

_BOTH = ("plain_text", "mrkdwn")
_MANY = 10_000
_IMAGE: Mapping[str, Check] = {"image_url": string(3000), "alt_text": string(2000)}
_SELECTS = tuple(
    f"{many}{what}_select"
    for many in ("", "multi_")
    for what in ("static", "external", "users", "conversations", "channels")
)
_INTERACTIVE: Mapping[str, Mapping[str, Check]] = {
    "button": {"text": text(75, "plain_text")},
    **{kind: {} for kind in ("overflow", "checkboxes", "radio_buttons", "workflow_button")},
    **{kind: {} for kind in ("datepicker", "timepicker", "datetimepicker", *_SELECTS)},
}
_CONTEXT: Mapping[str, Mapping[str, Check]] = {
    "image": _IMAGE,
    **{kind: {"text": string(3000)} for kind in _BOTH},
}
_RUNS: Check = items(
    _MANY,
    kinds(
        {
            "text": {"text": string(_MANY, 0)},
            "link": {"url": string(3000)},
            "user": {"user_id": string(50)},
            "usergroup": {"usergroup_id": string(50)},
            "channel": {"channel_id": string(50)},
            "emoji": {"name": string(255)},
            "broadcast": {"range": string(20)},
            "date": {"timestamp": anything, "format": string(255)},
            "color": {"value": string(20)},
        }
    ),
    least=0,
)
_SECTION: Mapping[str, Check] = {"elements": _RUNS}
_RICH: Check = items(
    _MANY,
    kinds(
        {
            "rich_text_section": _SECTION,
            "rich_text_quote": _SECTION,
            "rich_text_preformatted": _SECTION,
            "rich_text_list": {"elements": items(_MANY, kinds({"rich_text_section": _SECTION}))},
        }
    ),
    least=0,
)
_CELL = kinds({"raw_text": {"text": string(_MANY, 0)}, "rich_text": {"elements": _RICH}})


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of block: the fields it must have, and those it may have."""

    must: Mapping[str, Check]
    may: Mapping[str, Check]


_RULES: Mapping[str, Rule] = {
    "section": Rule(
        {},
        {
            "text": text(3000, *_BOTH),
            "fields": items(10, text(2000, *_BOTH)),
            "accessory": kinds({**_INTERACTIVE, "image": _IMAGE}),
            "expand": anything,
        },
    ),
    "header": Rule({"text": text(150, "plain_text")}, {}),
    "divider": Rule({}, {}),
    "context": Rule({"elements": items(10, kinds(_CONTEXT))}, {}),
    "actions": Rule({"elements": items(25, kinds(_INTERACTIVE))}, {}),
    "markdown": Rule({"text": string(12_000)}, {}),
    "rich_text": Rule({"elements": _RICH}, {}),
    "image": Rule(
        {"alt_text": string(2000)},
        {"image_url": string(3000), "slack_file": anything, "title": text(2000, "plain_text")},
    ),
    "table": Rule({"rows": items(100, items(20, _CELL))}, {"column_settings": anything}),
}


def accept(blocks: object) -> list[JsonDict]:
    """The blocks as Slack stores them. Raises RefusedError for those that Slack would not take."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise RefusedError("invalid_blocks_format")
    problems = list(_problems(blocks))
    if problems:
        lines = [f"[ERROR] {problem}" for problem in problems]
        details = {"messages": lines}
        raise RefusedError("invalid_blocks", errors=problems, response_metadata=details)
    if _length(blocks) > MOST_CHARACTERS:
        raise RefusedError("msg_blocks_too_long")
    return [
        {**_filled(block), "block_id": block.get("block_id") or secrets.token_urlsafe(4)[:5]}
        for block in blocks
    ]


def _problems(blocks: list[JsonDict]) -> Iterator[str]:
    if len(blocks) > MOST_BLOCKS:
        yield at(f"no more than {MOST_BLOCKS} items allowed", "/blocks")
        return
    ids = [str(block["block_id"]) for block in blocks if block.get("block_id")]
    if len(set(ids)) < len(ids):
        yield at("`block_id` must be unique", "/blocks")
    for number, block in enumerate(blocks):
        yield from _block_problems(block, f"/blocks/{number}")


def _block_problems(block: JsonDict, path: str) -> Iterator[str]:
    rule = _RULES.get(str(block.get("type")))
    if rule is None:
        yield at(f"unsupported type: {block.get('type')}", f"{path}/type")
        return
    known = {"type": anything, "block_id": string(255, 0), **rule.must, **rule.may}
    for name, value in block.items():
        if name in known:
            yield from known[name](value, f"{path}/{name}")
        else:
            yield at(f"invalid additional property: {name}", path)
    for name in rule.must.keys() - block.keys():
        yield at(f"missing required field: {name}", path)
    if block["type"] == "section" and not block.keys() & {"text", "fields"}:
        yield at("missing required field: text", path)


def _length(value: object, name: str = "") -> int:
    """Characters of every `text` in a value."""
    if isinstance(value, str):
        return len(value) if name == "text" else 0
    if isinstance(value, dict):
        return sum(_length(one, key) for key, one in value.items())
    return sum(map(_length, value)) if isinstance(value, list) else 0


def _filled(value: JsonDict) -> JsonDict:
    """A block or a part of one with the defaults of every text object in it."""
    filled = {name: _deeper(one) for name, one in value.items()}
    if value.get("type") == "mrkdwn":
        filled.setdefault("verbatim", False)
    elif value.get("type") == "plain_text":
        filled.setdefault("emoji", True)
    return filled


def _deeper(value: object) -> object:
    if isinstance(value, dict):
        return _filled(value)
    return [_deeper(one) for one in value] if isinstance(value, list) else value
