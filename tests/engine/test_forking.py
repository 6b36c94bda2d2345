"""Another run with the first one's history up to a step, which goes on from there by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from durable_workflows import (
    InvalidUse,
    NotSerializable,
    Queue,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    SetWorkflowUser,
    WorkflowNotFound,
    cancel_workflow,
    fork_workflow,
    fork_workflows,
    get_all_events,
    get_result,
    recv,
    rewind_workflow,
    saga,
    select,
    send,
    start_many,
    start_workflow,
    step,
    wait_first,
    workflow,
)
from durable_workflows.models import Message, StepRun, WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import drain, lose
from tests.engine.deeds import did, do, undo
from tests.engine.journeys import FAILING, RESULT, STEPS, child, everything, finish, story, straight, tell

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]


@pytest.fixture(autouse=True)
def nothing_fails() -> Iterator[None]:
    yield
    FAILING.clear()


def test_from_every_step_it_ends_as_a_straight_run() -> None:
    source = straight()
    told, deeds = story(source), did(source)
    assert [row[1] for row in told["steps"]] == list(range(1, STEPS + 1))
    for start in range(1, STEPS + 3):
        handle = fork_workflow(source, start)
        assert len(story(handle.workflow_id)["steps"]) == min(start, STEPS + 1) - 1
        tell(handle.workflow_id)
        finish()
        assert handle.get_result() == RESULT, start
        assert story(handle.workflow_id, source) == told, start
    assert story(source) == told, "the first run is as it was"
    assert did(source) == deeds


def test_a_fork_can_be_forked_and_rewound_as_the_first_run_can() -> None:
    source = straight()
    told = story(source)
    fork = fork_workflow(source, 20)
    send(fork.workflow_id, "chosen", "and")
    finish()
    rewind_workflow(fork.workflow_id, 5)
    again = fork_workflow(fork.workflow_id, 3)
    tell(again.workflow_id)
    finish()  # what the fork had received with its history is there again
    for handle in (fork, again):
        assert handle.get_result() == RESULT
        assert story(handle.workflow_id, source, fork.workflow_id) == told
    lose(again.workflow_id)
    drain()
    assert story(again.workflow_id, source, fork.workflow_id) == told


def test_it_has_what_the_first_run_has_and_not_what_belongs_to_that_one_alone() -> None:
    lane, other = Queue("lane", partition_queue=True), Queue("other")
    with (
        SetWorkflowAttributes({"order": 7}), SetWorkflowUser("ada"), SetWorkflowTimeout(500),
        SetEnqueueOptions(priority=3, deduplication_id="only", queue_partition_key="k"),
    ):  # fmt: skip
        source = lane.enqueue(everything, "y", more="z")
    drain()
    fork = fork_workflow(source.workflow_id, 3).run
    run = source.run
    assert (fork.name, fork.inputs, fork.queue, fork.partition_key) == (run.name, run.inputs, "lane", "k")
    assert (fork.attributes, fork.user, fork.app_version) == ({"order": 7}, "ada", run.app_version)
    assert (fork.priority, fork.deduplication_id, fork.deadline, fork.timeout_seconds) == (0, None, None, None)
    assert (fork.forked_from_id, fork.parent_id, fork.status, fork.attempt) == (run.pk, None, RunState.ENQUEUED, 0)
    assert (run.was_forked_from, fork.was_forked_from, run.deduplication_lock) == (True, False, "only")
    fork = fork_workflow(source.workflow_id, 3, queue=other.name, app_version="v2").run
    assert (fork.queue, fork.partition_key, fork.app_version) == ("other", "", "v2")
    status = fork_workflow(source.workflow_id, 3).get_status()
    assert (status.forked_from, status.was_forked_from) == (run.pk, False)


def test_its_arguments_can_be_others() -> None:
    source = straight("a", more="b")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["a", "b"]), ({"args": ["c"]}, ["c", "b"]), ({"kwargs": {"more": "d"}}, ["a", "d"]),
        ({"args": ("e",), "kwargs": {}}, ["e", ""]), ({"args": [], "kwargs": {"what": "f"}}, ["f", ""]),
    ]  # fmt: skip
    for given, expected in cases:
        handle = fork_workflow(source, 25, **given)
        finish()
        assert handle.get_result()[:2] == expected
    rich = fork_workflow(source, 25, args=[date(2030, 1, 31)])
    finish()
    assert rich.get_result()[0] == date(2030, 1, 31)


@workflow
def waits() -> Any:
    do("before")
    return recv("go")


def test_a_run_of_any_state_can_be_forked_and_goes_on_undisturbed() -> None:
    source = waits.start()
    new = fork_workflow(source.workflow_id, 1)
    drain()
    waiting = fork_workflow(source.workflow_id, 2)
    send(source.workflow_id, "to the first", "go")
    late = fork_workflow(source.workflow_id, 99)
    drain()
    assert source.get_result() == "to the first"
    forks = (new, waiting, late)
    assert [handle.run.status for handle in forks] == [RunState.WAITING] * 3, "a message is for the run it was sent to"
    for handle in forks:
        send(handle.workflow_id, "to the fork", "go")
    drain()
    assert {handle.get_result() for handle in forks} == {"to the fork"}
    assert [did(handle.workflow_id) for handle in forks] == [["before"], [], []]


@workflow
def awaits_them() -> list[Any]:
    one = start_workflow(child, "one")  # 1
    several = start_many(child, ["two", "three"])  # 2
    first = wait_first([one])  # 3
    chosen = select(handles=[one])  # 4
    assert chosen is not None
    do("between")  # 5
    return [one.workflow_id, first.workflow_id, chosen.value.workflow_id, *(each.get_result() for each in several)]


def test_children_in_what_is_copied_can_be_replaced() -> None:
    source = awaits_them.start()
    drain()
    old = list(
        WorkflowRun.objects.filter(parent_id=source.workflow_id).order_by("created_at", "pk").values_list("pk", flat=True)
    )
    better = [fork_workflow(run_id, 1, args=[f"better {number}"]).workflow_id for number, run_id in enumerate(old)]
    drain()
    fork = fork_workflow(source.workflow_id, 6, replacement_children=dict(zip(old, better, strict=True)))
    drain()
    assert fork.get_result() == [better[0]] * 3 + ["better 1", "better 2"]
    kept = StepRun.objects.filter(run_id=fork.workflow_id, child_id__isnull=False)
    assert set(kept.values_list("child_id", flat=True)) == set(better)
    assert source.get_result()[0] == old[0]
    swapped = fork_workflow(source.workflow_id, 6, replacement_children={old[1]: old[2], old[2]: old[1]})
    drain()
    assert swapped.get_result()[3:] == ["three", "two"]


@workflow
def books() -> str:
    with saga() as trip:
        trip.undo(undo, do("flight"))
        recv("go")
        do("hotel")
    return "booked"


def test_what_was_cancelled_is_not_cancelled_in_a_fork_and_what_a_fork_has_kept_of_a_saga_it_undoes() -> None:
    source = books.start()
    drain()
    cancel_workflow(source.workflow_id)
    drain()
    fork, doomed = fork_workflows([source.workflow_id] * 2, 99)
    cancel_workflow(doomed.workflow_id)
    send(fork.workflow_id, None, "go")
    drain()
    assert fork.get_result() == "booked"
    assert did(fork.workflow_id) == ["hotel"]
    assert (doomed.run.status, did(doomed.workflow_id)) == (RunState.CANCELLED, ["undo flight"])


def test_it_can_be_named_and_is_made_once() -> None:
    source = straight()
    with SetWorkflowID("mine"):
        first = fork_workflow(source, 5)
    with SetWorkflowID("mine"):
        assert fork_workflow(source, 9) == first
    assert len(story("mine", source)["steps"]) == 4
    with SetWorkflowID("mine"), pytest.raises(InvalidUse, match="no fork"):
        fork_workflow("mine", 1)
    with SetWorkflowID("both"), pytest.raises(InvalidUse, match="one run"):
        fork_workflows([source, source], 1)
    assert not WorkflowRun.objects.filter(pk="both").exists()


@workflow
def forks_itself_and_others(run_ids: list[str]) -> list[list[str]]:
    do("before")
    with SetWorkflowID("named"):
        named = fork_workflow(run_ids[0], 2)
    made = fork_workflows(run_ids, 2)
    return [[named.workflow_id], [each.workflow_id for each in made], [in_a_step(run_ids[0])]]


@step(max_attempts=2, interval_seconds=0.0)
def in_a_step(run_id: str) -> str:
    made = fork_workflow(run_id, 2)
    if "step" in FAILING:
        FAILING.clear()
        raise ConnectionError
    return made.workflow_id


def test_in_a_workflow_it_is_recorded_and_its_id_is_derived() -> None:
    FAILING.add("step")
    sources = [waits.start().workflow_id for _ in range(2)]
    drain()
    with SetWorkflowID("operator"):
        handle = forks_itself_and_others.start(sources)
    drain()
    expected = [["named"], ["operator-3-1", "operator-3-2"], ["operator-4-1"]]
    assert handle.get_result() == expected
    assert [row[2:4] for row in story("operator")["steps"]][1:3] == [("durable.fork_workflow", "manage")] * 2
    lose("operator")
    drain()
    assert handle.get_result() == expected
    assert WorkflowRun.objects.filter(forked_from_id__in=sources).count() == 4
    assert not WorkflowRun.objects.filter(forked_from_id__in=sources).exclude(status=RunState.WAITING).exists()


@workflow
def forks_itself(depth: int) -> list[str]:
    do("before")
    made = fork_workflow("itself", 99).workflow_id if depth else ""
    do("after")
    return [made]


def test_a_run_may_fork_itself_and_both_go_on_behind_the_call() -> None:
    with SetWorkflowID("itself"):
        handle = forks_itself.start(1)
    drain()
    assert handle.get_result() == get_result("itself-2") == ["itself-2"]
    assert (did("itself"), did("itself-2")) == (["before", "after"], ["after"])


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"start_step": 0}, InvalidUse), ({"start_step": True}, InvalidUse), ({"start_step": "1"}, InvalidUse),
        ({"queue": ""}, InvalidUse), ({"queue": 5}, InvalidUse), ({"app_version": "\0"}, InvalidUse),
        ({"app_version": "v" * 200}, InvalidUse), ({"args": "abc"}, InvalidUse), ({"args": {"a": 1}}, InvalidUse),
        ({"args": [object()]}, NotSerializable), ({"args": ["x" * 9_000_000]}, NotSerializable),
        ({"kwargs": {1: 2}}, InvalidUse), ({"kwargs": [1]}, InvalidUse), ({"args": ["\ud800"]}, NotSerializable),
        ({"replacement_children": ["a"]}, InvalidUse), ({"replacement_children": {"a": ""}}, InvalidUse),
        ({"replacement_children": {"a": "nobody"}}, WorkflowNotFound),
    ],
)  # fmt: skip
def test_bad_input_makes_no_fork(bad: dict[str, Any], error: type[Exception]) -> None:
    source = waits.start()
    with pytest.raises(error):
        fork_workflow(source.workflow_id, **{"start_step": 1, **bad})
    assert WorkflowRun.objects.count() == 1
    assert not source.run.was_forked_from


def test_all_or_nothing() -> None:
    source = waits.start().workflow_id
    drain()
    for bad, error in (("nobody", WorkflowNotFound), ("\0", InvalidUse), ("", InvalidUse), (5, InvalidUse)):
        with pytest.raises(error):
            fork_workflows([source, bad], 1)  # type: ignore[list-item]  # on purpose
    assert WorkflowRun.objects.count() == 1
    assert fork_workflows([], 1) == []
    assert get_all_events(source) == {}
    assert not Message.objects.exists()
