"""Direct calls whose process lives on while something of them is lost: a reply, the lease, the thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import InterfaceError, connection, transaction
from pytest_django import Settings

from durable_workflows import SetWorkflowID, step, workflow
from durable_workflows.models import Worker, WorkflowRun
from durable_workflows.models.presence import Presence
from durable_workflows.states import RunState
from durable_workflows.worker.heart import Heart
from durable_workflows.worker.local import LOCAL
from tests.engine.elsewhere import in_thread

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS, BEAT = 20, 0.1
PRESENT = {"lost_at": None, "stopped_at": None}


@pytest.fixture(autouse=True)
def quick_heart(settings: Settings) -> None:
    # Statements that are prepared go past Django's wrappers, by which a reply is lost here.
    settings.DURABLE_WORKFLOWS = {"HEARTBEAT_SECONDS": BEAT, "PREPARED_STATEMENTS": False, "LISTEN": False}


def until(there: Callable[[], object], what: str) -> None:
    last_look = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < last_look, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)


@workflow
def adds(number: int) -> int:
    return number + 1


@workflow
def calls_a_child(number: int) -> int:
    return adds(number) + 1


@contextmanager
def lost_reply(run_id: str) -> Iterator[list[str]]:
    """This thread's session breaks after the server has committed the row of this run, and before it says so."""
    lost: list[str] = []
    commit = connection._commit

    def break_off() -> None:
        lost.append(run_id)
        raise InterfaceError("the connection was closed")

    def broken_commit() -> None:
        commit()
        break_off()

    def execute(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        came = execute(sql, params, many, context)
        if not lost and "durable_workflows_workflowrun" in sql and sql.startswith("INSERT") and run_id in params:
            if not connection.in_atomic_block:
                break_off()
            connection._commit = broken_commit
        else:
            connection._commit = commit
        return came

    try:
        with connection.execute_wrapper(execute):
            yield lost
    finally:
        connection._commit = commit


def in_time(work: Callable[[], object]) -> object:
    """Do ``work`` in a thread that is left behind if it hangs."""
    came: list[object] = []
    thread = threading.Thread(target=lambda: came.append(in_thread(work)), daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert came, f"nothing came of it within {SECONDS} s: {list(WorkflowRun.objects.values('id', 'status'))}"
    return came[0]


@pytest.mark.parametrize(("call", "lost_of"), [(adds, "call"), (calls_a_child, "call"), (calls_a_child, "call-1")])
def test_a_call_whose_insert_was_not_answered_is_executed_by_its_own_thread(call: Any, lost_of: str) -> None:
    def loses() -> int:
        with lost_reply(lost_of) as lost, SetWorkflowID("call"):
            came = call(1)
        assert lost == [lost_of]
        return int(came)

    assert in_time(loses) == (2 if call is adds else 3)
    assert set(WorkflowRun.objects.values_list("status", "attempt")) == {(RunState.SUCCESS, 1)}


def test_a_run_of_this_process_that_no_thread_remembers_is_handed_back() -> None:
    assert adds(1) == 2
    forgotten = adds.start(5).workflow_id
    row = WorkflowRun.objects.filter(pk=forgotten)
    row.update(status=RunState.RUNNING, worker_id=Worker.objects.get(direct=True).pk, lease_token="forgotten")
    until(row.filter(status=RunState.ENQUEUED, worker_id=None).exists, "it was handed back")


def test_a_heart_beats_on_beside_a_forgotten_run_that_somebody_has_locked(database: str) -> None:
    if database == "sqlite":
        pytest.skip("it locks no rows")
    assert adds(1) == 2
    forgotten = adds.start(5).workflow_id
    row = WorkflowRun.objects.filter(pk=forgotten)
    row.update(status=RunState.RUNNING, worker_id=Worker.objects.get(direct=True).pk, lease_token="forgotten")
    with transaction.atomic():
        assert row.select_for_update().get()
        in_thread(beats_a_few_times)
    until(row.filter(status=RunState.ENQUEUED, worker_id=None).exists, "it was handed back")


def beats_a_few_times() -> None:
    for _ in range(4):
        rest = Worker.objects.filter(direct=True).exclude(heartbeat_at=Worker.objects.get(direct=True).heartbeat_at)
        until(rest.exists, "another beat")


@step(atomic=False)
def outlasts_beats() -> str:
    beats_a_few_times()
    return "done"


@workflow
def lasts() -> str:
    return outlasts_beats()


@workflow
def calls_what_lasts() -> str:
    return lasts()


def test_runs_that_are_being_executed_are_remembered() -> None:
    assert calls_what_lasts() == "done"
    assert list(WorkflowRun.objects.values_list("status", "attempt")) == [(RunState.SUCCESS, 1)] * 2


def presence(worker_id: str, seconds: float) -> Presence:
    return Presence(id=worker_id, hostname="here", pid=1, direct=True, lease_seconds=seconds)


def test_the_heart_of_direct_calls_does_not_beat_again_once_its_lease_has_run_out() -> None:
    heart = Heart(presence("late", BEAT / 2), memory=set)  # as after an outage that was longer than the lease
    heart.start()
    try:
        until(Worker.objects.filter(pk="late", stopped_at__isnull=False).exists, "it left")
        heart.loop.join(SECONDS)
        assert not heart.loop.is_alive()
        assert not heart.holds_lease()
    finally:
        heart.stop()
        heart.loop.join(SECONDS)


def test_a_heart_that_is_replaced_ends_and_leaves_no_live_row() -> None:
    assert adds(1) == 2
    first = LOCAL._heart
    assert first is not None
    for number in range(3):
        assert LOCAL._heart is not None
        LOCAL._heart._until = 0.0  # as after an outage
        assert adds(number) == number + 1
    until(lambda: Worker.objects.filter(direct=True, **PRESENT).count() == 1, "only the last row is alive")
    first.loop.join(SECONDS)
    assert not first.loop.is_alive()
