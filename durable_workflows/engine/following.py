"""
Reading a stream outside of any workflow, for as long as it takes.

Somebody who reads may wait for hours, such as a view that sends a run's progress to a browser. So each look is a short
query by itself, and nothing is held in between: when the pauses get long, not even the thread's connection, which a server
with many threads would otherwise keep for each reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from durable_workflows import clock, runtime
from durable_workflows.engine.operations import FIRST_POLL
from durable_workflows.exceptions import StreamTimeout
from durable_workflows.models import dialects, streaming
from durable_workflows.models.streaming import Batch
from durable_workflows.serializers import loads

T = TypeVar("T")
LONGEST_POLL = 1.0  # seconds
RELEASE_FROM = 0.25  # seconds of a pause for which the connection is closed

Look = Callable[[Callable[[], T]], T]


def follow(
    source: tuple[str, str], offset: int, timeout: float | None, refuse: Callable[[], None], look: Look[Batch]
) -> Iterator[Any]:
    """
    The values of a stream, waited for.

    :param refuse: raises where it cannot be waited.
    :param look: does a query, again after a lost connection.
    """
    run_id, key = source
    while True:
        batch = _next(source, offset, timeout, refuse, look)
        for payload in batch.values:
            yield loads(payload, what=f"value {offset} of stream {key!r} of {run_id!r}")
            offset += 1
        if batch.over:
            return


def _next(source: tuple[str, str], offset: int, timeout: float | None, refuse: Callable[[], None], look: Look[Batch]) -> Batch:
    """The values from an offset on, or the end; waited for less eagerly the longer it takes."""
    run_id, key = source
    began = clock.monotonic()
    while True:
        batch = look(lambda: streaming.read(dialects.connection(), run_id, key, offset))
        if batch.values or batch.over:
            return batch
        elapsed = clock.monotonic() - began
        if timeout is not None and elapsed >= timeout:
            raise StreamTimeout(run_id, key, offset, timeout)
        refuse()
        pause = min(max(elapsed / 10, FIRST_POLL), LONGEST_POLL)
        _rest(run_id, pause if timeout is None else min(pause, timeout - elapsed))


def _rest(run_id: str, seconds: float) -> None:
    connection = dialects.connection()
    if seconds >= RELEASE_FROM and connection.autocommit and not connection.in_atomic_block:
        connection.close()
    runtime.local().park([run_id], seconds)
