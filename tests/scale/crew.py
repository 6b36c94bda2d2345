"""A worker process with four threads, looked at from outside."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import psutil

from tests.processes import Processes

THREADS = 4


class Crew:
    """
    The worker process of a test.

    :param settings: of ``DURABLE_WORKFLOWS``.
    """

    def __init__(self, processes: Processes, **settings: Any) -> None:
        env = {"DJANGO_SETTINGS_MODULE": "tests.scale.settings", "DURABLE_TEST_SETTINGS": json.dumps(settings)}
        self._processes = processes
        self.process = processes.worker("--threads", str(THREADS), env=env)
        processes.expect(self.process, "started with")
        self._seen = psutil.Process(self.process.pid)

    @property
    def megabytes(self) -> float:
        """What it keeps in memory, with what it started."""
        every = [self._seen, *self._seen.children(recursive=True)]
        return float(sum(each.memory_info().rss for each in every)) / 1e6

    @property
    def threads(self) -> int:
        return int(self._seen.num_threads())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def until(there: Callable[[], bool], seconds: float) -> float:
    """Wait for something, and return how long it took."""
    began = time.monotonic()
    while not there():
        assert time.monotonic() - began < seconds, "it does not come about"
        time.sleep(0.1)
    return time.monotonic() - began
