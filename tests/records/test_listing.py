"""Runs and steps are listed by every filter, the same on every database, and never fail over one row."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from durable_workflows import (
    InvalidUse,
    Queue,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowUser,
    StepInfo,
    WorkflowHandle,
    WorkflowNotFound,
    WorkflowStatus,
    cancel_workflow,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    recv,
    send,
    start_workflow,
    step,
    workflow,
)
from durable_workflows.ids import new_worker_id
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import drain
from tests.app.models import Ledger

pytestmark = pytest.mark.django_db
THEN = datetime(2020, 1, 1, tzinfo=UTC)


@step(max_attempts=2, interval_seconds=0.0)
def doubles(number: int) -> int:
    if number < 0:
        raise ValueError(number)
    return 2 * number


@workflow
def sums(*numbers: int) -> int:
    return sum(doubles(number) for number in numbers)


@workflow
def parent() -> Any:
    return get_result(sums.start(1).workflow_id)


def started(run_id: str, target: Any = sums, *args: Any, **attributes: Any) -> None:
    with SetWorkflowID(run_id), SetWorkflowAttributes(attributes):
        start_workflow(target, *args)


def ids(**filters: Any) -> list[str]:
    return [status.workflow_id for status in list_workflows(**filters)]


def test_each_filter_takes_one_value_or_a_list_and_all_must_fit() -> None:
    queue = Queue("letters")
    with SetWorkflowUser("ada"):
        started("a-1", sums, 1)
    with SetWorkflowUser("Ada"):
        started("a-2", sums, -1)
    started("A-3", parent)
    with SetWorkflowID("b_4"), SetEnqueueOptions(app_version="v1", delay=100):
        queue.enqueue(sums, 3)
    started("b%5", "unknown.workflow")
    drain()
    started("c-6")
    cancel_workflow("c-6")
    [child] = WorkflowRun.objects.filter(parent="A-3").values_list("pk", flat=True)
    assert ids() == ["a-1", "a-2", "A-3", "b_4", "b%5", child, "c-6"]
    assert ids(sort_desc=True) == ids()[::-1]
    assert (ids(limit=2), ids(limit=2, offset=1), ids(offset=5), ids(limit=0)) == (
        ["a-1", "a-2"], ["a-2", "A-3"], [child, "c-6"], [],
    )  # fmt: skip
    assert ids(workflow_ids="a-1") == ids(workflow_ids=["a-1"]) == ["a-1"]
    assert ids(workflow_ids=[]) == ids(status=[]) == ids(user=[]) == ids(workflow_id_prefix=[]) == []
    assert ids(status="ERROR") == ["a-2"]
    assert ids(status=["DELAYED", "CANCELLED"]) == ["b_4", "c-6"]
    assert ids(status=["ERROR", "SUCCESS"], name=sums.durable.name) == ["a-1", "a-2", child]
    assert ids(name=["unknown.workflow", parent.durable.name]) == ["A-3", "b%5"]
    assert (ids(app_version="v1"), ids(queue_name=["letters"])) == (["b_4"], ["b_4"])
    assert (ids(user="ada"), ids(user=["ada", "Ada"]), ids(user="ADA")) == (["a-1"], ["a-1", "a-2"], [])
    assert (ids(workflow_id_prefix="a-"), ids(workflow_id_prefix="A-")) == (["a-1", "a-2"], ["A-3", child])
    assert (ids(workflow_id_prefix="b_"), ids(workflow_id_prefix="b%")) == (["b_4"], ["b%5"])
    assert ids(workflow_id_prefix=["c", "a-1"]) == ["a-1", "c-6"]
    assert ids(workflow_id_prefix="") == ids()
    assert (ids(parent_workflow_id="A-3"), ids(has_parent=True)) == ([child], [child])
    assert child not in ids(has_parent=False)
    assert (ids(forked_from="a-1"), ids(was_forked_from=True), ids(schedule_name="x")) == ([], [], [])
    WorkflowRun.objects.filter(pk="a-2").update(forked_from="a-1", schedule_name="daily", worker_id=new_worker_id("host-7"))
    WorkflowRun.objects.filter(pk="a-1").update(was_forked_from=True, worker_id=new_worker_id("host-7-0"))
    one, other = WorkflowRun.objects.filter(pk__in=["a-1", "a-2"]).order_by("pk").values_list("worker_id", flat=True)
    assert (ids(forked_from=["a-1", "x"]), ids(was_forked_from=True), ids(schedule_name="daily")) == (["a-2"], ["a-1"], ["a-2"])
    assert (ids(executor_id="host-7"), ids(executor_id="host-7-0"), ids(executor_id="host")) == (["a-2"], ["a-1"], [])
    assert ids(executor_id=[one, other]) == ["a-1", "a-2"]
    WorkflowRun.objects.filter(pk="a-1").update(worker_id=new_worker_id("pod-" * 20))
    assert ids(executor_id="pod-" * 20) == ["a-1"], "only the beginning of it is in the worker's id"


def test_times_are_inclusive_and_ties_are_broken_by_the_id() -> None:
    for number, name in enumerate("dbca"):
        started(name)
        at = THEN + timedelta(seconds=number // 2)
        WorkflowRun.objects.filter(pk=name).update(created_at=at, completed_at=at)
    assert ids() == ["b", "d", "a", "c"]
    assert ids(sort_desc=True) == ["c", "a", "d", "b"]
    assert ids(start_time=THEN + timedelta(seconds=1)) == ids(completed_after="2020-01-01T01:00:01+01:00") == ["a", "c"]
    assert ids(end_time="2020-01-01") == ids(completed_before=datetime(2020, 1, 1)) == ["b", "d"]
    assert ids(start_time=THEN, end_time=THEN, completed_after=THEN, completed_before=THEN) == ["b", "d"]


HELD = {
    "customer": {"name": "Zoë \"Z\" O'Neil", "vip": True, "age": 40, "limit": 2.5, "boss": None, "0": "zero"},
    "tags": ["red", "Blue", 3, {"deep": [1, 2]}], "empty": {}, "none": [], "a.b": 1, 'q"uo\'te\\': "x", "ключ": "знач",
    "big": 2**60, "0": "at zero", "$": "dollar", "flag": False, "one": 1, "text": "1", "truth": "true",
}  # fmt: skip
CONTAINED = [
    {}, {"customer": {}}, {"customer": {"name": "Zoë \"Z\" O'Neil"}}, {"customer": {"vip": True, "age": 40}},
    {"customer": {"limit": 2.5}}, {"customer": {"boss": None}}, {"customer": {"0": "zero"}}, {"tags": ["red"]}, {"tags": []},
    {"tags": [3, "Blue"]}, {"tags": [{"deep": [2]}]}, {"empty": {}}, {"none": []}, {"a.b": 1}, {'q"uo\'te\\': "x"},
    {"ключ": "знач"}, {"big": 2**60}, {"0": "at zero"}, {"$": "dollar"}, {"flag": False}, {"one": 1}, {"one": 1.0},
    {"text": "1"}, {"truth": "true"}, HELD,
]  # fmt: skip
NOT_CONTAINED = [
    {"missing": None}, {"customer": {"name": "zoë \"z\" o'neil"}}, {"customer": {"name": "Zoë"}}, {"customer": {"vip": 1}},
    {"customer": {"vip": "true"}}, {"customer": {"age": "40"}}, {"customer": {"boss": False}}, {"customer": {"boss": {}}},
    {"tags": ["blue"]}, {"tags": "red"}, {"tags": {}}, {"tags": [{"deep": [3]}]}, {"empty": []},
    {"none": {}}, {"a": {"b": 1}}, {"big": 2**60 + 2}, {"one": True}, {"one": "1"}, {"text": 1}, {"flag": 0}, {"flag": None},
    {"truth": True}, {"ONE": 1}, {"one ": 1}, {"customer": None}, {"tags": [None]},
]  # fmt: skip


def test_attributes_are_contained_by_the_same_rules_on_every_database() -> None:
    started("held", **HELD)
    started("other", one=2)
    started("bare")
    assert [wanted for wanted in CONTAINED if "held" not in ids(attributes=wanted)] == []
    assert [wanted for wanted in NOT_CONTAINED if ids(attributes=wanted)] == []
    assert ids(attributes={"one": 2}, name=sums.durable.name) == ["other"]
    deep: Any = "core"
    for _ in range(7):
        deep = {"x": deep}
    started("deep", **deep)
    assert ids(attributes=deep) == ["deep"]


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "RUNNIN"}, {"status": ["ERROR", 3]}, {"name": 7}, {"user": "\0"}, {"workflow_ids": {"a": 1}},
        {"workflow_id_prefix": "\ud800"}, {"limit": -1}, {"limit": True}, {"limit": "5"}, {"offset": 10**30}, {"offset": 1.0},
        {"start_time": "yesterday"}, {"end_time": 17}, {"has_parent": "no"}, {"sort_desc": 1}, {"load_input": "x"},
        {"attributes": ["a"]}, {"attributes": {1: 2}}, {"attributes": {"a": float("nan")}}, {"attributes": {"a": "\0"}},
        {"attributes": {"a": {object(): 1}}}, {"attributes": {"a": list(range(200))}}, {"name": "x" * 10_000_000},
        {"completed_after": datetime.max.replace(tzinfo=UTC).isoformat().replace("+00:00", "-10:00")},
        {"attributes": json.loads('{"a":' * 50 + "1" + "}" * 50)}, {"workflow_ids": map(str, range(300_000))},
        {"executor_id": ["x"] * 201}, {"workflow_id_prefix": ["x"] * 201}, {"user": ["x"] * 1001},
    ],
    ids=lambda filters: next(iter(filters)),
)  # fmt: skip
def test_what_no_filter_can_be_is_refused(filters: dict[str, Any]) -> None:
    with pytest.raises(InvalidUse):
        list_workflows(**filters)


def test_as_many_values_as_may_be_are_taken_at_once() -> None:
    started("a-1")
    many = [f"a-{number}" for number in range(1000)]
    names = {"name": many, "user": many, "queue_name": many, "app_version": many, "forked_from": many, "schedule_name": many}
    assert ids(workflow_ids=many) == ["a-1"]
    assert ids(workflow_ids=many, workflow_id_prefix=many[:200]) == ["a-1"]
    assert ids(workflow_ids=many, workflow_id_prefix=many[:200], executor_id=many[:200], parent_workflow_id=many, **names) == []


def test_an_unknown_filter_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        list_workflows(stats="ERROR")  # type: ignore[call-arg]


def test_one_query_and_what_is_not_to_be_loaded_is_not_fetched() -> None:
    for number in range(5):
        started(f"run-{number}", sums, number - 1)
    drain()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        full = list_workflows()
    assert len(queries) == 1
    assert [(status.input["args"], status.output) for status in full[1:]] == [([0], 0), ([1], 2), ([2], 4), ([3], 6)]
    assert (type(full[0].error).__name__, full[0].output) == ("StepRetriesExceeded", None)
    with CaptureQueriesContext(connection) as queries:
        bare = list_workflows(load_input=False, load_output=False)
    assert len(queries) == 1
    assert not [column for column in ("inputs", "output", "error") if f'{column}"' in queries[0]["sql"].replace("`", '"')]
    assert {(status.input, status.output, status.error) for status in bare} == {(None, None, None)}
    assert all(isinstance(status, WorkflowStatus) for status in bare)


def test_a_row_that_cannot_be_read_shows_its_text_and_hides_no_other() -> None:
    started("good", sums, 1)
    started("bad", sums, 1)
    drain()
    strange = {"inputs": "{]", "output": '{"$":"from the future"}', "error": "no json"}
    WorkflowRun.objects.filter(pk="bad").update(**strange)
    [good, bad] = list_workflows()
    assert (good.output, bad.input, bad.output) == (2, strange["inputs"], strange["output"])
    assert "unreadable" in bad.error


def test_steps_are_listed_with_their_attempts_errors_and_children() -> None:
    started("ok", sums, 1, 2)
    started("bad", sums, 1, -1)
    started("family", parent)
    drain()
    one, two = list_workflow_steps("ok")
    assert isinstance(one, StepInfo)
    assert (one.step_id, one.branch, one.name, one.output, one.error, one.attempts) == (1, "", doubles.durable.name, 2, None, 1)
    assert one.started_at <= one.completed_at <= two.completed_at
    assert list_workflow_steps("ok", limit=1) == [one]
    assert list_workflow_steps("ok", offset=1) == list_workflow_steps("ok", limit=5, offset=1) == [two]
    assert list_workflow_steps("ok", limit=0) == list_workflow_steps("ok", offset=9) == []
    failed = list_workflow_steps("bad")[1]
    assert (failed.output, type(failed.error).__name__, failed.attempts) == (None, "StepRetriesExceeded", 2)
    start, result = list_workflow_steps("family")
    assert start.child_workflow_id == result.child_workflow_id == WorkflowRun.objects.get(parent="family").pk
    with pytest.raises(WorkflowNotFound):
        list_workflow_steps("nobody")
    for bad in ({"limit": -1}, {"offset": None}, {"limit": "1"}):
        with pytest.raises(InvalidUse):
            list_workflow_steps("ok", **bad)  # type: ignore[arg-type]


@workflow
def passes(entry: Ledger) -> Ledger:
    return same(entry)


@step
def same(entry: Ledger) -> Ledger:
    return entry


def test_rows_in_many_payloads_are_read_by_one_query() -> None:
    entries = [Ledger.objects.create(run_id="x", step=str(number)) for number in range(6)]
    for number, entry in enumerate(entries):
        started(f"run-{number}", passes, entry)
    drain()
    entries[5].delete()
    with CaptureQueriesContext(connection) as queries:
        listed = list_workflows(workflow_ids=[f"run-{number}" for number in range(5)])
    assert len(queries) == 2
    assert [status.output for status in listed] == [status.input["args"][0] for status in listed] == entries[:5]
    gone = list_workflows()[5]
    assert "tests_app.ledger" in gone.output, "whose row is gone shows its text"
    assert [info.output for info in list_workflow_steps("run-1")] == [entries[1]]


SEEN: list[Any] = []


@workflow(max_recovery_attempts=5)
def looks_around() -> Any:
    listed = list_workflows(status=["SUCCESS", "ERROR"], load_input=True)
    steps = list_workflow_steps("bad")
    SEEN.append((listed, steps, get_workflow_status("bad"), get_workflow_status("later"), WorkflowHandle("bad").get_status()))
    recv()
    return [len(listed), len(steps)]


def test_a_workflow_sees_the_same_when_it_is_replayed() -> None:
    SEEN.clear()
    started("bad", sums, 1, -1)
    drain()
    handle = looks_around.start()
    drain()
    started("later", sums, 1)
    drain()
    send(handle.workflow_id, "go on")
    drain()
    assert handle.get_result(timeout=1) == [1, 2]
    (first, again), names = SEEN, [step.name for step in list_workflow_steps(handle.workflow_id)]
    assert names == [
        "durable.list_workflows", "durable.list_workflow_steps", *["durable.get_workflow_status"] * 3, "durable.recv",
    ]  # fmt: skip
    assert first[3] is again[3] is None
    one_by_one = zip((*first[0], *first[1], first[2], first[4]), (*again[0], *again[1], again[2], again[4]), strict=True)
    for one, two in one_by_one:
        assert repr(one) == repr(two)
        assert type(one.error) is type(two.error)
