"""
No wake-up is lost: waiter and waker are interleaved at every statement.

The waiter is a real attempt of a run that finds nothing and suspends; the waker is whatever brings what it waits for. In
the end the waiter never slept, or was woken: it is never WAITING with its answer there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from durable_workflows import (
    AwaitedWorkflowCancelled,
    AwaitedWorkflowMaxRecoveryAttemptsExceeded,
    WorkflowHandle,
    cancel_workflow,
    cancel_workflows,
    clock,
    close_stream,
    get_event,
    get_result,
    read_stream,
    recv,
    select,
    send,
    set_event,
    step,
    wait_first,
    workflow,
    write_stream,
)
from durable_workflows.engine import suspending
from durable_workflows.models import WorkflowRun, recovery, starts, sweeps
from durable_workflows.models.claims import Claim
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.serializers import dumps
from durable_workflows.states import RunState
from durable_workflows.testing import drain
from tests.engine.born import Grouped, Unparked, execute, leased
from tests.engine.interleaving import Explored, Scenario, explore, this_side
from tests.engine.isolation import DATABASE, interleaved_levels

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("committing", "unparked"),
    interleaved_levels,
    pytest.mark.sampled(2),
]


@workflow
def receives() -> Any:
    return recv("news")


@workflow
def receives_in_time() -> Any:
    return recv("news", timeout_seconds=3600)


@workflow
def reads_event(source: str) -> Any:
    return get_event(source, "news", timeout_seconds=None)


@workflow
def awaits(child: str) -> Any:
    try:
        return get_result(child)
    except (AwaitedWorkflowCancelled, AwaitedWorkflowMaxRecoveryAttemptsExceeded) as error:
        return type(error).__name__


@workflow
def awaits_first(*children: str) -> Any:
    return wait_first([WorkflowHandle[Any](child) for child in children]).workflow_id


@workflow
def returns() -> str:
    return "the answer"


@workflow
def fails() -> None:
    raise LookupError("the answer")


@workflow
def publishes() -> None:
    set_event("news", "the answer")


@step
def publishing() -> None:
    set_event("news", "the answer")


@workflow
def publishes_in_a_step() -> None:
    publishing()


@step
def sending(workflow_id: str) -> None:
    send(workflow_id, "the answer", "news")


@workflow
def sends_in_a_step(workflow_id: str) -> None:
    sending(workflow_id)


@workflow
def reads_stream(source: str) -> Any:
    return next(read_stream(source, "news"), "the end")


@workflow
def reads_stream_in_time(source: str) -> Any:
    return next(read_stream(source, "news", timeout_seconds=3600), "the end")


@workflow
def writes() -> None:
    write_stream("news", "the answer")


@workflow
def closes() -> None:
    close_stream("news")


@step
def writing() -> None:
    write_stream("news", "the answer")


@workflow
def writes_in_a_step() -> None:
    writing()


@step
def writing_while_it_holds_its_row() -> None:
    set_event("news", "other news")
    write_stream("news", "the answer")


@workflow
def writes_while_it_holds_its_row() -> None:
    writing_while_it_holds_its_row()


@step
def closing() -> None:
    close_stream("news")


@workflow
def closes_in_a_step() -> None:
    closing()


@workflow
def selects(source: str) -> Any:
    handles = [WorkflowHandle[Any](source)]
    came = select(recv=["other", "news"], events=[(source, "other"), (source, "news")], handles=handles)
    assert came is not None
    return came.kind


T = TypeVar("T")


class Beside(Unparked):
    """What is to be done beside a step's transaction is done on the thread's other connection."""

    def aside(self, work: Callable[[], T]) -> T:
        with this_side().on_another_connection():
            return work()


WAITERS = (receives, receives_in_time, reads_event, awaits, awaits_first, reads_stream, reads_stream_in_time, selects)
Waker = Callable[[], object]


def scenario(waiter: Claim, waker: Waker, finish: Waker = lambda: None) -> Scenario:
    def check() -> None:
        finish()
        status = WorkflowRun.objects.get(pk=waiter.id).status
        assert status in (RunState.ENQUEUED, RunState.SUCCESS), f"the waiter is {status}"

    return Scenario(waiter=lambda: execute(waiter), waker=waker, check=check)


def try_all(make: Callable[[], Scenario], *, answer: Any = None, deep: bool = False) -> Explored:
    """No schedule loses the wake-up, and a waiter that was woken gets its answer in its next attempt."""
    explored = explore(make, deep=deep)
    assert explored.schedules > 4
    assert explored.blocked or not deep, "nobody ever waited for a lock: were they interleaved at all?"
    finish_some(answer)
    return explored


def finish_some(answer: Any) -> None:
    """Execute what was woken; a few of many schedules will do, since they all end in the same rows."""
    waiters = WorkflowRun.objects.filter(name__in=[each.durable.name for each in WAITERS])
    woken = waiters.filter(status=RunState.ENQUEUED)
    others = list(woken.values_list("pk", flat=True)[5:])
    cancel_workflows(others)
    WorkflowRun.objects.filter(pk__in=others).delete()
    drain()
    found = list(waiters.filter(status=RunState.SUCCESS))
    assert len(found) == waiters.count()
    if answer is not None:
        assert {run.output for run in found} == {dumps(answer, what="answer")}


@pytest.mark.skipif(DATABASE == "sqlite", reason="its writers cannot overlap, so nothing can be lost")
def test_what_is_tried_would_find_a_lost_wakeup(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the waiter's lock there are schedules that lose it."""
    monkeypatch.setattr(suspending, "_lock_sources", lambda connection, waits: None)

    def make() -> Scenario:
        child = leased(returns)
        return scenario(leased(awaits, child.id), lambda: execute(child))

    with pytest.raises(AssertionError, match="the waiter is WAITING"):
        explore(make)


def test_messages(level: str) -> None:
    def make() -> Scenario:
        waiter = leased(receives)
        return scenario(waiter, lambda: send(waiter.id, "the answer", "news"))

    try_all(make, answer="the answer", deep=True)


def test_messages_with_a_key(level: str) -> None:
    def make() -> Scenario:
        waiter = leased(receives_in_time)
        return scenario(waiter, lambda: send(waiter.id, "the answer", "news", idempotency_key="once"))

    try_all(make, answer="the answer")


def test_messages_from_a_step(level: str) -> None:
    def make() -> Scenario:
        waiter = leased(receives)
        sender = leased(sends_in_a_step, waiter.id)
        return scenario(waiter, lambda: execute(sender))

    try_all(make, answer="the answer")


@pytest.mark.parametrize("source", [publishes, publishes_in_a_step])
def test_events(level: str, source: Any) -> None:
    def make() -> Scenario:
        publisher = leased(source)
        return scenario(leased(reads_event, publisher.id), lambda: execute(publisher))

    try_all(make, answer="the answer", deep=source is publishes)


def test_results(level: str) -> None:
    def make() -> Scenario:
        child = leased(returns)
        return scenario(leased(awaits, child.id), lambda: execute(child))

    try_all(make, answer="the answer", deep=True)


def test_results_that_end_in_a_group(level: str) -> None:
    def make() -> Scenario:
        child = leased(returns)
        return scenario(leased(awaits, child.id), lambda: execute(child, Grouped()))

    try_all(make, answer="the answer")


def test_failures(level: str) -> None:
    def make() -> Scenario:
        child = leased(fails)
        return scenario(leased(awaits_first, child.id), lambda: execute(child))

    try_all(make)


def test_the_first_of_several(level: str) -> None:
    def make() -> Scenario:
        others = [in_autocommit(never_run).id for _ in range(2)]
        child = leased(returns)
        waiter = leased(awaits_first, others[0], child.id, others[1])
        return scenario(waiter, lambda: execute(child))

    try_all(make, deep=True)


def never_run(connection: Any) -> NewRun:
    run = NewRun(id=f"never-{clock.monotonic()}", name="nobody.knows.this", inputs="")
    starts.insert(connection, [run])
    return run


def test_a_cancelled_child(level: str) -> None:
    def make() -> Scenario:
        child = leased(returns)
        return scenario(leased(awaits, child.id), lambda: cancel_workflow(child.id))

    try_all(make, answer="AwaitedWorkflowCancelled", deep=True)


def test_a_child_that_is_cancelled_with_its_family(level: str) -> None:
    def make() -> Scenario:
        grandparent = leased(returns)
        child = leased(returns, parent_id=grandparent.id)
        return scenario(leased(awaits, child.id), lambda: cancel_workflow(grandparent.id, cancel_children=True))

    try_all(make, answer="AwaitedWorkflowCancelled")


def test_an_overdue_child(level: str) -> None:
    def sweep() -> None:
        in_write_transaction(sweeps.cancel_overdue)

    def make() -> Scenario:
        child = leased(returns, deadline=clock.now() - timedelta(seconds=1))
        return scenario(leased(awaits, child.id), sweep, finish=sweep)  # locked rows are left to the next sweep

    try_all(make, answer="AwaitedWorkflowCancelled")


def test_a_dead_letter(level: str) -> None:
    def make() -> Scenario:
        child = leased(returns, worker_id=f"dead-{clock.monotonic()}", max_recovery_attempts=0)

        def sweep() -> None:
            in_write_transaction(recovery.take_back, child.worker_id)

        return scenario(leased(awaits, child.id), sweep, finish=sweep)

    try_all(make, answer="AwaitedWorkflowMaxRecoveryAttemptsExceeded")


def test_a_source_that_does_not_exist_yet(level: str) -> None:
    """There is no row to lock, so the wake-up may be lost: the sweep finds it."""
    slept = []

    def make() -> Scenario:
        publisher = f"later-{clock.monotonic()}"
        waiter = leased(reads_event, publisher)

        def publish() -> None:
            execute(leased(publishes, id=publisher))

        def check() -> None:
            run = WorkflowRun.objects.get(pk=waiter.id)
            slept.append(run.status == RunState.WAITING)
            in_write_transaction(sweeps.wake_answered)
            run.refresh_from_db()
            assert run.status in (RunState.ENQUEUED, RunState.SUCCESS)

        return Scenario(waiter=lambda: execute(waiter), waker=publish, check=check)

    try_all(make, answer="the answer")
    if DATABASE == "postgresql":
        assert any(slept), "the sweep had nothing to do"


# -- streams


def test_what_is_tried_would_find_a_lost_value(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the stream's lock there are schedules that lose a value that is written beside a step's transaction."""
    if DATABASE == "sqlite":
        pytest.skip("its writers cannot overlap, so nothing can be lost")
    monkeypatch.setattr(suspending.streaming, "lock_streams", lambda connection, streams: None)

    def make() -> Scenario:
        writer = leased(writes_in_a_step)
        # The end of the writer's run would wake the reader in any case.
        return scenario(leased(reads_stream, writer.id), lambda: until_it_ends(writer))

    with pytest.raises(AssertionError, match="the waiter is WAITING"):
        explore(make)


class Dying(BaseException):
    """Stands for a kill: the attempt gets no further."""


def until_it_ends(writer: Claim) -> None:
    """Execute a run, whose process dies before its outcome is written."""

    class Dies(Beside):
        def end(self, ending: Any) -> bool:
            raise Dying

    try:
        execute(writer, Dies())
    except Dying:
        pass


@pytest.mark.parametrize("writer", [writes, closes])
def test_streams(level: str, writer: Any) -> None:
    def make() -> Scenario:
        source = leased(writer)
        return scenario(leased(reads_stream, source.id), lambda: until_it_ends(source))

    try_all(make, answer="the answer" if writer is writes else "the end", deep=True)


@pytest.mark.parametrize("writer", [writes_in_a_step, closes_in_a_step, writes_while_it_holds_its_row])
def test_streams_of_a_step(level: str, writer: Any) -> None:
    def make() -> Scenario:
        source = leased(writer)
        return scenario(leased(reads_stream_in_time, source.id), lambda: until_it_ends(source))

    try_all(make, answer="the end" if writer is closes_in_a_step else "the answer", deep=writer is not closes_in_a_step)


def test_streams_of_a_step_that_share_its_transaction(level: str) -> None:
    def make() -> Scenario:
        source = leased(writes_while_it_holds_its_row)
        return scenario(leased(reads_stream, source.id), lambda: execute(source))

    try_all(make, answer="the answer")


def test_streams_end_with_their_run(level: str) -> None:
    def make() -> Scenario:
        source = leased(returns)
        return scenario(leased(reads_stream, source.id), lambda: execute(source))

    try_all(make, answer="the end", deep=True)


def test_streams_end_with_a_run_that_is_cancelled(level: str) -> None:
    def make() -> Scenario:
        source = leased(returns)
        return scenario(leased(reads_stream, source.id), lambda: cancel_workflow(source.id))

    try_all(make, answer="the end")


def test_a_sweep_finds_what_a_reader_has_missed(level: str) -> None:
    source, ended = leased(writes), leased(returns)
    waiters = [leased(reads_stream, source.id), leased(reads_stream, ended.id), leased(selects, source.id)]
    for waiter in waiters:
        execute(waiter)
    until_it_ends(source)
    execute(ended)
    runs = WorkflowRun.objects.filter(pk__in=[waiter.id for waiter in waiters])
    runs.update(status=RunState.WAITING)  # as if nobody had told them
    in_write_transaction(sweeps.wake_answered)
    assert dict(runs.values_list("pk", "status")) == {
        waiters[0].id: RunState.ENQUEUED, waiters[1].id: RunState.ENQUEUED, waiters[2].id: RunState.WAITING,
    }  # fmt: skip


# -- the first of several kinds


def test_select_and_a_message(level: str) -> None:
    def make() -> Scenario:
        waiter = leased(selects, in_autocommit(never_run).id)
        return scenario(waiter, lambda: send(waiter.id, "the answer", "news"))

    try_all(make, answer="message", deep=True)


def test_select_and_an_event(level: str) -> None:
    def make() -> Scenario:
        publisher = leased(publishes)
        return scenario(leased(selects, publisher.id), lambda: until_it_ends(publisher))

    try_all(make, answer="event", deep=True)


def test_select_and_the_end_of_a_run(level: str) -> None:
    def make() -> Scenario:
        child = leased(returns)
        return scenario(leased(selects, child.id), lambda: execute(child))

    try_all(make, answer="handle", deep=True)
