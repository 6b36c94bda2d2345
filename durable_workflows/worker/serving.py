"""
The queues that a worker serves: what holds for each, how much of it is under way here, and when to look again.

What is limited on this worker alone is counted here, from what it holds. Whatever stands in the way of a claim, a place
that is taken or a window that is full, is not looked at again for a moment, unless somebody rings: something became
claimable, or a place was given back.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from durable_workflows import clock, signals
from durable_workflows.limits import NO_LIMITS, Limits
from durable_workflows.models import dialects, rules, slots, swift
from durable_workflows.models.claims import Claim, Claimer, Pick
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.rules import FREE, Rules
from durable_workflows.models.taking import Taken, Want
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.queues import Queue


def declare(queues: Iterable[str]) -> None:
    """Write the limits that this process's code declares to the rows of these queues."""
    in_write_transaction(rules.declare, {name: _declared(name) for name in queues})


def _declared(name: str) -> Limits | None:
    queue = Queue.declared.get(name)
    return queue.limits if queue else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    What is asked of a queue.

    :param limit: for how many runs there are threads.
    :param suspects: those that are to be run alone.
    :param leaving: a run that has ended and is not to be counted any more.
    """

    queue: str
    limit: int
    suspects: bool = False
    leaving: Claim | None = None


class Serving:
    """
    The queues of one worker.

    :param queues: which are served, asked anew each time.
    :param held: the runs that this worker holds.
    """

    def __init__(self, queues: Callable[[], tuple[str, ...]], held: Callable[[], Iterable[Claim]]) -> None:
        self.queues = queues
        self._held = held
        self._rules: Mapping[str, Rules] = {}
        self._limited: frozenset[str] = frozenset()
        self._stamp: object = None
        self._not_before: dict[str, float] = {}
        self._after: dict[str, str | None] = {}
        self._resting: dict[str, float] = {}
        self._counting: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def rules(self, queue: str) -> Rules:
        """What held for a queue when the rows were last read."""
        return self._rules.get(queue, FREE)

    def is_limited(self, queue: str) -> bool:
        """Whether a place that is given back in a queue may be waited for."""
        return queue in self._limited

    def read(self, stamp: object = None) -> None:
        """Read the rows again if they have changed since; ``stamp`` is the pulse's, None reads them in any case."""
        if stamp is not None and stamp == self._stamp:
            return
        found = in_autocommit(rules.read_rules)
        if missing := set(self.queues()) - set(found):  # somebody has deleted a row, which does not make its queue a free one
            declare(missing)
            found = in_autocommit(rules.read_rules)
        for queue, its in found.items():
            if its.problem and its != self.rules(queue):
                signals.send(signals.queue_unreadable, queue=queue, problem=its.problem)
        self._rules, self._stamp = found, stamp
        self._limited = frozenset(queue for queue, its in found.items() if its.limits != NO_LIMITS)
        self._not_before = {}

    def to_look_at(self, rung: bool) -> Sequence[str]:
        """The queues of which something may be claimed now."""
        queues = [queue for queue in self.queues() if not self.rests(queue)] if self._resting else self.queues()
        if rung:  # but a pause ends with a change of the row
            paused = {queue: moment for queue, moment in list(self._not_before.items()) if self.rules(queue).paused}
            self._not_before = paused
        if not self._not_before:
            return queues
        now = clock.monotonic()
        return [queue for queue in queues if self._not_before.get(queue, now) <= now]

    def rest(self, queue: str, seconds: float) -> None:
        """Leave a queue to other workers for a moment, whoever rings."""
        self._resting[queue] = clock.monotonic() + seconds

    def rests(self, queue: str) -> bool:
        """Whether a queue is left to others at the moment."""
        if (until := self._resting.get(queue)) is None:
            return False
        if clock.monotonic() < until:
            return True
        self._resting.pop(queue, None)
        return False

    def is_serial(self, queue: str) -> bool:
        """Whether the end of one run and the claim of the next can be one commit."""
        return swift.is_serial(dialects.connection(), self.rules(queue))

    def seconds_until_next(self, longest: float) -> float:
        """Until a queue is to be looked at again."""
        now = clock.monotonic()
        moments = [*self._not_before.values(), *self._resting.values()]
        return min([longest, *(max(0.0, moment - now) for moment in moments)])

    def counting(self, queue: str) -> AbstractContextManager[Any]:
        """
        Holds for a claim until what it took is among what is held, where that is counted by partition.

        Two threads that have counted alike could take a run of the same partition each. Where no partition counts, the run
        whose thread is claiming stands for the one that it takes.
        """
        return self._counting[queue] if self.rules(queue).limits.partition_worker_concurrency is not None else nullcontext()

    def take(self, claimer: Claimer, request: Request, token: str) -> Taken:
        """Claim what the limits leave of a request; see ``models.slots``."""
        want, queue = self._want(request), request.queue
        taken = slots.take(dialects.connection(), claimer, want, self.rules(queue), token)
        self._after[queue] = taken.after
        self._look_again(queue, taken)
        return taken

    def succeed(self, claimer: Claimer, ending: Ending, leaving: Claim, token: str) -> tuple[bool, list[Claim]]:
        """End a run and claim what comes after it, at once; see ``models.swift``."""
        want, queue = self._want(Request(queue=leaving.queue, limit=1, leaving=leaving)), leaving.queue
        if want.limit < 1:
            return False, []
        pick = Pick(queue=queue, limit=1, keeps=False)
        return swift.succeed(dialects.connection(), ending, claimer, pick, self.rules(queue), token)

    def has_place(self, claimer: Claimer, queue: str) -> bool:
        """Whether a run of a queue that is to be run alone could be taken now."""
        want = self._want(Request(queue=queue, limit=1, suspects=True))
        return want.limit > 0 and slots.has_place(dialects.connection(), claimer, want, self.rules(queue))

    def _want(self, request: Request) -> Want:
        queue, limit, here = request.queue, request.limit, Counter[str]()
        limits = self.rules(queue).limits
        if limits.worker_concurrency is not None or limits.partition_worker_concurrency is not None:
            held = (claim for claim in self._held() if claim is not request.leaving)
            here = Counter(claim.partition for claim in held if claim.queue == queue)
        if limits.worker_concurrency is not None:
            limit = min(limit, limits.worker_concurrency - here.total())
        return Want(queue=queue, limit=limit, mine=here, after=self._after.get(queue), suspects=request.suspects)

    def _look_again(self, queue: str, taken: Taken) -> None:
        if taken.retry_in is None:
            self._not_before.pop(queue, None)
        else:
            self._not_before[queue] = clock.monotonic() + taken.retry_in
