"""
A run that goes through rows, begins anew, undoes a block that fails, and is cancelled in another: killed at every statement.

Everything it does are rows, which must exist exactly once and in order.
"""

from __future__ import annotations

import itertools
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.db import connections
from django.db.models import F

import durable_workflows as dw
from durable_workflows.models import StepRun, Wait, WorkflowRun
from durable_workflows.states import TERMINAL
from tests.app.models import Account, Ledger
from tests.faults.arena import Arena
from tests.faults.killer import DROPPED, Fault

ROWS, BATCH = 5, 2
LOOK_SECONDS, LONGEST = 0.03, 60.0
UNHARMED = 2  # so many numbers in a row that no statement had


class Refused(Exception):
    """What the block fails with."""


def _write(order: str, what: str) -> None:
    Ledger.objects.create(run_id=order, step=what)


@dw.step(name="endings.book")
def book(order: str, what: str) -> str:
    _write(order, f"book {what}")
    return what


@dw.step(name="endings.unbook", max_attempts=2, interval_seconds=0.05)
def unbook(order: str, what: str) -> None:
    """Fails at first, and suspends until its second attempt."""
    _write(order, f"unbook {what}")
    here = dw.current()
    assert here is not None
    if here.attempt == 1:
        raise ConnectionError(what)


@dw.step(name="endings.tick")
def tick(order: str, account: Account) -> None:
    """A part of the batch."""
    _write(order, account.name)
    Account.objects.filter(pk=account.pk).update(balance=F("balance") + 1)


@dw.step(name="endings.refuse")
def refuse() -> None:
    raise Refused


@dw.workflow(name="endings.all")
def endings(order: str, turn: int = 0) -> None:
    if turn == 0:
        for account in dw.durable_each(Account.objects.filter(name__startswith=order), batch=BATCH):
            tick(order, account)
        dw.continue_as_new(order, 1)
    try:
        with dw.saga() as block:
            for what in ("flight", "hotel"):
                block.undo(unbook, order, book(order, what))
            refuse()
    except Refused:
        book(order, "nothing")
    with dw.saga() as block:
        block.undo(unbook, order, book(order, "train"))
        dw.set_event("ready", True)
        dw.recv("never")


def expected(order: str) -> list[str]:
    """What the run is to have done, in order."""
    ticks = [f"{order}-{number}" for number in range(ROWS)]
    return [*ticks, "book flight", "book hotel", "unbook hotel", "unbook flight", "book nothing", "book train", "unbook train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Showed:
    """What a round showed: whether the worker met its fault, at which statement, and what was wrong afterwards."""

    fault: Fault
    struck: bool
    statements: int
    statement: str
    violations: list[str]

    def __str__(self) -> str:
        met = f"{self.fault.act} {self.fault.when} {self.fault.number}: {self.statement[:100]}" if self.struck else "unharmed"
        return "\n    ".join([met, *self.violations])


def play(arena: Arena, fault: Fault) -> Showed:
    """One run: a worker of its own that meets the fault, then the warm one; it is cancelled when it says that it is ready."""
    order = arena.new_order("endings")
    log = arena.directory / f"{order}.statements"
    Account.objects.bulk_create([Account(name=f"{order}-{number}") for number in range(ROWS)])
    worker = arena.worker("--queues", order, fault=replace(fault, log=str(log)))
    arena.until_beating(worker)
    with dw.SetWorkflowID(order):
        dw.Queue(order).enqueue(endings, order)
    cancelled, until = False, time.monotonic() + LONGEST
    while not WorkflowRun.objects.filter(pk=order, status__in=TERMINAL).exists() and time.monotonic() < until:
        if worker.poll() is not None:
            arena.take_over(order)
        if not cancelled and dw.get_event(order, "ready", timeout_seconds=0):
            dw.cancel_workflow(order)
            cancelled = True
        time.sleep(LOOK_SECONDS)
    struck = _end(worker)
    sent = log.read_text().splitlines() if log.exists() else []
    arena.let_go(order)
    wrong = _wrong(order)
    connections.close_all()
    return Showed(
        fault=fault, struck=struck or any(line.endswith(DROPPED) for line in sent), violations=wrong, statements=len(sent),
        statement=next((line for line in sent if line.startswith(f"{fault.number} ")), ""),
    )  # fmt: skip


def _end(worker: subprocess.Popen[bytes]) -> bool:
    if worker.poll() is None:
        worker.terminate()
    return worker.wait(20) == -signal.SIGKILL


def _wrong(order: str) -> list[str]:
    run = WorkflowRun.objects.get(pk=order)
    did = list(Ledger.objects.filter(run_id=order).order_by("pk").values_list("step", flat=True))
    balances = set(Account.objects.filter(name__startswith=order).values_list("balance", flat=True))
    checks = {
        f"it ended as {run.status}, generation {run.generation}": (run.status, run.generation) == ("CANCELLED", 1),
        f"it did {did}": did == expected(order),
        f"balances {balances}": balances == {1},
        "rows of a former turn are left": not StepRun.objects.filter(run_id=order, generation=0).exists(),
        "waits are left": not Wait.objects.filter(run_id=order).exists(),
        f"it holds a lease of {run.worker_id}": run.worker_id is None and run.lease_token is None,
    }
    return [f"{order}: {what}" for what, kept in checks.items() if not kept]


def every(arena: Arena, fault: Fault, step: int = 1) -> Iterator[Showed]:
    """Rounds with the fault at each statement, until the run gets through unharmed."""
    unharmed = 0
    for number in itertools.count(1, step):
        for when in fault.moments:
            yield (showed := play(arena, replace(fault, number=number, when=when)))
            unharmed = 0 if showed.struck else unharmed + 1
        if unharmed >= UNHARMED * len(fault.moments):
            return
