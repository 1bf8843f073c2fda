"""The task that a bell is: take up to 100 lanes and let the engine drain them."""

from tasks.celery import app
from tasks.engine import current


@app.task(name="tasks.deliver")  # type: ignore[untyped-decorator]
def deliver(lanes: list[int]) -> int:
    """Hand lanes to this process's engine; returns once it has room for all of them.

    Waiting for room keeps bells with a worker that can act on them. Safe to run twice: a lane
    without anything due is simply let go of.
    """
    current().ring(lanes)
    return len(lanes)
