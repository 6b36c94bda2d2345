"""How long an idle system takes to answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from benchmarks.protocol import Measured, stopwatch


def timed_answers(count: int, ask: Callable[[], float]) -> Measured:
    """
    Ask ``count`` times, each after a pause.

    :param ask: enqueues, waits for the result, and returns when the work was started, by ``time.monotonic``, which is one
        clock for all processes of the machine.
    """
    start, result = [], []
    with stopwatch() as watch:
        for pause in _pauses(count):
            time.sleep(pause)
            began = time.monotonic()
            started = ask()
            result.append(time.monotonic() - began)
            start.append(started - began)
    return watch.measured(count, latencies={"start": start, "result": result})


def _pauses(count: int) -> list[float]:
    """At any phase of a poll; each tenth so long that what is kept warm for a moment has gone cold."""
    return [3.0 if number % 10 == 9 else random.uniform(0.05, 0.45) for number in range(count)]
