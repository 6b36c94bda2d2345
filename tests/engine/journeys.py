"""A workflow with a call of each kind, and what is to be the same however a run of it came to its end."""

from __future__ import annotations

import re
from typing import Any

from durable_workflows import (
    close_stream,
    current,
    durable_each,
    fork_workflow,
    get_event,
    recv,
    saga,
    select,
    send,
    set_event,
    sleep,
    start_many,
    start_workflow,
    step,
    wait_first,
    workflow,
    write_stream,
)
from durable_workflows.models import Event, Message, StepAttempt, StepRun, StreamEntry, Wait, WorkflowRun
from durable_workflows.testing import drain, travel
from tests.engine.deeds import do, undo

FAILING: set[str] = set()


@step(max_attempts=2, interval_seconds=0.0)
def flaky(what: str) -> str:
    now = current()
    assert now is not None
    write_stream("aloud", now.attempt)
    if now.attempt == 1:
        raise ConnectionError(what)
    return what


@step
def announces(what: str) -> str:
    set_event("announced", what)
    close_stream("aloud")
    return what


@step
def may_fail(what: str) -> str:
    if what in FAILING:
        raise ValueError(what)
    return do(what)  # as a part of this step


@workflow
def child(what: str) -> str:
    may_fail(f"child {what}")
    return what


@workflow
def everything(what: str = "x", *, more: str = "") -> list[Any]:
    now = current()
    assert now is not None
    may_fail("first")  # 1
    set_event("at", "begun")  # 2
    started = start_workflow(child, "started")  # 3
    several = start_many(child, ["one", "two"])  # 4
    called = child("called")  # 5, 6
    write_stream("out", 1)  # 7
    sleep(60)  # 8
    set_event("at", "awake")  # 9
    heard = recv("go")  # 10
    write_stream("out", heard)  # 11
    with saga() as block:
        block.undo(undo, do("booked"))  # 12
        flaky("twice")  # 13
        announces("paid")  # 14
    try:
        with saga() as block:
            block.undo(undo, do("held"))  # 15
            raise LookupError  # whose undo step is 16
    except LookupError:
        pass
    first = wait_first([started])  # 17
    ends = [each.get_result() for each in (started, *several)]  # 18 to 20
    for number in durable_each(range(3), batch=2):  # 21, 22
        do(f"row {number}")
    chosen = select(recv=["and"], timeout_seconds=0)  # 23
    seen = get_event(now.workflow_id, "at")  # 24
    send(now.workflow_id, "oneself", "self")  # 25
    close_stream("out")  # 26
    may_fail("last")  # 27
    return [what, more, called, heard, first.workflow_id == started.workflow_id, ends, chosen and chosen.value, seen]


STEPS = 27
HEARS, CHOOSES = 10, 23  # the steps that receive a message
RESULT = ["x", "", "called", "hello", True, ["started", "one", "two"], "chosen", "awake"]


def tell(run_id: str) -> None:
    """Send what it waits for."""
    send(run_id, "hello", "go")
    send(run_id, "chosen", "and")


def finish() -> None:
    """Bring all runs to their ends that come to one by themselves."""
    drain()
    travel(61)
    drain()


def straight(*args: Any, **kwargs: Any) -> str:
    """A run that went straight through."""
    handle = everything.start(*args, **kwargs)
    tell(handle.workflow_id)
    finish()
    return handle.workflow_id


def story(run_id: str, *others: str) -> dict[str, Any]:
    """
    All that is recorded of a run as it is now, without what differs from run to run: its id, its generation, the time.

    :param others: ids of runs whose children may stand in its history.
    """
    run = WorkflowRun.objects.get(pk=run_id)
    mine = {"run_id": run_id, "generation": run.generation}
    steps = StepRun.objects.filter(**mine).order_by("branch", "position")
    columns = ("branch", "position", "name", "kind", "output", "error", "child_id", "attempts")
    attempts = StepAttempt.objects.filter(**mine).order_by("position", "attempt")
    entries = StreamEntry.objects.filter(run_id=run_id).order_by("key", "offset")
    events = Event.objects.filter(run_id=run_id).order_by("pk")
    received = Message.objects.filter(run_id=run_id, consumed_at__isnull=False).order_by("pk")
    found = {
        "status": run.status, "output": run.output, "error": run.error and run.error.partition('"traceback"')[0],
        "steps": [_plain(row) for row in steps.values_list(*columns)],
        "attempts": list(attempts.values_list("position", "name", "attempt")),
        "streams": list(entries.values_list("key", "offset", "position", "value", "closes")),
        "events": list(events.values_list("key", "position", "value")),
        "received": list(received.values_list("topic", "payload", "consumed_position")),
        "waits": Wait.objects.filter(run_id=run_id).count(),
        "leased": (run.lease_token, run.worker_id) if run.status != "SUCCESS" else None,
    }  # fmt: skip
    return {name: _anonymous(value, (run_id, *others)) for name, value in found.items()}


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(text.partition('"traceback"')[0] if isinstance(text, str) else text for text in row)


def _anonymous(value: Any, run_ids: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for run_id in run_ids:
            value = re.sub(re.escape(run_id) + r"(-g\d+)?", "<run>", value)
        return value
    return type(value)(_anonymous(item, run_ids) for item in value) if isinstance(value, list | tuple) else value


@workflow
def forks(run_id: str, step: int) -> str:
    may_fail("before")
    return fork_workflow(run_id, step).workflow_id
