"""Cursors over a sorted list of ids, as all of Slack's lists have them."""

from bisect import bisect_left
from collections.abc import Sequence

from adapters.slack.standin.errors import RefusedError
from adapters.slack.standin.ids import from_cursor, to_cursor
from adapters.slack.standin.methods.call import Call
from adapters.standin import JsonDict

MOST = 1000


def paged(
    call: Call, kind: str, ids: Sequence[str], default: int
) -> tuple[Sequence[str], JsonDict]:
    """One page of sorted ids, and the `response_metadata` with the cursor of the next.

    Raises invalid_cursor, invalid_limit.
    """
    limit, cursor = call.limit(default, MOST), call.text("cursor")
    try:
        begin = bisect_left(ids, from_cursor(kind, cursor)) if cursor else 0
    except ValueError:
        raise RefusedError("invalid_cursor") from None
    rest = ids[begin + limit :]
    return ids[begin : begin + limit], {"next_cursor": to_cursor(kind, rest[0]) if rest else ""}
