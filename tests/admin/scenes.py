"""Runs as an operator meets them, for the tests of the page and of what a browser makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from durable_workflows.models import Kind, StepRun, WorkflowRun
from tests.admin.rows import (
    ago,
    dumps,
    error_text,
    make_attempt,
    make_event,
    make_message,
    make_run,
    make_step,
    make_wait,
    make_worker,
)


def _at(run: WorkflowRun, begins: float, takes: float) -> dict[str, datetime]:
    start = run.created_at + timedelta(seconds=begins)
    return {"started_at": start, "completed_at": start + timedelta(seconds=takes)}


def _failed_at(run: WorkflowRun, begins: float, takes: float, pause: float | None) -> dict[str, Any]:
    start = run.created_at + timedelta(seconds=begins)
    end = start + timedelta(seconds=takes)
    return {"started_at": start, "ended_at": end, "retry_at": None if pause is None else end + timedelta(seconds=pause)}


def checkout_with_retries() -> WorkflowRun:
    """Finished: a step that failed twice, three days of waiting, and steps of milliseconds."""
    start = ago(days=4)
    run = make_run(
        id="order-1043", status="SUCCESS", created_at=start, started_at=start + timedelta(milliseconds=350),
        claimed_at=start, completed_at=start + timedelta(days=3, seconds=12), recovery_attempts=1, user="asa",
        inputs=dumps({"args": [1043], "kwargs": {"card_number": "4242424242424242", "email": "asa@example.org"}}),
        output=dumps({"order": 1043, "state": "fulfilled"}), attributes={"tier": "gold", "order": 1043},
    )  # fmt: skip
    make_step(run, 1, name="shop.workflows.create_order", **_at(run, 0.36, 0.04), output=dumps(1043))
    make_step(run, 2, name="shop.workflows.reserve_inventory", **_at(run, 0.41, 0.12))
    make_attempt(run, 3, name="shop.workflows.charge", attempt=1, **_failed_at(run, 0.6, 0.8, 1))
    make_attempt(
        run, 3, name="shop.workflows.charge", attempt=2, error=error_text(TimeoutError("gateway")),
        **_failed_at(run, 2.4, 1.1, 2),
    )  # fmt: skip
    make_step(run, 3, name="shop.workflows.charge", attempts=3, **_at(run, 5.5, 0.7), output=dumps({"charge": "ch_1"}))
    make_step(run, 4, name="durable.set_event", kind=Kind.SET_EVENT, **_at(run, 6.3, 0.01), output="null")
    make_step(run, 5, name="durable.recv", kind=Kind.RECV, **_at(run, 6.4, 3 * 86_400), output=dumps("paid"))
    make_step(run, 6, name="shop.workflows.dispatch", **_at(run, 3 * 86_400 + 7, 4), output=dumps({"parcel": "P-7"}))
    make_event(run)
    make_message(run, topic="paid", consumed_at=ago(days=1), consumed_position=5, consumed_branch="")
    return run


def running() -> WorkflowRun:
    """On a live worker, amid a step."""
    make_worker("web-1-aa", queues=["default"], names=["shop.workflows.checkout"])
    start = ago(seconds=40)
    run = make_run(
        id="order-1044", status="RUNNING", created_at=start, started_at=start + timedelta(seconds=4), recovery_attempts=1,
        claimed_at=start + timedelta(seconds=4), worker_id="web-1-aa", progress_done=12, progress_total=40,
        progress_text="boxes packed",
    )  # fmt: skip
    make_step(run, 1, name="shop.workflows.create_order", **_at(run, 4.1, 2.5))
    make_step(run, 2, name="shop.workflows.reserve_inventory", **_at(run, 7, 11))
    return run


def failed_saga() -> WorkflowRun:
    """Failed for good, with a long traceback, and undone."""
    start = ago(hours=2)
    run = make_run(
        id="order-1045", status="ERROR", created_at=start, started_at=start + timedelta(seconds=1), recovery_attempts=2,
        completed_at=start + timedelta(seconds=31), stalled=1, error=error_text(deep_error()),
    )  # fmt: skip
    make_step(run, 1, name="shop.workflows.reserve_inventory", **_at(run, 1, 3))
    make_step(run, 2, name="shop.workflows.charge_the_customers_card_at_the_payment_provider", **_at(run, 4.1, 6))
    for attempt, (begins, pause) in enumerate(((10.2, 2), (13, 4), (18, None)), 1):
        make_attempt(run, 3, name="shop.workflows.dispatch", attempt=attempt, **_failed_at(run, begins, 0.9, pause))
    make_step(
        run, 3, name="shop.workflows.dispatch", attempts=3, output=None, error=error_text(deep_error()), **_at(run, 18, 0.9)
    )
    make_step(run, 4, name="shop.workflows.refund", kind=Kind.UNDO, **_at(run, 20, 5))
    make_step(run, 5, name="shop.workflows.release_inventory", kind=Kind.UNDO, **_at(run, 25.5, 5))
    return run


def deep_error(depth: int = 60) -> ValueError:
    try:
        _sink(depth)
    except ValueError as error:
        return error
    raise AssertionError


def _sink(depth: int) -> None:
    if not depth:
        raise ValueError("The parcel service refused the address: “Södra vägen 12”, no such street in 411 35 Göteborg.")
    _sink(depth - 1)


def waiting_with_children() -> WorkflowRun:
    """Awaits one of four children, one of which has a child of its own."""
    start = ago(minutes=14)
    root = make_run(id="release-7", name="shop.workflows.release", created_at=ago(minutes=20), status="WAITING",
                    started_at=ago(minutes=20))  # fmt: skip
    run = make_run(id="batch-7", name="shop.workflows.batch", status="WAITING", created_at=start, parent=root,
                   started_at=start + timedelta(seconds=2), recovery_attempts=1)  # fmt: skip
    for number, status in enumerate(("SUCCESS", "ERROR", "RUNNING", "ENQUEUED"), 1):
        born = start + timedelta(seconds=20 * number)
        child = make_run(
            id=f"batch-7-{number}", name="shop.workflows.pack", status=status, parent=run, created_at=born,
            started_at=None if status == "ENQUEUED" else born + timedelta(seconds=30),
            completed_at=born + timedelta(minutes=4) if number < 3 else None,
        )  # fmt: skip
        make_step(run, number, name="durable.start_workflow", kind=Kind.START, child_id=child.pk, **_at(run, 20 * number, 0.02))
        for position in (1, 2, 3):
            make_step(child, position, name=f"shop.workflows.part_{position}", **_at(child, 30 + 50 * position, 40))
    grandchild = make_run(id="batch-7-3-9", name="shop.workflows.label", parent_id="batch-7-3", created_at=ago(minutes=8),
                          status="SUCCESS", started_at=ago(minutes=7), completed_at=ago(minutes=3))  # fmt: skip
    make_step(grandchild, 1, name="shop.workflows.print_label", **_at(grandchild, 70, 120))
    make_wait(run, Kind.RESULT, position=5, source_id="batch-7-3", created_at=start + timedelta(seconds=82))
    make_run(id="batch-7-again", name="shop.workflows.batch", forked_from=run, status="SUCCESS", created_at=ago(minutes=5),
             started_at=ago(minutes=5), completed_at=ago(minutes=4))  # fmt: skip
    return run


def long_history(number: int = 10_000) -> WorkflowRun:
    """So many steps, some of which failed."""
    start = ago(hours=3)
    run = make_run(id="import-1", name="library.workflows.import_all", status="SUCCESS", created_at=start,
                   started_at=start + timedelta(seconds=2), completed_at=start + timedelta(seconds=2 + number))  # fmt: skip
    ok, failed = dumps({"page": 1, "words": 312}), error_text(ValueError("no text on this page"))
    StepRun.objects.bulk_create(
        (
            StepRun(
                run=run, position=position, name="library.workflows.read_page", **_at(run, 1 + position, 0.8),
                output=None if position % 700 == 0 else ok, error=failed if position % 700 == 0 else None,
            )
            for position in range(1, number + 1)
        ),
        batch_size=1000,
    )  # fmt: skip
    return run


SCENES = {
    "finished": checkout_with_retries,
    "running": running,
    "failed": failed_saga,
    "waiting": waiting_with_children,
    "long": long_history,
}
