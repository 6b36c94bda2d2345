"""A worker process: one shift after another until it is told to stop."""

from __future__ import annotations

from queue import Empty, SimpleQueue

from django.db import DatabaseError, InterfaceError

from durable_workflows import clock, signals
from durable_workflows.conf import config
from durable_workflows.models import dialects, sweeps
from durable_workflows.worker.local import LOCAL
from durable_workflows.worker.options import Options
from durable_workflows.worker.shift import Shift

SETTLED_LOOKS = 2
LOOK_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds between tries to begin a shift


class Supervisor:
    """
    Composes a worker and ends it in two stages.

    What ``request_stop`` touches is free of locks, since a signal's handler interrupts the main thread wherever it is, at
    times with a lock of an ``Event`` in its hand. And the main thread never waits without end: the system may give a signal
    to another thread, which does not interrupt it.

    :param options: what to serve, with how many threads.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._calls: SimpleQueue[None] = SimpleQueue()  # somebody wants a stop, or a new shift; its put() takes no lock
        self._asked = False
        self._stopping = False
        self._hurry = False
        self._lost = False
        self.drained = False  # an operator asked for the worker's end
        self.shift = self._new_shift()

    def _new_shift(self) -> Shift:
        return Shift(self.options, self._lost_it, self._drain_it)

    def _lost_it(self) -> None:
        self._lost = True
        self._calls.put(None)

    def _drain_it(self) -> None:
        self.drained = True
        self._calls.put(None)

    def start(self) -> None:
        """Begin to work; returns at once."""
        self.shift.start()

    def run(self) -> None:
        """Work until ``request_stop``, or until an operator asks for the worker's end and its runs have come to theirs."""
        self.start()
        self.keep()
        self.finish()
        self.stop(config().shutdown_grace_seconds)

    def keep(self) -> None:
        """Begin a new shift whenever one was lost, until somebody asks for an end."""
        while not self._ending:
            self._wait(LOOK_SECONDS)
            if self._lost and not self._ending:
                self._lost = False
                self.shift.stop(0, lambda: True)
                self._begin_again()

    @property
    def _ending(self) -> bool:
        return self._stopping or self.drained

    def finish(self) -> None:
        """If the worker is drained, let its runs come to their ends or next durable calls, however long that takes."""
        if self.drained:
            signals.send(signals.worker_draining, worker_id=self.shift.presence.id)
            self.shift.finish(lambda: self._stopping)

    def _begin_again(self) -> None:
        """Start a new shift as soon as the database lets it register."""
        pause, begun = FIRST_PAUSE, False
        while not begun and not self._stopping:
            self.shift = self._new_shift()
            try:
                self.shift.start()
                begun = True
            except (DatabaseError, InterfaceError) as error:
                signals.send(signals.loop_failed, loop="worker", error=error, retry_in=pause)
                dialects.connection().close()
                self._wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _wait(self, seconds: float) -> None:
        """Until somebody calls, or the time is over."""
        try:
            self._calls.get(timeout=seconds)
        except Empty:
            pass

    def drain(self) -> None:
        """Work until there is nothing to claim and nothing under way, then stop."""
        self.start()
        quiet = 0
        while quiet < SETTLED_LOOKS and not self._stopping:
            quiet = quiet + 1 if self.shift.idle and self._nothing_to_do() else 0
            clock.pause(0.05)
        self.stop(config().shutdown_grace_seconds)

    def _nothing_to_do(self) -> bool:
        waiting = sweeps.pulse(dialects.connection(), self.options.served())
        return not waiting.queues and not waiting.due(waiting.next_due)

    def request_stop(self) -> None:
        """Stop soon; asked again, at once. Safe in a signal handler."""
        asked_before, self._asked = self._asked, True
        self.end_soon(at_once=asked_before)

    def end_soon(self, *, at_once: bool) -> None:
        """Stop soon, or at once; asked again, it is the same wish. Safe in a signal handler."""
        self._hurry = self._hurry or at_once
        self._stopping = True
        self._calls.put(None)

    def stop(self, grace: float) -> int:
        """End the shift; returns how many runs were taken from threads that were still at them."""
        try:
            return self.shift.stop(grace, lambda: self._hurry)
        finally:
            LOCAL.close()


__all__ = ["Options", "Supervisor"]
