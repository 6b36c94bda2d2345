"""A checkout with everything in it that a run can wait for, found by worker processes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from django.db.models import Value
from django.db.models.functions import Concat

import durable_workflows as durable
from tests.app.models import Ledger


def note(step: str) -> None:
    """An effect in the database of the runs, and one outside of it that no rollback takes back."""
    now = durable.current()
    assert now is not None
    with open(os.environ["EFFECTS"], "ab", buffering=0) as effects:
        effects.write(f"{now.workflow_id} {step}\n".encode())
    Ledger.objects.create(run_id=now.workflow_id, step=step)


@durable.step
def reserve() -> str:
    note("reserve")
    return "reserved"


@durable.step(max_attempts=3, interval_seconds=0.05)
def pay(amount: int) -> int:
    now = durable.current()
    assert now is not None
    if now.attempt < 3:
        raise ConnectionError(f"attempt {now.attempt} finds the bank closed")
    note("pay")
    return amount


@durable.step
def compute(amount: int) -> int:
    return amount * 2


@durable.step
def ship() -> str:
    note("ship")
    return "shipped"


@durable.workflow
def parcel(weight: int) -> int:
    ship()
    durable.sleep(0.3)
    return weight + 1


@durable.workflow
def checkout(amount: int) -> list[Any]:
    reserved = reserve()
    paid = pay(compute(amount))
    started = parcel.start(1)
    called = parcel(2)
    durable.set_event("ready", {"paid": paid})
    durable.sleep(0.6)
    answer = durable.recv("answer", timeout_seconds=120)
    return [reserved, paid, called, started.get_result(), answer]


@durable.step(atomic=False)
def hold(path: str) -> str:
    """Say that it began, and go on once somebody puts a file there."""
    Path(f"{path}.began").touch()
    while not Path(path).exists():
        time.sleep(0.02)
    return "let go"


@durable.workflow
def holds(path: str) -> str:
    return hold(path)


@durable.workflow
def holds_beside_a_parcel(path: str) -> str:
    parcel.start(1)
    return hold(path)


@durable.step
def mark(row: int, path: str) -> str:
    """Change a row, and where it is told so stand still with its lock in hand."""
    Ledger.objects.filter(pk=row).update(note=Concat("note", Value("x")))
    if os.environ.get("STANDS_STILL"):
        Path(f"{path}.began").touch()
        while not Path(path).exists():
            time.sleep(0.02)
    return "marked"


@durable.workflow
def marks(row: int, path: str) -> str:
    return mark(row, path)
