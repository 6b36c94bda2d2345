"""
Rounds of one checkout each: a worker that meets a fault at a chosen statement, and a warm one that takes over.

The worker that meets it has the run's queue for itself until then, so that the n-th statement is much the same one each
time. Only when it is dead, or stopped, the warm one is told of the queue.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import psutil
from django.db import connections

from durable_workflows import Queue, SetWorkflowID, get_event, send
from durable_workflows.models import Worker, WorkflowRun
from durable_workflows.states import TERMINAL, RunState
from tests.faults.arena import Arena
from tests.faults.invariants import Family, violations
from tests.faults.killer import DROPPED, SERVING, Fault
from tests.faults.workflows import ROWS, audit, doze

LOOK_SECONDS = 0.05
LONGEST = 60.0  # seconds after which a round is given up; what is stuck then is a finding
ENDING = 20.0  # seconds that a worker has to stop
AT_ONCE = 3
AHEAD = 2 * AT_ONCE  # rounds that are queued, so that none waits for the slowest
UNHARMED = 3  # so many numbers in a row that no statement had: the checkout gets through


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """
    What a round showed.

    :param order: the checkout's, :param pid: and the process that was to meet the fault.
    :param struck: whether the fault was met, or the checkout got through before.
    :param statements: how many statements the worker had sent on the counted threads.
    :param statement: the one that met the fault.
    :param recovered: seconds from the fault until everything had ended.
    :param violations: of invariants, as sentences.
    """

    fault: Fault
    order: str
    pid: int
    struck: bool
    statements: int
    statement: str
    recovered: float
    violations: list[str]

    def __str__(self) -> str:
        fault = self.fault
        if self.struck:
            first = f"{fault.act} {fault.when} {fault.number}: {self.statement[:110]} | {self.recovered:.1f} s"
        else:
            first = f"{fault.act or 'nothing'}: unharmed, {self.statements} statements on {fault.threads}"
        return "\n    ".join([first, *self.violations])


def play(arena: Arena, fault: Fault) -> Round:
    """One round, from the start of a worker that is to meet a fault to the checks of everything that is left behind."""
    try:
        return _Journey(arena, fault).travel()
    finally:
        connections.close_all()


def play_all(arena: Arena, faults: Sequence[Fault]) -> list[Round]:
    """Rounds that each meet their fault, a few at a time, in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda fault: _play_until_met(arena, fault), faults))


def _play_until_met(arena: Arena, fault: Fault) -> Round:
    """No two checkouts send quite as many statements: if this one sent fewer, its last ones are taken instead."""
    done = play(arena, fault)
    while fault.act and not done.struck and done.statements:
        done = play(arena, replace(fault, number=min(done.statements, done.fault.number - 1)))
    return done


class _Journey:
    """A checkout under way: pays when it is asked to, and calls for the warm worker when its own is gone."""

    def __init__(self, arena: Arena, fault: Fault) -> None:
        self.arena = arena
        self.order = arena.new_order(f"{fault.act}{fault.when}{fault.number}")
        self.log = arena.directory / f"{self.order}.statements"
        self.fault = replace(fault, log=str(self.log))
        if fault.threads != SERVING:  # what is counted there begins before the first run
            arena.begin(self.order)
            Queue(self.order).enqueue(doze)
        queues = [self.order, self.later] if fault.act == "stop" else [self.order]
        self.worker = arena.worker("--queues", ",".join(queues), fault=self.fault)
        arena.until_beating(self.worker)
        if fault.threads == SERVING:
            arena.begin(self.order)
        self.gone_at: float | None = None
        self.paid = False

    @property
    def later(self) -> str:
        """A queue that only this round's own worker serves."""
        return f"later-{self.order}"

    def travel(self) -> Round:
        last_look = time.monotonic() + LONGEST
        while not self._ended() and time.monotonic() < last_look:
            self._look_after_worker()
            self._pay()
            time.sleep(LOOK_SECONDS)
        self._look_after_worker()  # it may have met its fault with everything done
        recovered = time.time() - self.gone_at if self.gone_at else 0.0
        found = self._end_worker()
        sent = self.log.read_text().splitlines() if self.log.exists() else []
        dropped = any(line.endswith(DROPPED) for line in sent)
        found += violations(self._family(dropped))
        self.arena.let_go(self.order)
        return Round(
            fault=self.fault, order=self.order, pid=self.worker.pid, struck=self.gone_at is not None or dropped,
            statements=len(sent) - dropped, recovered=recovered, violations=found,
            statement=next((line for line in sent if line.startswith(f"{self.fault.number} ")), ""),
        )  # fmt: skip

    def _family(self, dropped: bool) -> Family:
        assert self.arena.warm is not None
        pids = (self.worker.pid, self.arena.warm.pid)
        return Family(self.order, self.arena.ledger, pids, injected=int(dropped), strict=self.fault.act != "stop")

    def _look_after_worker(self) -> None:
        if self.gone_at is None and (self.worker.poll() is not None or self._is_stopped()):
            self.gone_at = time.time()
            self.arena.take_over(self.order)

    def _is_stopped(self) -> bool:
        return self.fault.act == "stop" and psutil.Process(self.worker.pid).status() == psutil.STATUS_STOPPED

    def _pay(self) -> None:
        run_id = f"checkout-{self.order}"
        if not self.paid and get_event(run_id, "charged", timeout_seconds=0) is not None:
            send(run_id, f"paid {self.order}", "paid", idempotency_key=self.order)
            self.paid = True

    def _ended(self) -> bool:
        family = WorkflowRun.objects.filter(pk__startswith=f"checkout-{self.order}")
        statuses = list(family.values_list("status", flat=True))
        return len(statuses) == len(ROWS) and set(statuses) <= TERMINAL

    def _end_worker(self) -> list[str]:
        if self.fault.act == "kill" and self.gone_at is not None:
            ended = self.worker.returncode
            return [] if ended == -signal.SIGKILL else [f"{self.order}: the worker ended with {ended}"]
        found = self._continue() if self._is_stopped() else []
        return [f"{self.order}: {wrong}" for wrong in [*found, *self._stop()]]

    def _continue(self) -> list[str]:
        """Continue a stopped worker, once it was declared lost; it is to work on, under a new id."""
        known = Worker.objects.filter(pid=self.worker.pid)
        before = set(known.values_list("pk", flat=True))
        try:
            self.arena.until(lambda: not known.filter(lost_at__isnull=True).exists(), "the stopped worker to be declared lost")
            self.worker.send_signal(signal.SIGCONT)
            self.arena.until(lambda: known.exclude(pk__in=before).exists(), "a new shift of it", self.worker)
            self._have_it_work()
        except AssertionError as error:
            return [f"I8: {error}"]
        return []

    def _have_it_work(self) -> None:
        with SetWorkflowID(f"later-{self.order}"):
            handle = Queue(self.later).enqueue(audit, self.order)
        done = WorkflowRun.objects.filter(pk=handle.workflow_id, status=RunState.SUCCESS)
        self.arena.until(done.exists, "the continued worker to execute another run", self.worker)

    def _stop(self) -> list[str]:
        """End the worker by SIGTERM; what was wrong about how it ended. It may meet its fault only now."""
        self.worker.terminate()
        last_look = time.monotonic() + ENDING
        while self.worker.poll() is None and time.monotonic() < last_look:
            if self._is_stopped():
                self.gone_at = self.gone_at or time.time()
                self.worker.send_signal(signal.SIGCONT)
            time.sleep(LOOK_SECONDS)
        if self.worker.poll() is None:
            self.worker.send_signal(signal.SIGABRT)  # faulthandler has it say where its threads are
            self.worker.wait()
            return ["the worker did not stop when asked to"]
        if self.fault.act == "kill" and self.worker.returncode == -signal.SIGKILL:
            self.gone_at = time.time()
            return []
        return [] if self.worker.returncode == 0 else [f"the worker stopped with the status {self.worker.returncode}"]


def every(arena: Arena, fault: Fault, step: int = 1) -> Iterator[Round]:
    """Rounds with the fault before and after its statement, the next one, ... until the checkout gets through unharmed."""
    faults = (replace(fault, number=n, when=when) for n in itertools.count(fault.number, step) for when in fault.moments)
    unharmed, under_way = 0, deque[Future[Round]]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while unharmed < UNHARMED * len(fault.moments):
            while len(under_way) < AHEAD:
                under_way.append(pool.submit(play, arena, next(faults)))
            done = under_way.popleft().result()
            unharmed = 0 if done.struck else unharmed + 1
            yield done
        begun = [left for left in under_way if not left.cancel()]
        yield from (left.result() for left in begun)
