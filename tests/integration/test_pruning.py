"""Old runs go, in small transactions that nobody waits for: by outcome, by workflow, and not before nobody can ask for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete
from pytest_django import Settings

from durable_workflows import (
    InvalidUse,
    SetWorkflowID,
    clock,
    fork_workflow,
    get_result,
    get_workflow_status,
    prune_workflows,
    recv,
    resume_workflow,
    retention,
    send,
    start_workflow,
    step,
    workflow,
)
from durable_workflows.models import Kind, Message, QueueStart, StepRun, Wait, WorkflowRun, pruning, rates
from durable_workflows.models.pruning import BATCH, LOOK, Sweep
from durable_workflows.retention import policy_of
from durable_workflows.testing import drain, durable_worker, travel
from durable_workflows.worker.pruning import Pruning
from tests.admin.rows import ago, make_attempt, make_event, make_message, make_queue, make_run, make_runs, make_step, make_wait
from tests.app.models import Ledger

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60


def ended(status: str = "SUCCESS", days: float = 40, **fields: Any) -> str:
    return make_run(status=status, created_at=ago(days=days + 1), completed_at=ago(days=days), **fields).pk


def ids() -> set[str]:
    return set(WorkflowRun.objects.values_list("pk", flat=True))


def test_each_outcome_and_each_workflow_is_kept_as_long_as_it_says(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {
        "RETENTION": {
            "SUCCESS": 30,
            "CANCELLED": timedelta(hours=12),
            "MAX_RECOVERY_ATTEMPTS_EXCEEDED": None,
            "WORKFLOWS": {"ping": 1, "audit": None, "bill": {"SUCCESS": None, "ERROR": 7}},
        }
    }
    gone = [
        ended(days=31), ended("CANCELLED", days=1), ended(days=2, name="ping"), ended("ERROR", days=2, name="ping"),
        ended("MAX_RECOVERY_ATTEMPTS_EXCEEDED", days=2, name="ping"), ended("ERROR", days=8, name="bill"),
        ended("CANCELLED", days=1, name="bill"),
    ]  # fmt: skip
    kept = {
        ended(days=29), ended("ERROR", days=900), ended("MAX_RECOVERY_ATTEMPTS_EXCEEDED", days=900), ended(days=0.5, name="ping"),
        ended(days=900, name="audit"), ended("CANCELLED", days=900, name="audit"), ended(days=900, name="bill"),
        ended("ERROR", days=6, name="bill"),
        *(make_run(status=status, created_at=ago(days=900)).pk for status in ("ENQUEUED", "RUNNING", "WAITING", "PAUSED")),
    }  # fmt: skip
    assert prune_workflows(dry_run=True) == len(gone)
    assert prune_workflows(limit=2) == 2
    assert prune_workflows() == len(gone) - 2
    assert ids() == kept
    assert prune_workflows() == 0
    assert prune_workflows(older_than=800) == 5, "whatever the setting says, and whoever asks"
    assert prune_workflows(older_than=timedelta(days=30), dry_run=True) == 0


def test_nothing_is_deleted_unless_somebody_says_so() -> None:
    run = ended(days=9000)
    assert prune_workflows() == 0
    assert ids() == {run}


def test_what_was_recorded_goes_with_a_run_and_its_id_is_free_again() -> None:
    old, young = make_run(id="order-7", status="SUCCESS", completed_at=ago(days=2)), make_run(id="order-8")
    for run in (old, young):
        make_step(run, 1)
        make_attempt(run, 1)
        make_message(run, idempotency_key="once")
        make_event(run)
        make_wait(run, Kind.RECV, key="paid")
    assert prune_workflows(older_than=1) == 1
    assert get_workflow_status("order-7") is None
    for recorded in (StepRun, Message, Wait):
        assert set(recorded.objects.values_list("run_id", flat=True)) == {"order-8"}
    with SetWorkflowID("order-7"):
        assert shouts.start("x").run.attempt == 0
    assert drain()
    assert get_workflow_status("order-7").output == "X"  # type: ignore[union-attr]


@step
def shout(text: str) -> str:
    return text.upper()


@workflow
def shouts(text: str) -> str:
    return shout(text)


def test_children_stay_with_whoever_may_ask_for_their_results() -> None:
    """A parent asks until it has succeeded; one that failed or was cancelled may be let go on."""
    waiting, failed = make_run(status="WAITING", created_at=ago(days=90)).pk, ended("ERROR", days=3)
    succeeded = ended(days=1)
    kept = {waiting, ended(days=50, parent_id=waiting), failed, ended(days=50, parent_id=failed), succeeded}
    ended(days=50, parent_id=succeeded)
    ended(days=50, parent_id="gone")
    assert prune_workflows(older_than=10) == 2
    assert ids() == kept
    assert prune_workflows(older_than=2) == 2, "and the child of the failed one goes after it"
    assert prune_workflows(older_than=2) == 0
    assert ids() == kept & {waiting, succeeded} | set(
        WorkflowRun.objects.filter(parent_id=waiting).values_list("pk", flat=True)
    )


@workflow
def child() -> str:
    return "of the child"


@workflow
def asks_late() -> Any:
    handle = start_workflow(child)
    recv("word")
    return handle.get_result()


def test_a_child_stays_for_the_forks_of_its_parent_and_what_is_awaited_for_whoever_waits(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"PARK_SECONDS": 0}
    with SetWorkflowID("source"):
        start_workflow(asks_late)
    drain()
    for source, fork in (("source", "fork"), ("fork", "fork-of-it")):
        with SetWorkflowID(fork):
            fork_workflow(source, 3)
    drain()
    for run_id in ("source", "fork"):
        send(run_id, "on", topic="word")
    drain()
    [born] = WorkflowRun.objects.filter(parent_id="source").values_list("pk", flat=True)
    awaited, waiter = ended(), make_run(status="WAITING")
    make_wait(waiter, Kind.GET_EVENT, source_id=awaited, key="state")
    cancelled = make_run(status="CANCELLED", completed_at=ago(days=2))
    make_wait(cancelled, Kind.GET_EVENT, source_id=cancelled.pk, key="state")
    travel(60)
    assert prune_workflows(older_than=0) == 2, "the source, and what nobody waits for"
    assert ids() == {born, "fork", "fork-of-it", awaited, waiter.pk}
    send("fork-of-it", "on", topic="word")
    drain()
    assert get_result("fork-of-it", timeout=1) == "of the child"
    travel(60)
    assert prune_workflows(older_than=0) == 3
    assert ids() == {awaited, waiter.pk}


def test_a_sweep_gets_past_what_is_kept_and_stops_at_what_is_young() -> None:
    made = {"status": "SUCCESS", "completed_at": ago(days=50), "created_at": ago(days=51)}
    make_runs(LOOK + 10, name="audit", **made)
    make_runs(BATCH + 10, **made)
    young = ended(days=1)
    sweep = Sweep(policy_of({"SUCCESS": 30, "WORKFLOWS": {"audit": None}}))
    found = []
    while not sweep.over:
        found.append(sweep.batch(connection))
    assert sum(found) == BATCH + 10
    assert max(found) <= BATCH
    assert WorkflowRun.objects.filter(name="audit").count() == LOOK + 10
    assert young in ids()


@contextmanager
def locked_elsewhere(run_id: str) -> Iterator[None]:
    """Another session has changed a row of a run and not committed it."""
    has_it, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            WorkflowRun.objects.filter(pk=run_id).update(note="mine")
            has_it.set()
            let_go.wait(SECONDS)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert has_it.wait(SECONDS)
    yield
    let_go.set()
    thread.join()


def test_what_somebody_has_locked_is_left_and_what_went_on_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    locked, resumed, _ = ended("CANCELLED", days=3), ended("CANCELLED", days=2), ended("CANCELLED", days=1)
    can_lock = connection.features.has_select_for_update_skip_locked  # SQLite has one writer, and locks no rows
    looked = pruning._without_askers

    def resume_meanwhile(connection: Any, runs: Any) -> Any:
        found = looked(connection, runs)
        resume_workflow(resumed)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(pruning, "_without_askers", resume_meanwhile)
        with locked_elsewhere(locked) if can_lock else nullcontext():
            assert prune_workflows(older_than=0) == 2 - can_lock
    assert ids() == {resumed} | ({locked} if can_lock else set())
    assert prune_workflows(older_than=0) == can_lock
    assert ids() == {resumed}


def test_a_run_that_rows_of_others_hold_on_to_stays_and_holds_up_no_other() -> None:
    held = ended(days=3)
    others = make_runs(5, status="SUCCESS", completed_at=ago(days=3))

    def protect(sender: Any, instance: WorkflowRun, **kwargs: Any) -> None:
        if instance.pk == held:
            raise ProtectedError("a receipt refers to it", {instance})

    pre_delete.connect(protect, sender=WorkflowRun)
    try:
        assert prune_workflows(older_than=1) == len(others)
    finally:
        pre_delete.disconnect(protect, sender=WorkflowRun)
    assert ids() == {held}


@step(atomic=False)
def prunes(older_than: float) -> int:
    return prune_workflows(older_than)


@workflow
def nightly(older_than: float) -> int:
    return prunes(older_than)


@workflow
def careless() -> int:
    return prune_workflows(30)


def test_where_it_may_be_called_and_with_what() -> None:
    ended(days=50)
    assert nightly(30) == 1
    with pytest.raises(InvalidUse, match="workflow's body"):
        careless()
    with transaction.atomic(), pytest.raises(InvalidUse, match="inside a transaction"):
        prune_workflows(30)
    wrong: list[dict[str, Any]] = [
        {"older_than": value} for value in (-1, True, "30", float("nan"), float("inf"), timedelta(-1), [], 10**9)
    ]
    for arguments in [*wrong, *({"limit": value} for value in (-1, True, "9", 1.5, []))]:
        with pytest.raises(InvalidUse, match=next(iter(arguments))):
            prune_workflows(**arguments)
    assert prune_workflows(30, limit=0) == 0


@step(atomic=False)
def effect(text: str) -> str:
    Ledger.objects.create(run_id=text, step="effect")
    return text


@workflow
def leaf(text: str) -> str:
    return effect(text)


@workflow
def tree(text: str) -> int:
    handles = [leaf.start(f"{text}-{number}") for number in range(3)]
    return sum(len(handle.get_result()) for handle in handles)


def test_pruners_beside_workers_take_nothing_that_is_needed() -> None:
    """With nothing kept for a moment: whatever has not ended, or may be asked for, is there all the same."""
    stop = threading.Event()
    policy = retention.everything(0)

    def prune_on() -> None:
        while not stop.is_set():
            pruning.prune(connection, policy)
            clock.pause(0.005)
        connections.close_all()

    pruners = [threading.Thread(target=prune_on) for _ in range(2)]
    with durable_worker(threads=4):
        for pruner in pruners:
            pruner.start()
        for number in range(12):
            tree.start(str(number))
        until(lambda: not WorkflowRun.objects.exists())
        stop.set()
        for pruner in pruners:
            pruner.join()
    assert sorted(Ledger.objects.values_list("run_id", flat=True)) == sorted(f"{a}-{b}" for a in range(12) for b in range(3))


def until(there: Callable[[], bool]) -> None:
    last_look = clock.monotonic() + SECONDS
    while not there():
        assert clock.monotonic() < last_look
        clock.pause(0.05)


def test_a_worker_prunes_by_itself_and_goes_on_where_it_stopped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DURABLE_WORKFLOWS = {"RETENTION": {"SUCCESS": 30}}
    make_runs(BATCH + 5, status="SUCCESS", completed_at=ago(days=31))
    duty = Pruning()
    duty._due = 0.0
    monkeypatch.setattr("durable_workflows.worker.pruning.AT_ONCE", -1.0)  # not even one batch in a turn
    duty.tick()
    assert len(ids()) == BATCH + 5
    monkeypatch.setattr("durable_workflows.worker.pruning.AT_ONCE", 60.0)
    duty.tick()
    assert not ids()
    ended(days=31)
    duty.tick()
    assert len(ids()) == 1, "there is a pause between two sweeps"


def test_old_starts_of_queues_that_nobody_claims_from_are_forgotten() -> None:
    make_queue("slow", declared={"limiter": {"limit": 1, "period": 3 * 86400.0}})
    for hours in (1, 23, 49, 100):
        QueueStart.objects.create(queue="slow", at=ago(hours=hours), number=1)
    assert rates.forget_starts(connection) == 1, "the longest window of any queue reaches back for three days"
    make_queue("gone")
    assert QueueStart.objects.count() == 3
