"""
From free threads to claimed runs: at most as many as can start at once, so that every claimed run has started.

While there is a backlog, a claim waits until a quarter of the threads is free, so that a batch is worth its round trip;
one slow run does not hold it up for longer than a moment.

A run that may have killed its workers, a suspect, is to run alone, so that its neighbours are not charged for it again.
But it must neither wait for ever for a pool that never runs empty, nor keep the others from running for ever: so both
have their limit. What never started goes on between one suspect and the next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from django.db import DatabaseError, InterfaceError

from durable_workflows import clock
from durable_workflows.engine.services import Conclusion
from durable_workflows.ids import new_token
from durable_workflows.models import claims, dialects
from durable_workflows.models.claims import Claim, Claimer
from durable_workflows.models.transactions import is_lost_connection, repeated
from durable_workflows.worker.endings import LeftEndings
from durable_workflows.worker.loops import Loop
from durable_workflows.worker.pool import Pool
from durable_workflows.worker.serving import Request, Serving

GATHERING_SECONDS = 0.004
FULL_SECONDS = 0.5
SUSPECT_PATIENCE = 10.0  # seconds that a pool is given to run empty for a suspect, which then goes beside what is left
ROW_SECONDS, REST_SECONDS = 1.0, 0.02  # for how long runs of one queue follow one another, and it is left to others
ALONE_SECONDS = 60.0  # for which nothing else is claimed beside a suspect


class Claiming:
    """
    The claim loop of one worker.

    :param serving: the queues that are served.
    :param endings: who tells of outcomes when their threads have other runs to execute.
    :param holds_lease: whether the worker may act. One that was declared lost and does not know it yet would claim what was
        taken from it a moment ago, to be charged for it again.
    """

    def __init__(
        self,
        pool: Pool,
        claimer: Callable[[], Claimer],
        serving: Serving,
        endings: LeftEndings,
        holds_lease: Callable[[], bool],
    ) -> None:
        self.pool = pool
        self.claimer = claimer
        self.serving = serving
        self.endings = endings
        self.holds_lease = holds_lease
        self.suspects = False
        self._suspects_not_before: dict[str, float] = {}
        self._alone = False  # a suspect is executed, and nothing else is begun
        self._turn = 0
        self._successors: dict[tuple[str, str], Claim] = {}  # by the claim before, whose thread asks for it
        self._rows: dict[str, float] = {}  # since when runs of a queue have followed one another without a gap
        self.loop = Loop("claimer", self._tick)

    def _tick(self) -> float:
        free = self.pool.wait_for(max(1, self.pool.size // 4), GATHERING_SECONDS) or self.pool.wait_for(1, FULL_SECONDS)
        if not self.holds_lease():
            return WITHOUT_LEASE_SECONDS
        if self.suspects and self._claim_suspect():
            return 0.0
        if not free:
            return 0.0
        taken = self._claim(free)
        return 0.0 if taken else self.serving.seconds_until_next(IDLE_SECONDS)

    def _claim(self, free: int) -> int:
        queues = self.serving.to_look_at(self.loop.rung)
        busy = queues if len(queues) == 1 else claims.busy_queues(dialects.connection(), queues)
        if not busy:
            return 0
        self._turn += 1
        first = self._turn % len(busy)
        taken = 0
        for place, queue in enumerate([*busy[first:], *busy[:first]]):
            share = -(-(free - taken) // (len(busy) - place))  # what is left, divided among the queues that are left
            taken += len(self._claim_from(queue, share))
        return taken

    def _claim_from(self, queue: str, limit: int, suspects: bool = False) -> list[Claim]:
        if limit < 1:
            return []
        with self.serving.counting(queue):
            claimed = self._taken(Request(queue=queue, limit=limit, suspects=suspects))
            self.pool.submit(claimed)
        return claimed

    def succeed(self, conclusion: Conclusion) -> bool:
        """
        In the thread of a run whose outcome is known: end it and take the next one of its queue at once, if that can be.

        What was taken is its ``successor``, and the outcome is told by another thread: a receiver may wait for what follows.

        :returns: false if it is still to be ended.
        """
        queue = conclusion.claim.queue
        if not (self.serving.is_serial(queue) and self.endings.may_tell() and self._may_go_on() and self._in_a_row(queue)):
            return False
        ended, taken = self._succeed(conclusion)
        if taken:
            self._successors[_key(self.pool.mine())] = taken[0]
            self.pool.go_on(self.pool.mine(), taken[0])
            self.endings.tell(conclusion)
        elif ended:
            self._rows.pop(queue, None)
            conclusion.announce()
        return ended

    def _in_a_row(self, queue: str) -> bool:
        """
        Whether another run may follow at once.

        While they do, nobody else ever sees a free place: runs for workers with other code would wait as long as there is one
        for this worker. So the row is broken off now and then.
        """
        now = clock.monotonic()
        if now - self._rows.setdefault(queue, now) < ROW_SECONDS:
            return True
        del self._rows[queue]
        self.serving.rest(queue, REST_SECONDS)
        return False

    def _succeed(self, conclusion: Conclusion) -> tuple[bool, list[Claim]]:
        """No outcome is lost by it: where it fails, that is written singly, and the heart gives back what was taken."""
        token = new_token()
        with suppress(DatabaseError, InterfaceError):
            claimer = self.claimer()
            try:
                return self.serving.succeed(claimer, conclusion.ending, self.pool.mine(), token)
            except (DatabaseError, InterfaceError) as error:
                taken = self._find_out(error, claimer, token)
                return bool(taken), taken
        return False, []

    def successor(self, done: Claim) -> Claim | None:
        """What was taken when a run was ended, for its thread to go on with."""
        return self._successors.pop(_key(done), None)

    def take_after(self, done: Claim) -> Claim | None:
        """
        In the thread of a run that has ended: the next one of its queue, whose place it had.

        Only where somebody may be waiting for the place, and only while other threads are free for other queues.
        """
        if not self._may_go_on() or self.serving.rests(done.queue):
            return None
        with self.serving.counting(done.queue):
            following = next(iter(self._taken(Request(queue=done.queue, limit=1, leaving=done))), None)
            if following is not None:
                self.pool.go_on(done, following)
        return following

    def _may_go_on(self) -> bool:
        alone = self.suspects or self._alone
        return not alone and self.pool.free > 0 and not self.loop.stopped.is_set() and self.holds_lease()

    def _taken(self, request: Request) -> list[Claim]:
        claimer, token = self.claimer(), new_token()
        try:
            return repeated(lambda: self.serving.take(claimer, request, token).claims)
        except Exception as error:  # noqa: BLE001  # raised again unless the reply was lost
            return self._find_out(error, claimer, token)

    def _find_out(self, error: Exception, claimer: Claimer, token: str) -> list[Claim]:
        """The claim's reply was lost: its token, made here, tells whether it was committed."""
        if not is_lost_connection(error):
            raise error
        dialects.connection().close()
        return claims.claimed_with(dialects.connection(), claimer, token)

    def _claim_suspect(self) -> bool:
        """Run one that may have killed its worker, alone if need be and can be: claim nothing else until it is done."""
        queues = self._with_suspects()
        until = clock.monotonic() + SUSPECT_PATIENCE
        while queues and self._waits_for_empty_pool(until):
            queues = self._with_suspects()  # a worker with less to do may have taken it
        if self.loop.stopped.is_set() or (queues and not self.pool.free):
            return False
        taken = next((claims[0] for queue in queues if (claims := self._claim_from(queue, 1, suspects=True))), None)
        self.suspects = False
        if taken:
            self._leave_alone(taken)
        else:  # a limit of its queue stands in the way, for how long nobody knows: the others go on meanwhile
            self._suspects_not_before |= dict.fromkeys(queues, clock.monotonic() + SUSPECT_PATIENCE)
        return taken is not None

    def _leave_alone(self, suspect: Claim) -> None:
        self._alone = True
        try:
            self._wait_for(suspect)
        finally:
            self._alone = False

    def _wait_for(self, suspect: Claim) -> None:
        until = clock.monotonic() + ALONE_SECONDS
        while (left := until - clock.monotonic()) > 0 and not self.loop.stopped.is_set():
            free = self.pool.free
            if self.pool.running().get(suspect.id) is not suspect:
                return
            self.pool.wait_for(free + 1, min(left, FULL_SECONDS))  # what goes on beside it may take longer than it does

    def _with_suspects(self) -> list[str]:
        claimer, connection, now = self.claimer(), dialects.connection(), clock.monotonic()
        queues = [queue for queue in self.serving.queues() if self._suspects_not_before.get(queue, now) <= now]
        queues = [queue for queue in queues if claims.has_suspect(connection, claimer, queue)]
        # One for which there is no place must not have the pool run empty in vain, over and over.
        return [queue for queue in queues if self.serving.has_place(claimer, queue)]

    def _waits_for_empty_pool(self, until: float) -> bool:
        """Wait a moment for it, but not if it is empty, or it is too late."""
        left = until - clock.monotonic()
        if self.loop.stopped.is_set() or left <= 0 or self.pool.free == self.pool.size:
            return False
        self.pool.wait_for(self.pool.size, min(left, FULL_SECONDS))
        return True


def _key(claim: Claim) -> tuple[str, str]:
    return claim.id, claim.token


IDLE_SECONDS = 3600.0  # the bell and the pulse wake it
WITHOUT_LEASE_SECONDS = 0.1  # until it is looked again whether the heart has renewed it
