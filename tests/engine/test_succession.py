"""Where runs go strictly one after another, the end of one and the claim of the next are one commit, on PostgreSQL."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from django.db import connection

from durable_workflows import Queue, WorkflowHandle, continue_as_new, registry, signals, step, workflow
from durable_workflows.ids import new_token
from durable_workflows.models import Worker, WorkflowRun, prepared, rules, slots, swift
from durable_workflows.models.claims import Claim, Claimer, Pick
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.taking import Want
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from durable_workflows.worker import claimer, serving
from tests.app.models import Ledger
from tests.engine.isolation import DATABASE

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(DATABASE != "postgresql", reason="the other drivers send one statement at a time"),
]
ME = "one"


@step(atomic=True)
def book(number: int) -> None:
    Ledger.objects.create(run_id="serial", step=str(number))


@workflow
def books(number: int) -> int:
    book(number)
    return number


@pytest.fixture
def serial() -> Queue:
    queue = Queue("serial", concurrency=1)
    serving.declare([queue.name])
    return queue


def me() -> Claimer:
    return Claimer(worker_id=ME, names=tuple(registry.names()))


def its_rules(queue: Queue) -> rules.Rules:
    return rules.read_rules(connection)[queue.name]


def first_and_second(queue: Queue) -> tuple[Claim, str]:
    """The first of two runs, claimed, and the id of the other."""
    first, second = queue.enqueue_many(books, [1, 2])
    [claim] = slots.take(connection, me(), Want(queue=queue.name, limit=1), its_rules(queue), new_token()).claims
    assert claim.id == first.workflow_id
    return claim, second.workflow_id


def succeed(queue: Queue, done: Claim, **others: Any) -> tuple[bool, list[str]]:
    ending = Ending(run_id=done.id, token=others.get("token", done.token), output=others.get("output", "1"))
    pick = Pick(queue=queue.name, limit=1, keeps=False)
    ended, taken = swift.succeed(connection, ending, me(), pick, others.get("rules", its_rules(queue)), new_token())
    return ended, [claim.id for claim in taken]


def states(*run_ids: str) -> list[str]:
    return [WorkflowRun.objects.get(pk=run_id).status for run_id in run_ids]


def test_the_next_is_taken_with_the_end_of_the_one_before(serial: Queue) -> None:
    done, following = first_and_second(serial)
    assert succeed(serial, done) == (True, [following])
    assert states(done.id, following) == [RunState.SUCCESS, RunState.RUNNING]


def test_it_has_ended_though_nothing_follows(serial: Queue) -> None:
    done, following = first_and_second(serial)
    WorkflowRun.objects.filter(pk=following).update(stranded="name")
    assert succeed(serial, done) == (True, [])
    assert states(done.id) == [RunState.SUCCESS]


def awaited(done: Claim) -> dict[str, Any]:
    WorkflowRun.objects.filter(pk=done.id).update(awaited=True)
    return {}


def paused(done: Claim) -> dict[str, Any]:
    WorkflowRun.objects.filter(pk=done.id).update(status=RunState.PAUSED)
    return {}


def taken_away(done: Claim) -> dict[str, Any]:
    return {"token": new_token()}


@pytest.mark.parametrize("make", [awaited, paused, taken_away])
def test_one_that_cannot_be_ended_like_this_is_left_with_its_place(
    serial: Queue, make: Callable[[Claim], dict[str, Any]]
) -> None:
    done, following = first_and_second(serial)
    others = make(done)
    before = states(done.id, following)
    assert succeed(serial, done, **others) == (False, [])
    assert states(done.id, following) == before


def test_another_worker_that_has_the_queues_row_is_not_waited_for(serial: Queue) -> None:
    done, following = first_and_second(serial)
    with closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("SELECT 1 FROM durable_workflows_queuestate WHERE name = %s FOR UPDATE", [serial.name])
        assert succeed(serial, done) == (False, [])
        assert states(done.id, following) == [RunState.RUNNING, RunState.ENQUEUED]


def test_by_rules_that_are_not_the_rows_nothing_is_taken(serial: Queue) -> None:
    done, following = first_and_second(serial)
    before = its_rules(serial)
    rules.change(connection, [serial.name], paused=True)
    assert succeed(serial, done, rules=before) == (True, [])
    assert states(done.id, following) == [RunState.SUCCESS, RunState.ENQUEUED]


@pytest.mark.parametrize("limits", [{"concurrency": 2}, {"concurrency": 1, "waiting": "hold"}, {"worker_concurrency": 1}])
def test_only_where_they_go_one_after_another(limits: dict[str, Any]) -> None:
    queue = Queue("other", **limits)
    serving.declare([queue.name])
    assert not swift.is_serial(connection, its_rules(queue))


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_at_a_level_without_a_snapshot_for_each_statement_nothing_is_taken(serial: Queue, level: str) -> None:
    done, following = first_and_second(serial)
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")
    try:
        assert succeed(serial, done) == (True, [])
    finally:
        connection.close()
    assert states(done.id, following) == [RunState.SUCCESS, RunState.ENQUEUED]


def ends_of(handles: list[WorkflowHandle[int]]) -> list[int]:
    return [handle.get_result(timeout=60) for handle in handles]


def test_replies_that_are_lost_before_or_after_the_commit_do_nothing_twice(
    serial: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose, send, lost = random.Random(5), prepared.exec_together, []

    def badly(pgconn: Any, *args: Any) -> Any:
        fate = choose.choice(["before", "after", "well", "well"])
        lost.append(fate)
        if fate == "before":
            pgconn.finish()
        results = send(pgconn, *args)
        if fate == "after":
            pgconn.finish()
            results = [pgconn.make_empty_result(7)]  # PGRES_FATAL_ERROR
        return results

    handles = serial.enqueue_many(books, list(range(60)))
    monkeypatch.setattr(prepared, "exec_together", badly)
    with durable_worker(threads=3):
        assert ends_of(handles) == list(range(60))
    assert {"before", "after"} <= set(lost)
    assert sorted(int(row.step) for row in Ledger.objects.all()) == list(range(60))
    assert {run.recovery_attempts for run in WorkflowRun.objects.all()} <= {1, 2}


def test_what_runs_return_is_no_part_of_what_the_server_logs_and_shows(serial: Queue) -> None:
    """A refused lock is an error, whose statement the server writes down; parameters stay out of it."""
    done, _ = first_and_second(serial)
    with closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("SELECT 1 FROM durable_workflows_queuestate WHERE name = %s FOR UPDATE", [serial.name])
        assert succeed(serial, done, output='"4242 4242"') == (False, [])
        assert "4242" not in last_statement(cursor)
        other.rollback()
        assert succeed(serial, done, output='"4242 4242"')[0]
        assert "4242" not in last_statement(cursor)
    assert WorkflowRun.objects.get(pk=done.id).output == '"4242 4242"'


def last_statement(watcher: Any) -> str:
    """What another session sees of this one."""
    pid = connection.connection.info.backend_pid
    watcher.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
    [(query,)] = watcher.fetchall()
    assert query
    return str(query)


@workflow
def begins_anew(turns: int) -> int:
    if turns:
        continue_as_new(turns - 1)
    return turns


def test_one_that_began_anew_is_succeeded_too(serial: Queue) -> None:
    """By its end it has another claim than the one that its thread was given."""
    handles = [serial.enqueue(begins_anew, turns) for turns in (3, 0, 2, 1)]
    with durable_worker(threads=3) as worker:
        assert ends_of(handles) == [0, 0, 0, 0]
        worker.stop(grace=20)
    assert WorkflowRun.objects.filter(status=RunState.SUCCESS).count() == 4


def test_a_receiver_may_wait_for_what_follows(serial: Queue) -> None:
    handles, seen = serial.enqueue_many(books, [1, 2]), []

    def waits(run_id: str, **kwargs: Any) -> None:
        if run_id == handles[0].workflow_id:
            seen.append(handles[1].get_result(timeout=20))

    signals.run_finished.connect(waits)
    try:
        with durable_worker(threads=3):
            assert ends_of(handles) == [1, 2]
            until(lambda: seen)
    finally:
        signals.run_finished.disconnect(waits)
    assert seen == [2]


def test_a_row_is_broken_off_for_workers_with_other_code(serial: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claimer, "ROW_SECONDS", 0.1)
    monkeypatch.setattr(claimer, "REST_SECONDS", 0.2)
    handles = serial.enqueue_many(books, list(range(300)))
    known = its_rules(serial)
    other = Claimer(worker_id="other", names=("unknown_here",))
    Worker.objects.create(
        id="other", pid=1, names=["unknown_here"], lease_seconds=60, started_at=DatabaseNow(), heartbeat_at=DatabaseNow()
    )
    serial.enqueue("unknown_here")

    def takes() -> bool:
        return bool(slots.take(connection, other, Want(queue=serial.name, limit=1), known, new_token()).claims)

    with durable_worker(threads=3):
        until(lambda: states(handles[5].workflow_id) == [RunState.SUCCESS])
        until(takes)
        assert states(handles[-1].workflow_id) == [RunState.ENQUEUED], "there was a row to be broken off"


def until(there: Callable[[], object]) -> None:
    last_look = time.monotonic() + 30
    while not there():
        assert time.monotonic() < last_look
        time.sleep(0.01)
