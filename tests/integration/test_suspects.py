"""Runs that may have killed their worker are run alone; a worker that cannot run one is not held up by it."""

from __future__ import annotations

import pytest
from django.db import connection

from durable_workflows import Queue, sleep, start_workflow, step, workflow
from durable_workflows.models import Worker, WorkflowRun, claims, sweeps
from durable_workflows.models.claims import Claimer, Pick
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import Stranded
from durable_workflows.testing import drain

pytestmark = pytest.mark.django_db
KNOWN = [("known", "")]


@pytest.fixture
def me() -> Claimer:
    Worker.objects.create(id="me", pid=1, lease_seconds=30, started_at=DatabaseNow(), heartbeat_at=DatabaseNow())
    return Claimer(worker_id="me", names=("known",))


def suspect(name: str, queue: str = "default") -> str:
    run_id = Queue(queue).enqueue(name).workflow_id
    WorkflowRun.objects.filter(pk=run_id).update(suspect=True)
    return run_id


def test_a_suspect_is_claimed_when_suspects_are_asked_for_and_not_otherwise(me: Claimer) -> None:
    run_id = suspect("known")
    assert not claims.claim(connection, me, Pick(queue="default", limit=10), "a")
    assert sweeps.pulse(connection, ["default"]).suspects
    assert claims.has_suspect(connection, me, "default")
    assert [claim.id for claim in claims.claim(connection, me, Pick(queue="default", limit=1, suspects=True), "b")] == [run_id]
    assert not claims.has_suspect(connection, me, "default")


def test_a_suspect_that_others_are_to_run_does_not_empty_the_pool(me: Claimer) -> None:
    suspect("theirs")
    suspect("known", queue="elsewhere")
    assert not claims.has_suspect(connection, me, "default")
    assert claims.has_suspect(connection, me, "elsewhere")
    assert not sweeps.pulse(connection, ["nowhere"]).suspects
    assert not claims.has_suspect(connection, Claimer(worker_id="idle", names=()), "elsewhere")


def test_a_suspect_that_nobody_knows_is_set_aside_like_others(me: Claimer) -> None:
    lost, kept = suspect("retired"), suspect("known")
    start_workflow("known")
    assert sweeps.strand_unknown(connection, ["default"], KNOWN) == 1
    assert WorkflowRun.objects.get(pk=lost).stranded == Stranded.NAME
    assert sweeps.readmit_known(connection, KNOWN) == 0
    assert sweeps.readmit_known(connection, [("retired", "")]) == 1
    assert WorkflowRun.objects.get(pk=lost).suspect
    assert WorkflowRun.objects.get(pk=kept).stranded == Stranded.NO


@step
def records() -> None:
    pass


@workflow
def records_then_dozes() -> None:
    records()
    sleep(1000)


@pytest.mark.parametrize(("recorded_before", "kept"), [(0, False), (1, True)], ids=["further-than-before", "no-further"])
def test_one_that_lives_and_comes_further_is_no_suspect_any_more(recorded_before: int, kept: bool) -> None:
    run = records_then_dozes.start().run
    lost = {"suspect": True, "stalled": 2, "recovery_attempts": 3, "progress_mark": recorded_before}
    WorkflowRun.objects.filter(pk=run.pk).update(**lost)
    drain()
    run.refresh_from_db()
    assert (run.status, run.suspect, run.stalled) == ("WAITING", kept, 2 if kept else 0)
