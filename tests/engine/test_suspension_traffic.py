"""What a suspension costs: counted at the driver, on PostgreSQL, from the claimed run to its sleep."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection

from durable_workflows import recv, sleep, workflow
from durable_workflows.models import Wait, WorkflowRun
from durable_workflows.states import RunState
from tests.engine.born import execute, leased
from tests.engine.isolation import DATABASE
from tests.engine.test_step_traffic import round_trips

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("committing", "unparked"),
    pytest.mark.skipif(DATABASE != "postgresql", reason="libpq alone can tell what it sends"),
]


@workflow
def sleeps() -> None:
    sleep(3600)


@workflow
def receives() -> Any:
    return recv()


@workflow
def receives_in_time() -> Any:
    return recv(timeout_seconds=3600)


@pytest.mark.parametrize(
    ("waiter", "expected"),
    [
        (sleeps, ["BEGIN", "INSERT", "UPDATE", "COMMIT"]),
        # It looks whether the message is there, and again once it has locked the row that its sender would lock.
        (receives, ["SELECT", "BEGIN", "UPDATE", "SELECT", "INSERT", "UPDATE", "COMMIT"]),
        (receives_in_time, ["SELECT", "BEGIN", "UPDATE", "SELECT", "INSERT", "UPDATE", "COMMIT"]),
    ],
)
def test_a_first_wait(waiter: Any, expected: list[str]) -> None:
    for _ in range(2):  # the first time its statements are prepared
        claim = leased(waiter)
        connection.ensure_connection()
        with round_trips() as sent:
            execute(claim)
    assert [_verb(said) for said in sent] == expected, sent
    assert WorkflowRun.objects.get(pk=claim.id).status == RunState.WAITING
    assert Wait.objects.filter(run_id=claim.id).count() == 1


WORDS = ("BEGIN", "COMMIT", "INSERT", "UPDATE", "SELECT")


def _verb(said: str) -> str:
    """What a statement does, a prepared one by the text that the server has under its name."""
    if name := re.search(r"_pg3_\d+", said):
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement FROM pg_prepared_statements WHERE name = %s", [name[0]])
            said = cursor.fetchone()[0]
    return next(word for word in WORDS if word in said)
