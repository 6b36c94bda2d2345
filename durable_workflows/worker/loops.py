"""The one shape of every loop: tick, back off while the database is away, stop when told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from django.db import close_old_connections, connections

from durable_workflows import signals

LONGEST_PAUSE = 10.0


class Loop(threading.Thread):
    """
    A daemon thread that calls ``tick`` until it is stopped.

    :param tick: does its work and returns the seconds until the next; ``wake()`` cuts that short.
    :param prepare: is called first, in the thread; ``finish`` last.
    """

    def __init__(
        self,
        name: str,
        tick: Callable[[], float],
        *,
        prepare: Callable[[], None] | None = None,
        finish: Callable[[], None] = connections.close_all,
    ) -> None:
        super().__init__(name=f"durable-{name}", daemon=True)
        self.tick = tick
        self.prepare = prepare
        self.finish = finish
        self.bell = threading.Event()
        self.rung = False  # whether the present tick comes because somebody rang
        self.stopped = threading.Event()

    def run(self) -> None:
        if self.prepare:
            self.prepare()
        failures = 0
        while not self.stopped.is_set():
            self.rung = self.bell.is_set()
            self.bell.clear()
            try:
                pause, failures = self.tick(), 0
            except Exception as error:  # noqa: BLE001  # a loop outlives whatever its tick meets: the database comes back
                failures += 1
                pause = min(0.1 * 2.0**failures, LONGEST_PAUSE) * (0.5 + random.random() / 2)
                signals.send(signals.loop_failed, loop=self.name, error=error, retry_in=pause, failures=failures)
                close_old_connections()
            if pause > 0 and not self.stopped.is_set():  # its bell may have been cleared after stop() rang it
                self.bell.wait(pause)
        self.finish()

    def wake(self) -> None:
        """Tick now."""
        self.bell.set()

    def stop(self) -> None:
        """End after the present tick."""
        self.stopped.set()
        self.bell.set()
