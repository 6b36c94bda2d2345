"""
A fork, rewind and retry at every step of the example's checkouts ends with the same rows as a straight run from there.

What is the same: the run's recorded steps, and what those steps that were done again have left, in the shop's tables and in
the payment provider's books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count, Sum

from durable_workflows import current, fork_workflow, retry_workflow, rewind_workflow
from durable_workflows.models import StepRun, WorkflowRun
from durable_workflows.testing import drain, travel
from example_project.shop import gateway, workflows
from example_project.shop.models import LedgerEntry, Order, OrderLine, Product, Shipment, StockMovement
from example_project.shop.workflows import checkout_workflow

pytestmark = pytest.mark.django_db
CHECKOUTS = {
    "paid": ({"lamp": 2}, "4242", 0.0),
    "paid slowly": ({"lamp": 1, "globe": 1}, "4242", 60.0),
    "declined": ({"lamp": 2}, gateway.DECLINED, 0.0),
    "paid at the third call": ({"lamp": 2}, gateway.FLAKY, 0.0),
    "sold out": ({"globe": 99}, "4242", 0.0),
}
State = Counter[str]


class Broken(Exception):
    """Something that no checkout knows how to handle."""


@pytest.fixture
def shelves(lamp: Product) -> None:
    Product.objects.update(stock=1000)
    Product.objects.create(sku="globe", name="Desk globe", price_cents=7450, stock=90)


@pytest.fixture
def at_the_end_of_steps(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[int], None]]:
    """What is called at the end of each step's body, in its transaction, with its position."""
    calls: list[Callable[[int], None]] = []

    def call() -> None:
        run = current()
        assert run is not None
        for each in calls:
            each(run.step_id or 0)

    monkeypatch.setattr(workflows, "crash_point", call)
    return calls


def state() -> State:
    """How many of each thing there are, in the shop's tables and in the provider's books."""
    counted = State(
        orders=Order.objects.count(), lines=OrderLine.objects.count(), shipments=Shipment.objects.count(),
        booked=LedgerEntry.objects.count(), cents=LedgerEntry.objects.aggregate(sum=Sum("amount_cents"))["sum"] or 0,
        stock=Product.objects.aggregate(sum=Sum("stock"))["sum"],
    )  # fmt: skip
    for reason, number in StockMovement.objects.values_list("reason").annotate(Count("pk")):
        counted[reason] = number
    for run_id in WorkflowRun.objects.values_list("pk", flat=True):
        counted["charges"] += len(gateway.charges(run_id))
        counted["refunds"] += len(gateway.refunds(run_id))
    return counted


def change(before: State, after: State) -> dict[str, int]:
    return {name: after[name] - before[name] for name in {*before, *after} if after[name] != before[name]}


def check_out(kind: str) -> str:
    items, card, pace = CHECKOUTS[kind]
    handle = checkout_workflow.start(items, "Ada", card, pace)
    finish()
    return handle.workflow_id


def finish() -> None:
    drain()
    while WorkflowRun.objects.waiting().exists():
        travel(61)
        drain()


def story(run_id: str) -> list[Any]:
    """A run's end and its steps, without what differs from checkout to checkout: the order's number, the charge's name."""
    run = WorkflowRun.objects.get(pk=run_id)
    steps = StepRun.objects.filter(run=run, generation=run.generation).order_by("position")
    told = [(row.position, row.name, row.kind, row.attempts, row.error is None) for row in steps]
    return [run.status, run.output, *told, Order.objects.latest("pk").status]


@pytest.mark.usefixtures("shelves")
@pytest.mark.parametrize("kind", list(CHECKOUTS))
def test_a_fork_and_a_rewind_at_every_step(kind: str, at_the_end_of_steps: list[Callable[[int], None]]) -> None:
    states = {0: state()}
    at_the_end_of_steps.append(lambda step: states.update({step: state()}))
    run_id = check_out(kind)
    at_the_end_of_steps.clear()
    told, end, last = story(run_id), state(), len(story(run_id)) - 3
    for step in range(1, last + 2):
        # A step that failed, or only slept, has left what was there before it.
        expected = change(states[max(known for known in states if known < step)], end)
        for verb in (fork_workflow, rewind_workflow):
            before = state()
            handle = verb(run_id, step)
            finish()
            assert story(handle.workflow_id) == told, (verb, step)
            assert change(before, state()) == expected, (verb, step)


@pytest.mark.usefixtures("shelves")
@pytest.mark.parametrize("kind", ["paid", "paid slowly", "paid at the third call"])
def test_a_retry_at_every_step(kind: str, at_the_end_of_steps: list[Callable[[int], None]]) -> None:
    before, run_id = state(), check_out(kind)
    told, expected = story(run_id), change(before, state())
    paces = {position for position, name, *_ in told[2:-1] if name == "durable.sleep"}
    for step in set(range(1, len(told) - 2)) - paces:
        before = state()

        def breaks(at: int, step: int = step) -> None:
            if at == step:
                raise Broken

        at_the_end_of_steps.append(breaks)
        handle = checkout_workflow.start(*CHECKOUTS[kind][:1], "Ada", *CHECKOUTS[kind][1:])
        finish()
        assert handle.run.status == "ERROR"
        at_the_end_of_steps.clear()
        retry_workflow(handle.workflow_id)
        finish()
        assert story(handle.workflow_id) == told, step
        assert settled(change(before, state())) == settled(expected), step


def settled(changes: dict[str, int]) -> dict[str, int]:
    """What is left when what was undone is set off: goods put back, and money given back."""
    left = State(changes)
    left["reserved"] -= left.pop("put back", 0)
    left["charges"] -= left.pop("refunds", 0)
    return dict(left)
