"""What a reader sees of a message: Slack's text and blocks as plain characters."""

import re
from collections.abc import Mapping, Sequence

from adapters.standin import JsonDict

_SPECIAL = re.compile(r"[<&*_~`]")
_TOKEN = re.compile(r"<([^<>]+)>")
_CODE = re.compile(r"(```.+?```|`[^`\n]+`)", re.DOTALL)
_STYLE = re.compile(r"(?<![\w*_~])([*_~])(?=[^\s*_~]|[*_~]+[^\s])(.+?)(?<=\S)\1(?![\w])")
_KEPT = re.compile("\ue000(\\d+)\ue001")
_NESTING = 3


def seen(message: JsonDict, labels: Mapping[str, str]) -> str:
    """The words of a message body: its blocks if it has any that say something, else its text.

    `labels` maps user ids to "@name" and channel ids to "#name".
    """
    shown = "\n".join(filter(None, (_block(block, labels) for block in message.get("blocks", ()))))
    return shown or mrkdwn(message.get("text", ""), labels)


def mrkdwn(text: str, labels: Mapping[str, str]) -> str:
    """Slack's own markup as a reader sees it: names for mentions, labels for links, no marks."""
    if not _SPECIAL.search(text):
        return text
    tokens: list[str] = []

    def keep(match: re.Match[str]) -> str:
        tokens.append(_token(match[1], labels))
        return f"\ue000{len(tokens) - 1}\ue001"

    plain = "".join(
        part.strip("`").strip("\n") if number % 2 else _unmarked(part)
        for number, part in enumerate(_CODE.split(_TOKEN.sub(keep, text)))
    )
    plain = _unescaped(plain)
    return _KEPT.sub(lambda match: tokens[int(match[1])], plain) if tokens else plain


def _unmarked(text: str) -> str:
    for _ in range(_NESTING):
        text, changed = _STYLE.subn(r"\2", text)
        if not changed:
            break
    return text


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _token(body: str, labels: Mapping[str, str]) -> str:
    target, _, label = body.partition("|")
    if target[0] in "@#":
        return labels.get(target[1:]) or target[0] + _unescaped(label or target[1:])
    if target[0] == "!":
        return _unescaped(label) or "@" + target[1:].partition("^")[0]
    return _unescaped(label or target)


def _words(composed: JsonDict, labels: Mapping[str, str]) -> str:
    text = str(composed.get("text", ""))
    return mrkdwn(text, labels) if composed.get("type") == "mrkdwn" else text


def _block(block: JsonDict, labels: Mapping[str, str]) -> str:
    kind = block.get("type")
    if kind == "section":
        parts = [block.get("text", {}), *block.get("fields", [])]
        return "\n".join(filter(None, (_words(part, labels) for part in parts)))
    if kind == "context":
        return " ".join(filter(None, (_words(one, labels) for one in block["elements"])))
    if kind == "actions":
        words = (_words(one.get("text", {}), labels) for one in block["elements"])
        return " ".join(f"[{label}]" for label in words if label)
    if kind == "table":
        return "\n".join(_row(row, labels) for row in block["rows"])
    if kind == "rich_text":
        return _rich(block["elements"], labels)
    text = block.get("text", block.get("alt_text", ""))
    return _words(text, labels) if isinstance(text, dict) else str(text)


def _row(cells: Sequence[JsonDict], labels: Mapping[str, str]) -> str:
    return " | ".join(
        _rich(cell["elements"], labels) if cell["type"] == "rich_text" else str(cell["text"])
        for cell in cells
    )


def _rich(elements: Sequence[JsonDict], labels: Mapping[str, str]) -> str:
    return "\n".join(_rich_part(part, labels).strip("\n") for part in elements)


def _rich_part(part: JsonDict, labels: Mapping[str, str]) -> str:
    if part["type"] == "rich_text_list":
        return "\n".join("• " + _rich_part(item, labels) for item in part["elements"])
    line = "".join(_element(one, labels) for one in part["elements"])
    if part["type"] == "rich_text_quote":
        return "\n".join("> " + row for row in line.rstrip("\n").split("\n"))
    return line


def _element(element: JsonDict, labels: Mapping[str, str]) -> str:
    kind = element["type"]
    if kind in {"user", "channel"}:
        found = str(element[f"{kind}_id"])
        return labels.get(found) or ("@" if kind == "user" else "#") + found
    if kind in {"emoji", "broadcast"}:
        return f":{element['name']}:" if kind == "emoji" else f"@{element['range']}"
    for name in ("text", "fallback", "url"):
        if element.get(name):
            return str(element[name])
    return ""
