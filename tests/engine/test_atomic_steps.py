"""The record that a step is done exists if and only if what its body wrote does: whatever the body does, at each level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from durable_workflows import WorkflowHandle, signals
from durable_workflows.models import Message, StepAttempt, StepRun, WorkflowRun
from durable_workflows.testing import drain, durable_worker
from tests.app.models import Ledger
from tests.engine import bodies
from tests.engine.bodies import CASES, HOOKS, Case, runs_case, told
from tests.engine.isolation import at_each_level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
each_case = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])


@pytest.fixture(autouse=True)
def no_hooks() -> None:
    HOOKS.clear()


@pytest.fixture
def failed_hooks() -> Iterator[list[str]]:
    """The steps of which a hook failed."""
    found: list[str] = []

    def heard(*, step: str, **kwargs: Any) -> None:
        found.append(step)

    signals.hook_failed.connect(heard)
    yield found
    signals.hook_failed.disconnect(heard)


def called(case: Case, key: str) -> None:
    """By a direct call."""
    met = ""
    try:
        runs_case(case.name, key)
    except Exception as error:  # noqa: BLE001  # compared with what the case says
        met = type(error).__name__
    assert met == case.error or (met and case.error == "any")


def drained(case: Case, key: str) -> None:
    """As a run that was started."""
    runs_case.start(case.name, key)
    drain()


def check(case: Case, key: str) -> None:
    """The step's record says what the rows say."""
    [run] = WorkflowRun.objects.filter(inputs__contains=key, name=runs_case.durable.name)
    [record] = StepRun.objects.filter(run=run)
    rows = set(Ledger.objects.filter(run_id=key).values_list("note", flat=True))
    assert rows == set(case.rows)
    assert (record.error is None) == (not case.error), record.error
    assert (record.name, record.attempts, run.status) == (case.step.durable.name, 1, "ERROR" if case.error else "SUCCESS")
    assert not StepAttempt.objects.filter(run=run).exists()
    children = WorkflowRun.objects.filter(parent=run)
    expected = 1 if case.name == "sends_and_starts" else 0
    assert (children.count(), Message.objects.filter(run__in=children).count()) == (expected, expected)


def nothing_is_open() -> None:
    assert not connection.in_atomic_block
    if connection.vendor == "postgresql":
        assert connection.connection is None or connection.connection.info.transaction_status == 0
    if connection.vendor == "sqlite":
        assert connection.connection is None or not connection.connection.in_transaction


@each_case
@at_each_level
def test_the_step_is_done_if_and_only_if_its_writes_exist(case: Case, level: str, failed_hooks: list[str]) -> None:
    hooked = int(case.name.startswith("hooks_") and not case.error)
    for run in (called, drained):
        key = f"key-{uuid4()}"
        run(case, key)
        nothing_is_open()
        check(case, key)
        assert [key] * hooked == HOOKS
        HOOKS.clear()
    assert failed_hooks == ([case.step.durable.name] * 2 if case.name == "hooks_that_fail" else [])


@pytest.mark.usefixtures("committing")
def test_the_same_on_the_threads_of_a_worker() -> None:
    keys = {name: f"key-{uuid4()}" for name in CASES}
    handles = [runs_case.start(name, key) for name, key in keys.items()]
    with durable_worker(threads=4):
        for handle in handles:
            finished(handle)
    for name, key in keys.items():
        check(CASES[name], key)


def finished(handle: WorkflowHandle[Any]) -> None:
    try:
        handle.get_result(timeout=30)
    except TimeoutError:
        raise
    except Exception:  # noqa: BLE001  # many of these fail; the rows tell
        pass


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items() if case.in_testcase])
def test_the_same_inside_a_testcase(case: Case, db: None) -> None:
    for run in (called, drained):
        key = f"key-{uuid4()}"
        run(case, key)
        check(case, key)


def test_every_body_is_a_case() -> None:
    assert len(CASES) > 30
    assert told.durable.name.startswith(bodies.__name__)
