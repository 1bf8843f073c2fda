"""Runs functions at the same time and waits for all of them; what one raises, it raises."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def together(works: Sequence[Callable[[], T]], failed: threading.Event | None = None) -> list[T]:
    """What each work returned, in order. They start at the same moment.

    `failed` is set when one raises, for those that would never end without it.
    """
    start = threading.Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        start.wait(30.0)
        try:
            return work()
        except BaseException:
            if failed:
                failed.set()
            raise

    with ThreadPoolExecutor(len(works)) as pool:
        running = [pool.submit(run, work) for work in works]
    return [one.result() for one in running]
