"""
One worker under one id: its threads, its heart and its loops.

A worker that was declared lost, because it was stopped or cut off for longer than its lease, can never act under its id
again. Its shift ends, what it was executing is refused at its next fence, and a new shift begins.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from django.db import DatabaseError, InterfaceError

from durable_workflows import clock, registry, signals
from durable_workflows.conf import config
from durable_workflows.engine.runner import run_claimed
from durable_workflows.engine.services import Conclusion
from durable_workflows.ids import new_worker_id
from durable_workflows.models import dialects, presence, sessions, steering
from durable_workflows.models.claims import Claim, Claimer
from durable_workflows.models.presence import Presence
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.worker import hints, scheduling, serving
from durable_workflows.worker.claimer import Claiming
from durable_workflows.worker.endings import LeftEndings
from durable_workflows.worker.heart import Heart
from durable_workflows.worker.housekeeping import Housekeeping
from durable_workflows.worker.local import LOCAL, SharedServices
from durable_workflows.worker.loops import Loop
from durable_workflows.worker.options import Options
from durable_workflows.worker.pool import ENDING_SECONDS, Pool
from durable_workflows.worker.serving import Serving

T = TypeVar("T")

LOOK_SECONDS, LONGEST_LOOK = 0.005, 0.1  # between two looks at what a stopping worker still does


class Shift:
    """A worker from its registration to its end."""

    def __init__(self, options: Options, on_lost: Callable[[], None], on_drain: Callable[[], None] = lambda: None) -> None:
        self.options = options
        self.stopping = threading.Event()
        threads = options.threads or config().threads
        self.presence = _presence(options, threads)
        self.heart = Heart(self.presence, memory=self._memory, on_lost=on_lost, on_drain=on_drain, prepare=self._prepare)
        self.pool = Pool(threads, self._work, self._prepare, self._following, self._finished)
        self.serving = Serving(options.served, self._held)
        self.endings = LeftEndings(lambda: LOCAL.endings.busy, self._prepare, self._freed)
        self.claiming = Claiming(self.pool, self._claimer, self.serving, self.endings, self.heart.holds_lease)
        self.housekeeping = Housekeeping(self.presence.id, options.served, self.claiming)
        self.listener = hints.listener(self._heard)
        self.services = _WorkerServices(self)

    def start(self) -> None:
        """Register, and begin to work."""
        scheduling.declare()
        serving.declare(self.options.served())
        self.serving.read()
        self.heart.start()
        self.pool.start()
        self.endings.start()
        for loop in self._loops():
            loop.prepare = self._prepare
            loop.start()
        LOCAL.hub.add_bell(self.claiming.loop.bell)
        LOCAL.hub.add_bell(self.housekeeping.loop.bell)
        signals.send(signals.worker_started, worker_id=self.presence.id, queues=self.options.served(), threads=self.pool.size)

    def _loops(self) -> list[Loop]:
        return [loop for loop in (self.claiming.loop, self.housekeeping.loop, self.listener) if loop is not None]

    def stop(self, grace: float, hurry: Callable[[], bool]) -> int:
        """
        Claim no more, let what is being executed come to its next durable call, and hand the rest back at once.

        :param grace: seconds to wait for that, unless ``hurry()``.
        :returns: how many runs were taken from a thread that was still executing them.
        """
        self._claim_no_more()
        until = clock.monotonic() + grace
        self._wait_until_idle(lambda: clock.monotonic() >= until or hurry())
        return self._end()

    def finish(self, enough: Callable[[], bool]) -> None:
        """Claim no more, and wait until each run has ended or come to its next durable call, or it is ``enough``."""
        self._claim_no_more()
        self._wait_until_idle(enough)

    def _wait_until_idle(self, enough: Callable[[], bool]) -> None:
        while not self.idle and not enough():
            self.pool.wait_for(self.pool.size, LONGEST_LOOK)
            clock.pause(LOOK_SECONDS)

    def _claim_no_more(self) -> None:
        self.stopping.set()
        for loop in self._loops():
            loop.stop()
        LOCAL.hub.remove_bell(self.claiming.loop.bell)
        LOCAL.hub.remove_bell(self.housekeeping.loop.bell)
        LOCAL.hinter.hint()  # the listener hears nothing else
        for loop in self._loops():
            loop.join(ENDING_SECONDS)

    def _end(self) -> int:
        handed_back = _as_a_last_word(self._hand_back) or 0
        self.pool.stop()
        self.endings.stop()
        _as_a_last_word(self.heart.stop)
        self.heart.loop.join(ENDING_SECONDS)
        signals.send(signals.worker_stopped, worker_id=self.presence.id, handed_back=handed_back)
        return handed_back

    def _hand_back(self) -> int:
        """Whatever is ours by its row: what threads execute, the children that they called, claims whose reply was lost."""
        held = in_autocommit(presence.held, self.presence.id)
        return sum(in_write_transaction(steering.hand_back_forgotten, *run) for run in held.items())

    @property
    def idle(self) -> bool:
        """Whether nothing is being executed."""
        return self.pool.free == self.pool.size and self.endings.idle

    def _prepare(self) -> None:
        sessions.belong_to(self.presence.id, self.presence.sessions)

    def _memory(self) -> set[str]:
        return set(self.pool.running()) | self.endings.run_ids() | self.services.inline

    def _claimer(self) -> Claimer:
        names = tuple(registry.names())
        if names != self.presence.names or self.options.served() != self.presence.queues:
            self._publish(names)
        return Claimer(worker_id=self.presence.id, names=names, app_version=self.presence.app_version)

    def _publish(self, names: tuple[str, ...]) -> None:
        """Definitions that came after the start are served too."""
        self.presence = replace(self.presence, names=names, queues=self.options.served())
        in_autocommit(presence.publish, self.presence)
        serving.declare(self.options.served())

    def _held(self) -> list[Claim]:
        return [*self.pool.running().values(), *self.endings.claims()]

    def _freed(self, claim: Claim) -> None:
        """A place of a queue may have been given back: look whether there is a run for it, here or elsewhere."""
        if not self.serving.is_limited(claim.queue):
            return
        self.claiming.loop.wake()
        if self.stopping.is_set() or not self.pool.free or self.serving.rests(claim.queue):
            signals.send(signals.claimable)

    def _heard(self) -> None:
        self.claiming.loop.wake()
        self.housekeeping.loop.wake()

    def _work(self, claim: Claim) -> None:
        try:
            run_claimed(claim, self.services)
        except BaseException as error:  # noqa: BLE001  # such as a database that stays away: recovery has the run
            signals.send(signals.loop_failed, loop=f"run {claim.id}", error=error, retry_in=None)

    def _following(self, claim: Claim) -> Claim | None:
        """The place in a limited queue that a run gives back is taken at once, without waking the claimer for it."""
        if following := self.claiming.successor(claim):
            return following
        if not self.serving.is_limited(claim.queue) or self.stopping.is_set():
            return None
        try:
            return self.claiming.take_after(claim)
        except Exception as error:  # noqa: BLE001  # such as a database that was away: the claimer looks again
            signals.send(signals.loop_failed, loop="claimer", error=error, retry_in=None)
            return None

    def _finished(self, claim: Claim) -> None:
        if self.serving.is_limited(claim.queue) and not self.endings.holds(claim):
            self._freed(claim)


class _WorkerServices(SharedServices):
    """For the runs of one shift."""

    def __init__(self, shift: Shift) -> None:
        super().__init__(LOCAL)
        self._shift = shift

    def leave(self, conclusion: Conclusion) -> bool:
        if self._shift.stopping.is_set():
            return False
        # A place in a queue is not kept occupied for as long as outcomes gather.
        if self._shift.serving.is_limited(conclusion.claim.queue):
            return self._shift.claiming.succeed(conclusion)
        return self._shift.endings.leave(conclusion)

    def may_park(self) -> bool:
        return self._shift.pool.free > 0 and not self._shift.stopping.is_set()

    def stopping(self) -> bool:
        return self._shift.stopping.is_set()

    def holds_lease(self) -> bool:
        return self._shift.heart.holds_lease()


def _as_a_last_word(work: Callable[[], T]) -> T | None:
    """
    Say something to the database at the end, which it may not hear: recovery comes to the same.

    A session that was cut off meanwhile is replaced by a new one, once.
    """
    for last in (False, True):
        try:
            return work()
        except (DatabaseError, InterfaceError) as error:
            dialects.connection().close()
            if last:
                signals.send(signals.loop_failed, loop="worker", error=error, retry_in=None)
    return None


def _presence(options: Options, threads: int) -> Presence:
    return Presence(
        id=new_worker_id(config().executor_id), hostname=socket.gethostname(), pid=os.getpid(),
        lease_seconds=config().lease_seconds, queues=options.served(), names=tuple(registry.names()),
        app_version=config().app_version, threads=threads, sessions=threads + sessions.SPARE_SESSIONS,
    )  # fmt: skip
