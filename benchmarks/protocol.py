"""
What the conductor and a contender's process say to each other: one JSON object a line.

A contender runs in a process of its own, so that no two of them share an interpreter, and none that is measured now has
another one's threads beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    One repetition.

    :param count: how many units were done, :param seconds: in what time.
    :param cpu: seconds of processor time that the contender's own process took for it.
    :param latencies: lists of seconds by name, for scenarios that are about them.
    """

    count: int
    seconds: float
    cpu: float
    latencies: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.count / self.seconds

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Stopwatch:
    """Running time and processor time of a block."""

    seconds: float = 0.0
    cpu: float = 0.0

    def measured(self, count: int, **more: Any) -> Measured:
        return replace(Measured(count=count, seconds=self.seconds, cpu=self.cpu), **more)


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Time a block; the processor time is that of all threads of this process."""
    watch = Stopwatch()
    began, cpu = time.perf_counter(), time.process_time()
    try:
        yield watch
    finally:
        watch.seconds, watch.cpu = time.perf_counter() - began, time.process_time() - cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """
    How a contender introduces itself.

    :param semantics: what one unit of an operation means in it, by operation; "" for all others.
    :param absent: why an operation does not exist in it, by operation.
    """

    versions: Mapping[str, str]
    semantics: Mapping[str, str]
    absent: Mapping[str, str]
