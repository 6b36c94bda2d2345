"""Schedules that cannot be: each a clear error that says what it takes, and no row."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_workflows import (
    InvalidUse,
    NotSerializable,
    ScheduleInput,
    apply_schedules,
    backfill_schedule,
    create_schedule,
    scheduled,
    start_workflow,
)
from durable_workflows.models import Schedule, StepRun, WorkflowRun
from durable_workflows.testing import drain
from tests.behaviour import programs

pytestmark = pytest.mark.django_db

MOMENT = datetime(2030, 1, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {"name": "good", "workflow": programs.greet, "cron": "0 * * * *"}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name of a schedule must not be empty or blank"),
    ({"name": " \t"}, "name of a schedule must not be empty or blank"),
    ({"name": "x" * 256}, "name of a schedule has at most 255 characters; this one has 256"),
    ({"name": "a\0b"}, "name of a schedule must not contain a NUL"),
    ({"name": None}, "name of a schedule is a str"),
    ({"workflow": " "}, "give the function, or its name, which is not blank"),
    ({"workflow": "x" * 256}, "name of a workflow has at most 255"),
    ({"workflow": lambda moment, context: None}, "neither decorated with @workflow"),
    ({"workflow": programs.write}, "'tests.behaviour.programs.write' is a step"),
    ({"workflow": None}, "neither decorated"),
    ({"cron": "every day"}, "has 2 fields"),
    ({"cron": "61 * * * *"}, "61 is not within 0-59"),
    ({"cron": "0 0 30 2 *"}, "never fires"),
    ({"cron": "0," * 5000 + "0 9 * * *"}, "at most 1000 characters"),
    ({"cron": 5}, "str such as '0 9"),
    ({"cron": None}, "either a cron expression or interval_seconds, and was given neither"),
    ({"interval_seconds": 60}, "either a cron expression or interval_seconds, not both"),
    ({"cron": None, "interval_seconds": 0}, "interval_seconds is a number of seconds, from 1 to"),
    ({"cron": None, "interval_seconds": -60}, "interval_seconds"),
    ({"cron": None, "interval_seconds": math.nan}, "interval_seconds"),
    ({"cron": None, "interval_seconds": "60"}, "interval_seconds"),
    ({"cron": None, "interval_seconds": 60, "timezone": "Mars/Olympus"}, "time zone 'Mars/Olympus' is unknown"),
    ({"timezone": "europe/berlin"}, "Use an IANA name, for example 'Europe/Berlin'"),
    ({"timezone": ""}, "time zone '' is unknown"),
    ({"timezone": 7}, "str such as 'Europe/Berlin'"),
    ({"catch_up": "some"}, "catch_up is 'skip' or 'last' or 'all', not 'some'"),
    ({"overlap": True}, "overlap is 'allow' or 'skip', not True"),
    ({"jitter_seconds": -1}, "jitter_seconds is a number of seconds from 0 to 1,000,000,000, not -1"),
    ({"jitter_seconds": math.inf}, "jitter_seconds"),
    ({"jitter_seconds": "5"}, "jitter_seconds"),
    ({"jitter_seconds": None}, "jitter_seconds"),
    ({"starts_at": MOMENT, "ends_at": MOMENT - timedelta(seconds=1)}, "before it starts: 2030"),
    ({"starts_at": datetime(2030, 1, 1)}, "starts_at is an aware datetime"),
    ({"ends_at": "2030-01-01"}, "ends_at is an aware datetime"),
    ({"ends_at": datetime.max.replace(tzinfo=UTC)}, "of the years 1900 to 9998"),
    ({"queue": ""}, "queue's name is 1 to 128 printable"),
    ({"queue": "q" * 129}, "queue's name"),
    ({"queue": "a\nb"}, "queue's name"),
    ({"queue": 5}, "queue's name"),
]
WAYS: list[Callable[..., Any]] = [
    create_schedule,
    lambda **fields: apply_schedules([{**GOOD, "name": "first"}, fields]),
    ScheduleInput,
]


@pytest.mark.parametrize("way", WAYS, ids=["create", "apply", "value"])
@pytest.mark.parametrize(("fields", "words"), BAD, ids=lambda value: "" if isinstance(value, dict) else value)
def test_what_cannot_be_is_refused_and_leaves_no_row(way: Callable[..., Any], fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidUse, match=words) as raised:
        way(**{**GOOD, **fields})
    assert len(str(raised.value)) < 500
    assert not Schedule.objects.exists()


@pytest.mark.parametrize("way", WAYS, ids=["create", "apply", "value"])
@pytest.mark.parametrize("context", [object(), {"when": math.nan}, {1: 2}, lambda: None])
def test_a_context_that_cannot_be_stored_is_refused_and_leaves_no_row(way: Callable[..., Any], context: Any) -> None:
    with pytest.raises(NotSerializable, match="context of schedule 'good'"):
        way(**GOOD, context=context)
    assert not Schedule.objects.exists()


@pytest.mark.parametrize("given", [None, 5, "good", ["good"], {}, {"name": "good"}, {**GOOD, "schedule": "0 * * * *"}])
def test_what_describes_no_schedule_is_not_applied(given: Any) -> None:
    with pytest.raises(InvalidUse, match="a ScheduleInput, or a dict with name and workflow"):
        apply_schedules([given])


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (datetime(2025, 5, 2), datetime(2025, 5, 1), "ends at 2025-05-01T00:00:00.00:00, before it starts"),
        ("2025-05-01", datetime(2025, 5, 1), "start is a datetime"),
        (datetime(2025, 5, 1), None, "end is a datetime"),
        (datetime(2000, 1, 1), datetime(2025, 1, 1), "more than 10,000 ticks.*shorter time"),
        (datetime.min.replace(tzinfo=UTC), datetime(2025, 1, 1), "more than 10,000 ticks"),
    ],
)
def test_a_backfill_that_cannot_be_starts_nothing(start: Any, end: Any, words: str) -> None:
    create_schedule(**GOOD)
    with pytest.raises(InvalidUse, match=words):
        backfill_schedule("good", start, end)
    assert not WorkflowRun.objects.exists()


@pytest.mark.parametrize("options", [{"catch_up": "some"}, {"overlap": "sometimes"}, {"overlap": None}, {"queue": " "}])
def test_a_decorator_refuses_the_same(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidUse):
        scheduled("0 * * * *", **options)(programs.greet)


def test_in_a_workflow_the_error_is_the_bodys_and_nothing_is_done() -> None:
    handle = start_workflow(programs.plans_badly)
    drain()
    assert handle.get_result(timeout=1) == "There is already a schedule named 'good'."
    assert Schedule.objects.filter(in_code=False).count() == 1
    refused = StepRun.objects.filter(error__isnull=False).order_by("position").values_list("name", flat=True)
    assert list(refused) == ["durable.create_schedule", "durable.backfill_schedule"]
