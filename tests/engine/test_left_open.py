"""A body that leaves a transaction open: that is its error, nothing is lost in it, and its thread lives on."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from durable_workflows import InvalidUse, step, workflow
from durable_workflows.models import StepRun
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from tests.app.models import Ledger
from tests.engine.isolation import DATABASE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]


def without_autocommit() -> None:
    transaction.set_autocommit(False)
    Ledger.objects.create(run_id="1", step="left open")


def in_a_block() -> None:
    transaction.atomic().__enter__()
    Ledger.objects.create(run_id="1", step="left open")


def in_two_blocks() -> None:
    transaction.atomic().__enter__()
    in_a_block()


def begun_past_django() -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    Ledger.objects.create(run_id="1", step="left open")


WAYS = {way.__name__: way for way in (without_autocommit, in_a_block, in_two_blocks, begun_past_django)}
TOLD = [name for name in WAYS if name != "begun_past_django" or DATABASE != "mariadb"]


@step(atomic=False)
def leaves_open(way: str) -> str:
    WAYS[way]()
    return "returned"


@step
def leaves_a_block_open() -> str:
    in_two_blocks()
    return "returned"


@workflow
def has_such_a_step(way: str) -> str:
    return leaves_open(way)


@workflow
def has_such_an_atomic_step() -> str:
    return leaves_a_block_open()


@workflow
def is_such_a_body(way: str) -> str:
    WAYS[way]()
    return "returned"


@workflow
def calls_a_step_amid_it(way: str) -> int:
    WAYS[way]()
    return counts()


@step
def counts() -> int:
    return Ledger.objects.count()


@workflow
def bystander() -> int:
    return counts()


def fails_alone(target: Any, *args: str) -> None:
    """The run ends with the error, on record, and the thread that executed it executes the next."""
    with durable_worker(threads=1):
        handle = target.start(*args)
        with pytest.raises(InvalidUse, match="transaction"):
            handle.get_result(timeout=20)
        assert bystander.start().get_result(timeout=20) == 0
    assert handle.run.status == RunState.ERROR


@pytest.mark.parametrize("way", TOLD)
def test_a_step_without_a_transaction_of_its_own(way: str) -> None:
    fails_alone(has_such_a_step, way)
    assert "left a transaction open" in str(StepRun.objects.filter(name=leaves_open.durable.name).get().error)


def test_a_step_with_one() -> None:
    fails_alone(has_such_an_atomic_step)


@pytest.mark.parametrize("way", TOLD)
def test_a_workflows_body(way: str) -> None:
    fails_alone(is_such_a_body, way)


@pytest.mark.parametrize("way", ["without_autocommit", "in_a_block"])
def test_a_workflows_body_that_calls_a_step_amid_it(way: str) -> None:
    fails_alone(calls_a_step_amid_it, way)


def test_a_step_called_directly_leaves_the_callers_connection_as_it_was() -> None:
    with pytest.raises(InvalidUse, match="left a transaction open"):
        has_such_a_step("in_two_blocks")
    assert not connection.in_atomic_block
    assert transaction.get_autocommit()
    assert not Ledger.objects.exists()
