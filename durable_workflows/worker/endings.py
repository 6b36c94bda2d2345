"""
Outcomes on their way to their rows, while the threads that brought them about execute other runs.

A worker's thread has nothing more to do for a run whose outcome is known but to hear that it is committed. While outcomes
are being written anyway, it leaves its own to a thread that writes what has gathered with one commit. Another thread tells
of what is committed, so that receivers, who may take their time, keep no outcome waiting.

What a group could not write (its run is awaited, its row locked, or no longer ours) is concluded singly, as the run's own
thread would have done it. Whoever waits for a lock must not stall the others, so up to a few threads do that; they live
while there is something to conclude, and when all of them are at it, nothing more is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from django.db import connections

from durable_workflows import clock, signals
from durable_workflows.engine.services import Conclusion
from durable_workflows.models import dialects, outcomes
from durable_workflows.models.claims import Claim
from durable_workflows.models.transactions import in_autocommit
from durable_workflows.worker.groups import LARGEST_GROUP
from durable_workflows.worker.pool import ENDING_SECONDS

GATHERING_SECONDS = 0.004  # a thread that leaves an outcome waits for nothing, so a larger group costs nobody time
MOST_CONCLUDING = 4  # threads, each with a session of its own


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    conclusion: Conclusion
    context: Context = field(default_factory=copy_context)  # what receivers do is part of no workflow


class LeftEndings:
    """
    What the threads of one worker have left.

    :param busy: whether outcomes are being written by their own threads.
    :param prepare: is called first in each thread that opens a session.
    :param settled: is called with each claim whose outcome was left here, once it is no longer held.
    """

    def __init__(
        self,
        busy: Callable[[], bool],
        prepare: Callable[[], None],
        settled: Callable[[Claim], None] = lambda claim: None,
    ) -> None:
        self._busy = busy
        self._prepare = prepare
        self._settled = settled
        self._held: set[_Left] = set()
        self._untold: set[_Left] = set()  # of which the rest is done
        self._lock = threading.Lock()
        self._concluding = 0  # threads
        self._to_conclude: SimpleQueue[_Left] = SimpleQueue()
        self._to_write: SimpleQueue[_Left | None] = SimpleQueue()
        self._to_tell: SimpleQueue[Sequence[_Left]] = SimpleQueue()  # an empty one is the end
        self._threads = [
            threading.Thread(target=self._write_all, name="durable-endings", daemon=True),
            threading.Thread(target=self._tell_all, name="durable-announcer", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads after what they are at; returns when they have, if nothing is held."""
        self._to_write.put(None)
        for thread in self._threads if self.idle else ():
            thread.join(ENDING_SECONDS)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not (self._held or self._untold)

    def run_ids(self) -> set[str]:
        """The runs that this worker still holds though no thread of the pool executes them."""
        return {claim.id for claim in self.claims()}

    def claims(self) -> list[Claim]:
        """The same as claims."""
        return [left.conclusion.claim for left in self._held.copy()]

    def holds(self, claim: Claim) -> bool:
        """Whether a run's outcome was left here and is not settled yet."""
        return any(held is claim for held in self.claims())

    def leave(self, conclusion: Conclusion) -> bool:
        """Have an outcome written beside others; false if it had better be written where it came about."""
        gathered = len(self._held)
        if gathered >= LARGEST_GROUP or self._concluding >= MOST_CONCLUDING or not (gathered or self._busy()):
            return False
        left = _Left(conclusion)
        self._held.add(left)
        self._to_write.put(left)
        return True

    def may_tell(self) -> bool:
        """Whether receivers keep up with what they are told."""
        return len(self._untold) < LARGEST_GROUP

    def tell(self, conclusion: Conclusion) -> None:
        """Tell of an outcome that is committed, in a thread that has nothing else to do."""
        left = _Left(conclusion)
        self._untold.add(left)
        self._to_tell.put([left])

    # -- writing

    def _write_all(self) -> None:
        self._prepare()
        while (first := self._to_write.get()) is not None:
            clock.pause(GATHERING_SECONDS)
            self._write([first, *self._gathered()])
        self._to_tell.put([])
        connections.close_all()

    def _gathered(self) -> Iterator[_Left]:
        for _ in range(LARGEST_GROUP - 1):
            try:
                left = self._to_write.get_nowait()
            except Empty:
                return
            if left is None:
                self._to_write.put(None)  # the end comes after these
                return
            yield left

    def _write(self, group: Sequence[_Left]) -> None:
        try:
            written = in_autocommit(outcomes.end_group, [left.conclusion.ending for left in group])
        except Exception:  # noqa: BLE001  # each of them meets its own error
            written = [False] * len(group)
            dialects.connection().close()
        if told := [left for left, done in zip(group, written, strict=True) if done]:
            self._to_tell.put(told)
        for left in (left for left, done in zip(group, written, strict=True) if not done):
            self._conclude(left)

    # -- concluding

    def _conclude(self, left: _Left) -> None:
        with self._lock:
            self._to_conclude.put(left)
            wanted = self._concluding < MOST_CONCLUDING
            self._concluding += wanted
        if not wanted:
            return
        try:
            threading.Thread(target=self._conclude_all, name="durable-concluding", daemon=True).start()
        except RuntimeError:  # the system has no thread to give: late is better than never
            while (waiting := self._next_to_conclude()) is not None:
                self._settle(waiting, waiting.conclusion.conclude)

    def _conclude_all(self) -> None:
        self._prepare()
        while (left := self._next_to_conclude()) is not None:
            self._settle(left, left.conclusion.conclude)
        connections.close_all()

    def _next_to_conclude(self) -> _Left | None:
        with self._lock:  # whoever comes with another one must not take this thread for one that will see it
            try:
                return self._to_conclude.get_nowait()
            except Empty:
                self._concluding -= 1
                return None

    # -- telling

    def _tell_all(self) -> None:
        self._prepare()
        while written := self._to_tell.get():
            for left in written:
                self._settle(left, left.conclusion.announce)
        connections.close_all()

    def _settle(self, left: _Left, work: Callable[[], object]) -> None:
        """The last that is done for a run; whatever it meets ends neither the thread nor the memory of what is held."""
        try:
            left.context.run(work)
        except BaseException as error:  # noqa: BLE001  # such as a receiver's SystemExit, or a database that stays away
            signals.send(signals.loop_failed, loop=f"run {left.conclusion.claim.id}", error=error, retry_in=None)
        finally:
            if left in self._held:
                self._held.discard(left)
                self._settled(left.conclusion.claim)
            self._untold.discard(left)
