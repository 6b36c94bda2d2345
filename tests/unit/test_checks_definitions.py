"""The checks of what code declares: queues, places, schedules."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.apps import apps

from durable_workflows import Queue, registry, scheduled, step, workflow
from durable_workflows.checks.definitions import check_definitions


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which no code was loaded yet."""
    monkeypatch.setattr(registry, "_definitions", {})
    monkeypatch.setattr(registry, "_schedules", {})
    monkeypatch.setattr(Queue, "declared", {})


def top(scheduled_time: datetime, actual_time: datetime) -> None:
    """A function at the top level of its module."""


def without_arguments() -> None:
    """A schedule cannot call this one."""


def found() -> list[tuple[str, str]]:
    messages = check_definitions()
    assert all(message.hint and message.obj for message in messages)
    return [(str(message.id).partition(".")[2], message.msg) for message in messages]


def test_what_is_declared_well_is_left_alone() -> None:
    Queue("mail")
    scheduled("0 * * * *", queue="mail")(workflow(queue="mail")(top))
    step(without_arguments)
    assert found() == []


def test_the_default_queue_needs_no_declaration() -> None:
    workflow(top)
    assert found() == []


def test_a_queue_that_nobody_declared() -> None:
    Queue("mails")
    workflow(queue="mail")(top)
    [(identity, message)] = found()
    assert identity == "W030"
    assert "'mail'" in message
    assert "'mails'" in (check_definitions()[0].hint or "")


def test_the_queue_of_a_schedule_counts_too() -> None:
    scheduled("0 * * * *", queue="nightly")(workflow(top))
    [(identity, message)] = found()
    assert identity == "W030"
    assert "'nightly'" in message


def test_runs_that_name_no_partition() -> None:
    Queue("tenants", partition_queue=True)
    Queue("mail", concurrency=1)
    workflow(queue="tenants")(top)
    [(identity, message)] = found()
    assert identity == "W032"
    assert "'tenants'" in message
    monthly = workflow(name="tests.monthly", queue="mail")(top)
    scheduled("0 * * * *", queue="tenants")(monthly)
    assert [identity for identity, _ in found()] == ["W032", "W032"]


def test_an_enqueued_workflow_is_left_alone() -> None:
    Queue("tenants", partition_queue=True)
    workflow(top)
    assert found() == []


def test_a_function_that_only_one_process_has() -> None:
    @workflow
    def inner() -> None: ...

    assert [identity for identity, _ in found()] == ["W031"]


@pytest.mark.parametrize("function", [without_arguments, lambda moment: moment, lambda a, b, *, c: None])
def test_a_schedule_that_cannot_call_its_workflow(function: object) -> None:
    scheduled("0 * * * *")(workflow(name="tests.nightly")(function))
    messages = [message for identity, message in found() if identity == "E030"]
    assert len(messages) == 1
    assert "tests.nightly" in messages[0]


def test_apps_can_be_checked_one_by_one() -> None:
    workflow(queue="nowhere")(top)
    assert check_definitions(app_configs=[apps.get_app_config("durable_workflows")]) == []
    assert len(check_definitions(app_configs=None)) == 1
