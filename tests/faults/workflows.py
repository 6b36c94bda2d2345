"""
The checkout that is killed at every statement: each kind of durable call once.

Steps write their effect to the ledger outside; the atomic ones also write rows, which must exist exactly once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.models import F

import durable_workflows as dw
from durable_workflows import runtime
from tests.app.models import Account, Ledger
from tests.faults.ledger import effect

ATTEMPTS = 3
SHORT_SLEEP = 0.05  # longer than PARK_SECONDS, so that the run is suspended
NAPS = 20
PRICE = 120


class NotYet(Exception):
    """What the step with retries raises until its last attempt."""


def _write_row(step: str) -> None:
    nonce = effect(step)
    here = dw.current()
    assert here is not None
    Ledger.objects.create(run_id=here.workflow_id, step=step, note=nonce)


@dw.step(name="faults.reserve")
def reserve(order: str) -> int:
    """Atomic, two writes: the second must not double either."""
    _write_row("reserve")
    Account.objects.filter(name=order).update(balance=F("balance") - 1)
    return PRICE


@dw.step(name="faults.charge", atomic=False)
def charge(order: str, amount: int) -> str:
    """An effect outside of the database."""
    effect("charge")
    return f"charged {order} {amount}"


@dw.step(name="faults.quote")
def quote(order: str) -> str:
    """Atomic, and touches no table."""
    effect("quote")
    return f"quote for {order}"


@dw.step(name="faults.flaky", max_attempts=ATTEMPTS, interval_seconds=0.015, backoff_rate=4)
def flaky(order: str) -> int:
    """Writes, and fails until its last attempt: one pause is parked, one suspends."""
    _write_row("flaky")
    here = dw.current()
    assert here is not None
    if here.attempt < ATTEMPTS:
        raise NotYet(f"{order}: attempt {here.attempt}")
    return here.attempt


@dw.step(name="faults.announce")
def announce(order: str) -> str:
    """Publishes and starts a run of its own, in its transaction; writes to a stream beside it."""
    _write_row("announce")
    dw.set_event("announced", order)
    dw.write_stream("progress", "announced")
    here = dw.current()
    assert here is not None
    return dw.Queue(here.queue).enqueue(audit, order).workflow_id


@dw.step(name="faults.release")
def release(order: str) -> None:
    """Undoes what ``reserve`` has done, and closes the stream."""
    _write_row("release")
    dw.close_stream("progress")
    Account.objects.filter(name=order).update(balance=F("balance") + 1)


@dw.step(name="faults.wrap")
def wrap(order: str) -> str:
    _write_row("wrap")
    return f"wrapped {order}"


@dw.step(name="faults.label")
def label(order: str) -> str:
    _write_row("label")
    return f"label of {order}"


@dw.step(name="faults.post", atomic=False)
def post(order: str) -> str:
    effect("post")
    return f"posted {order}"


@dw.step(name="faults.note")
def note(order: str) -> str:
    _write_row("note")
    return f"noted {order}"


@dw.workflow(name="faults.pack")
def pack(order: str) -> str:
    """A child that is started, reports to its parent, and is awaited."""
    wrapped = wrap(order)
    here = dw.current()
    assert here is not None
    assert here.parent_id is not None
    dw.send(here.parent_id, f"packed {order}", "packed")
    dw.sleep(SHORT_SLEEP)
    return wrapped


@dw.workflow(name="faults.ship")
def ship(order: str) -> str:
    """A child that is called, and has to wait: both it and its parent are suspended."""
    labelled = label(order)
    dw.sleep(SHORT_SLEEP)
    return f"{labelled}, {post(order)}"


@dw.workflow(name="faults.audit")
def audit(order: str) -> str:
    """A run that a step started, awaited by nobody."""
    return note(order)


@dw.workflow(name="faults.doze")
def doze() -> None:
    """Gives the housekeeper of the worker that is to meet its fault something to do, whoever is quicker to do the rest."""
    for _ in range(NAPS):
        dw.sleep(SHORT_SLEEP)


@dw.workflow(name="faults.checkout")
def checkout(order: str, queue: str) -> dict[str, Any]:
    amount = reserve(order)
    charged = charge(order, amount)
    quoted = quote(order)
    dw.write_stream("progress", "quoted")
    dw.sleep(SHORT_SLEEP)
    dw.set_event("charged", charged)
    paid = dw.recv("paid")
    packing = dw.Queue(queue).enqueue(pack, order)
    packed = [packing.get_result(), dw.recv("packed")]
    # Called as ship(order) is, but should it be suspended, on this round's queue.
    shipped = runtime.here().call_workflow(replace(ship.durable, queue=queue), (order,), {})
    attempts = flaky(order)
    audited = announce(order)
    release(order)
    return {
        "charged": charged, "quoted": quoted, "paid": paid, "packed": packed, "shipped": shipped, "attempts": attempts,
        "audited": audited,
    }  # fmt: skip


# What must have happened to a family of runs, whatever happened to its workers: rows of atomic steps by workflow,
ROWS = {
    "checkout": ("reserve", "flaky", "announce", "release"),
    "pack": ("wrap",),
    "ship": ("label",),
    "audit": ("note",),
}
# and effects outside of the database.
EXTERNAL = {"checkout": ("charge", "quote"), "ship": ("post",)}


def expected(order: str, audited: str) -> dict[str, Any]:
    """What a checkout returns."""
    return {
        "charged": f"charged {order} {PRICE}", "quoted": f"quote for {order}", "paid": f"paid {order}",
        "packed": [f"wrapped {order}", f"packed {order}"], "shipped": f"label of {order}, posted {order}",
        "attempts": ATTEMPTS, "audited": audited,
    }  # fmt: skip
