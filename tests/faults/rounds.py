"""
Rounds of one checkout each: a worker that meets a fault at a chosen statement, and a warm one that takes over.

The worker that meets it has the run's queue for itself until then, so that the n-th statement is much the same one each
time. Only when it is dead, or stopped, the warm one is told of the queue.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import psutil
from django.db import connections

from durable_workflows import get_event, send
from durable_workflows.models import Worker, WorkflowRun
from durable_workflows.states import TERMINAL
from tests.faults.arena import Arena
from tests.faults.invariants import Family, violations
from tests.faults.killer import DROPPED, SERVING, Fault
from tests.faults.workflows import ROWS

LOOK_SECONDS = 0.03
LONGEST = 60.0  # seconds after which a round is given up; what is stuck then is a finding
AT_ONCE = 3
UNHARMED = 3  # so many numbers in a row that no statement had: the checkout gets through


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """
    What a round showed.

    :param struck: whether the fault was met, or the checkout got through before.
    :param statements: how many statements the worker had sent on the counted threads, :param last: and the last of them.
    :param recovered: seconds from the fault until everything had ended.
    :param violations: of invariants, as sentences.
    """

    fault: Fault
    struck: bool
    statements: int
    last: str
    recovered: float
    violations: list[str]

    def __str__(self) -> str:
        met = f"{self.fault.act or 'nothing'} {self.fault.when} {self.fault.number}"
        first = f"{met}: {self.last[:120]} | {self.recovered:.1f} s" if self.struck else f"{met}: unharmed"
        return "\n    ".join([first, *self.violations])


def play(arena: Arena, fault: Fault) -> Round:
    """One round, from the start of a worker that is to meet a fault to the checks of everything that is left behind."""
    try:
        return _Journey(arena, fault).travel()
    finally:
        connections.close_all()


def play_all(arena: Arena, faults: list[Fault]) -> Iterator[Round]:
    """Rounds of these faults, a few at a time, in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda fault: play(arena, fault), faults)


class _Journey:
    """A checkout under way: pays when it is asked to, and calls for the warm worker when its own is gone."""

    def __init__(self, arena: Arena, fault: Fault) -> None:
        self.arena = arena
        self.order = arena.new_order(f"{fault.act}{fault.when}{fault.number}")
        self.log = arena.directory / f"{self.order}.statements"
        self.fault = replace(fault, log=str(self.log))
        if fault.threads != SERVING:  # what is counted there begins before the first run
            arena.begin(self.order)
        self.worker = arena.worker("--queues", self.order, fault=self.fault)
        arena.until_beating(self.worker)
        if fault.threads == SERVING:
            arena.begin(self.order)
        self.gone_at: float | None = None
        self.paid = False

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
        return Round(
            fault=self.fault, struck=self.gone_at is not None or dropped, statements=len(sent) - dropped,
            last=sent[-1] if sent else "", recovered=recovered, violations=found,
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
        if self.gone_at is not None:
            self._continue()
        return [f"{self.order}: {found}" for found in stops_when_asked(self.worker)]


    def _continue(self) -> None:
        """Continue a stopped worker; if it held anything it has been declared lost, and works on under a new id."""
        if Worker.objects.filter(pid=self.worker.pid, lost_at__isnull=False).exists():
            continue_lost(self.arena, self.worker)
        else:
            self.worker.send_signal(signal.SIGCONT)


def continue_lost(arena: Arena, worker: subprocess.Popen[bytes]) -> None:
    """Continue a stopped worker, which has been declared lost; returns when it works on under a new id."""
    before = set(Worker.objects.filter(pid=worker.pid).values_list("pk", flat=True))
    worker.send_signal(signal.SIGCONT)
    arena.until(lambda: Worker.objects.filter(pid=worker.pid).exclude(pk__in=before).exists(), "a new shift", worker)


def stops_when_asked(worker: subprocess.Popen[bytes]) -> list[str]:
    """End a worker by SIGTERM; what was wrong about how it ended."""
    worker.terminate()
    try:
        status = worker.wait(20)
    except subprocess.TimeoutExpired:
        worker.send_signal(signal.SIGABRT)  # faulthandler has it say where its threads are
        worker.wait()
        return ["the worker did not stop when asked to"]
    return [] if status == 0 else [f"the worker stopped with the status {status}"]


def every(arena: Arena, fault: Fault, step: int = 1) -> Iterator[Round]:
    """Rounds with the fault before and after statement 1, 2, ... until the checkout gets through unharmed."""
    unharmed, number = 0, 1
    while unharmed < UNHARMED:
        numbers = range(number, number + AT_ONCE * step, step)
        faults = [replace(fault, number=n, when=when) for n in numbers for when in _moments(fault)]
        rounds = list(play_all(arena, faults))
        yield from rounds
        for n in numbers:
            unharmed = 0 if any(done.struck for done in rounds if done.fault.number == n) else unharmed + 1
        number += AT_ONCE * step


def _moments(fault: Fault) -> tuple[str, ...]:
    return ("after",) if fault.act == "drop" else ("before", "after")
