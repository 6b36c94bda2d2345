"""A worker process: one shift after another until it is told to stop."""

from __future__ import annotations

import threading

from durable_workflows.conf import config
from durable_workflows.models import dialects, sweeps
from durable_workflows.worker.local import LOCAL
from durable_workflows.worker.shift import Options, Shift

SETTLED_LOOKS = 2


class Supervisor:
    """
    Composes a worker and ends it in two stages.

    :param options: what to serve, with how many threads.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._wanted = threading.Event()  # somebody wants a stop, or a new shift
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._lost = False
        self.shift = self._new_shift()

    def _new_shift(self) -> Shift:
        return Shift(self.options, self._lost_it)

    def _lost_it(self) -> None:
        self._lost = True
        self._wanted.set()

    def start(self) -> None:
        """Begin to work; returns at once."""
        self.shift.start()

    def run(self) -> None:
        """Work until ``request_stop``."""
        self.start()
        self.keep()
        self.stop(config().shutdown_grace_seconds)

    def keep(self) -> None:
        """Begin a new shift whenever one was lost, until ``request_stop``."""
        while not self._stopping.is_set():
            self._wanted.wait()
            self._wanted.clear()
            if self._lost and not self._stopping.is_set():
                self._lost = False
                self.shift.stop(0, self._hurry)
                self.shift = self._new_shift()
                self.shift.start()

    def drain(self) -> None:
        """Work until there is nothing to claim and nothing under way, then stop."""
        self.start()
        quiet = 0
        while quiet < SETTLED_LOOKS and not self._stopping.is_set():
            waiting = sweeps.pulse(dialects.connection(), self.shift.presence.id, self.options.served())
            quiet = quiet + 1 if self.shift.idle and not waiting.queues and not waiting.due(waiting.next_due) else 0
            self._stopping.wait(0.05)
        self.stop(config().shutdown_grace_seconds)

    def request_stop(self) -> None:
        """Stop soon; asked again, at once. Safe in a signal handler: it only sets flags."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
        self._wanted.set()

    def stop(self, grace: float) -> int:
        """End the shift; returns how many runs were taken from threads that were still at them."""
        try:
            return self.shift.stop(grace, self._hurry)
        finally:
            LOCAL.close()


__all__ = ["Options", "Supervisor"]
