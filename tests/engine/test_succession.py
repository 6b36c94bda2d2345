"""Where runs go strictly one after another, the end of one and the claim of the next are one commit, on PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from django.db import connection

from durable_workflows import Queue, WorkflowHandle, registry, step, workflow
from durable_workflows.ids import new_token
from durable_workflows.models import WorkflowRun, prepared, rules, slots
from durable_workflows.models.claims import Claim, Claimer
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.taking import Want
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from durable_workflows.worker import serving
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
    ending = Ending(run_id=done.id, token=others.get("token", done.token), output="1")
    want = Want(queue=queue.name, limit=1)
    ended, taken = slots.succeed(connection, ending, me(), want, others.get("rules", its_rules(queue)), new_token())
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
    done, following = first_and_second(queue)
    assert succeed(queue, done) == (False, [])
    assert states(done.id, following) == [RunState.RUNNING, RunState.ENQUEUED]


def ends_of(handles: list[WorkflowHandle[int]]) -> list[int]:
    return [handle.get_result(timeout=60) for handle in handles]


def test_replies_that_are_lost_before_or_after_the_commit_do_nothing_twice(
    serial: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose, send, lost = random.Random(5), prepared.exec_together, []

    def badly(pgconn: Any, statements: Any, text: bytes) -> Any:
        fate = choose.choice(["before", "after", "well", "well"])
        lost.append(fate)
        if fate == "before":
            pgconn.finish()
        result = send(pgconn, statements, text)
        if fate == "after":
            pgconn.finish()
            result = pgconn.make_empty_result(7)  # PGRES_FATAL_ERROR
        return result

    handles = serial.enqueue_many(books, list(range(60)))
    monkeypatch.setattr(prepared, "exec_together", badly)
    with durable_worker(threads=3):
        assert ends_of(handles) == list(range(60))
    assert {"before", "after"} <= set(lost)
    assert sorted(int(row.step) for row in Ledger.objects.all()) == list(range(60))
    assert {run.recovery_attempts for run in WorkflowRun.objects.all()} <= {1, 2}
