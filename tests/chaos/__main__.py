"""`python -m tests.chaos`: one run, the verdict as JSON in the last line."""

import argparse
import sys

from tasks.processes import run_until_stopped
from tests.chaos.plan import Size
from tests.chaos.run import is_good, run
from tests.chaos.servers import PAIRS

INTERRUPTED = 130


def main() -> int:
    """Read the arguments, run, say how it went by the exit code."""
    size = Size()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pair", choices=PAIRS, default="sqlite-valkey")
    parser.add_argument("--seconds", type=float, default=size.seconds, help="of talk")
    parser.add_argument("--messages", type=int, default=size.messages)
    parser.add_argument("--channels", type=int, default=size.channels)
    parser.add_argument("--kills", type=int, default=size.kills)
    parser.add_argument("--window", type=int, default=size.window, help="of the digest, in seconds")
    parser.add_argument("--calm", action="store_true", help="nothing goes wrong at all")
    parser.add_argument("--only", default="", help="only such trouble, as kill:worker,cut")
    parser.add_argument("--keep", action="store_true", help="keep the folder, for a post-mortem")
    given = parser.parse_args()
    size = Size(given.messages, given.channels, given.seconds, given.kills, given.window)
    only = ("none",) if given.calm else tuple(filter(None, given.only.split(",")))

    async def work() -> int:
        facts = await run(given.seed, size, given.pair, only=only, keep=given.keep)
        return 0 if is_good(facts) else 1

    return run_until_stopped(work(), interrupted=INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
