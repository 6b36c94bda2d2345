"""Runs that are born with a lease, as a direct call's are: the test says when, and where, they are executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from durable_workflows.engine.children import claim_of
from durable_workflows.engine.runner import run_claimed
from durable_workflows.engine.services import PlainServices
from durable_workflows.ids import new_run_id, new_token
from durable_workflows.models import outcomes, starts
from durable_workflows.models.claims import Claim
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.transactions import in_autocommit
from durable_workflows.serializers import dumps


class Unparked(PlainServices):
    """A wait suspends at once."""

    def may_park(self) -> bool:
        return False


class Grouped(Unparked):
    """A run ends with others in one statement, and singly when that leaves it out, as ``worker.groups`` has it."""

    def end(self, ending: Ending) -> bool:
        gone = Ending(run_id="gone", token="gone")
        ended = in_autocommit(outcomes.end_group, [gone, ending])
        return ended[1] or in_autocommit(outcomes.end, ending)


def leased(workflow: Any, *args: Any, worker_id: str = "a-test", **fields: Any) -> Claim:
    """A run of a workflow that has just been claimed."""
    inputs = dumps({"args": list(args), "kwargs": {}}, what="arguments")
    fields = {"id": new_run_id(), "worker_id": worker_id, "token": new_token(), **fields}
    run = NewRun(name=workflow.durable.name, inputs=inputs, **fields)
    in_autocommit(starts.insert, [run])
    return claim_of(run)


def execute(claim: Claim, services: PlainServices | None = None) -> None:
    """One attempt of a run, in this thread."""
    run_claimed(claim, services or Unparked())


def query(sql: str, *params: Any) -> Sequence[tuple[Any, ...]]:
    """Plain SQL, past everything that is under test."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found: Sequence[tuple[Any, ...]] = cursor.fetchall()
    return found
