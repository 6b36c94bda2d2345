"""Parents that wait for their children, and tell them things meanwhile: in whatever order they do it, they finish."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from durable_workflows import current, get_event, recv, send, set_event, start_workflow, wait_all, workflow
from durable_workflows.models import Wait
from durable_workflows.testing import durable_worker

PAIRS = 12


@workflow
def returns(value: Any) -> Any:
    return value


@workflow
def waits_to_be_told() -> Any:
    return recv("word")


@workflow
def reads_of(workflow_id: str) -> Any:
    return get_event(workflow_id, "word", timeout_seconds=None)


@workflow
def tells_after() -> Any:
    """Awaits child 1, and only then tells child 2 what it waits for."""
    one, two = returns.start("the word"), waits_to_be_told.start()
    send(two.workflow_id, one.get_result(), "word")
    return two.get_result()


@workflow
def tells_in_turn() -> Any:
    """All are started, then each is told after the one before it has ended."""
    handles = [waits_to_be_told.start() for _ in range(PAIRS)]
    word = "the word"
    for handle in handles:
        send(handle.workflow_id, word, "word")
        word = handle.get_result()
    return word


@workflow
def tells_those_before() -> Any:
    """The children that are awaited first wait for what the last one returns."""
    handles = [waits_to_be_told.start() for _ in range(PAIRS)]
    last = returns.start("the word").get_result()
    for handle in handles:
        send(handle.workflow_id, last, "word")
    return wait_all(handles)[0]


@workflow
def publishes_after(value: str) -> Any:
    one = returns.start(value)
    two = [reads_of.start(own_id()) for _ in range(4)]
    set_event("word", one.get_result())
    return wait_all(two)[-1]


def own_id() -> str:
    now = current()
    assert now is not None
    return now.workflow_id


@workflow
def is_told_by_its_sister() -> Any:
    """Child 1 ends when child 2 has told it; the parent awaits them in that order."""
    one = waits_to_be_told.start()
    two = start_workflow(tells, one.workflow_id)
    return [one.get_result(), two.get_result()][0]


@workflow
def tells(workflow_id: str) -> None:
    send(workflow_id, "the word", "word")


@workflow
def has_grandchildren(depth: int) -> Any:
    if not depth:
        return "the word"
    return wait_all([has_grandchildren.start(depth - 1) for _ in range(3)])[0]


@workflow
def calls_a_child_that_waits() -> Any:
    """The child is called, waits for its own children, and both suspend."""
    return publishes_after("the word")


FAMILIES: dict[str, Any] = {
    "tells after": tells_after,
    "tells in turn": tells_in_turn,
    "tells those before": tells_those_before,
    "publishes after": publishes_after,
    "is told by its sister": is_told_by_its_sister,
    "has grandchildren": has_grandchildren,
    "calls a child that waits": calls_a_child_that_waits,
}
ARGS: dict[str, tuple[Any, ...]] = {"publishes after": ("the word",), "has grandchildren": (3,)}


@pytest.mark.sampled(2)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("parking", [0, 1.0], ids=["unparked", "parked"])
def test_they_finish(threads: int, parking: float, settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"PARK_SECONDS": parking}
    handles = {name: family.start(*ARGS.get(name, ())) for name, family in FAMILIES.items()}
    with durable_worker(threads=threads):
        results = {name: handle.get_result(timeout=60) for name, handle in handles.items()}
    assert results == dict.fromkeys(FAMILIES, "the word")
    assert not Wait.objects.exists()
