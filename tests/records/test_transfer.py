"""A run with its tree goes out as plain JSON and comes in elsewhere: whole, checked, and at rest."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from durable_workflows import (
    Deduplicated,
    InvalidUse,
    Queue,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    SetWorkflowUser,
    WorkflowConflict,
    WorkflowNotFound,
    cancel_workflow,
    delete_workflow,
    export_workflow,
    get_result,
    import_workflow,
    list_workflow_steps,
    list_workflows,
    recv,
    retrieve_workflow,
    saga,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    unpause_workflow,
    workflow,
    write_stream,
)
from durable_workflows.models import (
    Event,
    Message,
    StepAttempt,
    StepRun,
    Stream,
    StreamEntry,
    Wait,
    WorkflowRun,
)
from durable_workflows.models.archive import SECTIONS
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel
from tests.engine.deeds import did, do, undo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
S = RunState
DAY = 86400.0
TABLES = (WorkflowRun, StepRun, StepAttempt, Wait, Message, Event, Stream, StreamEntry)
FAILED: list[int] = []


@step(max_attempts=2, interval_seconds=0.0)
def flaky(number: int) -> int:
    if number not in FAILED:
        FAILED.append(number)
        raise LookupError("Zoë's \x00 book")
    return number


@workflow
def leaf(number: int) -> int:
    return flaky(number)


@workflow
def tree(number: int) -> list[Any]:
    first = get_result(start_workflow(leaf, number).workflow_id)
    set_event("state", {"at": first})
    write_stream("log", ("first", first))
    word = recv("word")
    do(word)
    sleep(30 * DAY)
    second = get_result(start_workflow(leaf, number + 1).workflow_id)
    return [first, word, second]


def planted(run_id: str = "root") -> None:
    FAILED.clear()
    with SetWorkflowID(run_id), SetWorkflowUser("ada"), SetWorkflowAttributes({"k": ["v"]}), SetWorkflowTimeout(100 * DAY):
        start_workflow(tree, 5)
    drain()
    send(run_id, "grün", topic="word", idempotency_key="one")
    send(run_id, "unread", topic="other")
    drain()


def all_rows() -> dict[str, Any]:
    left_out = {"id", "status", "due_at", "worker_id", "lease_token", "updated_at", "run_id_id"}
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in left_out or (model is WorkflowRun and name == "id")}
            for row in model._default_manager.order_by(*([] if model is WorkflowRun else ["run_id"]), "pk").values()
        ]
        for model in TABLES
    }


def moved(document: Any) -> Any:
    """What another machine gets to read; the rows here are gone."""
    for run in WorkflowRun.objects.unfinished():
        cancel_workflow(run.pk)
    WorkflowRun.objects.all().delete()
    assert not any(model._default_manager.exists() for model in TABLES)
    return json.loads(json.dumps(document))


def test_a_run_under_way_is_moved_with_its_tree_and_goes_on_where_it_was() -> None:
    planted()
    before = all_rows()
    assert all(before[model.__name__] for model in TABLES)
    document = export_workflow("root")
    assert document["runs"][0]["id"] == "root"
    handle = import_workflow(moved(document))
    assert handle == retrieve_workflow("root")
    after = all_rows()
    assert after == before
    row = handle.run
    assert (row.status, row.worker_id, row.lease_token, row.due_at) == (S.PAUSED, None, None, None)
    drain()
    assert row.status == S.PAUSED
    unpause_workflow("root")
    drain()
    assert handle.run.status == S.WAITING
    assert did("root") == ["grün"], "nothing is done again"
    travel(31 * DAY)
    drain()
    assert handle.get_result(timeout=1) == [5, "grün", 6]


def test_a_finished_tree_is_the_same_after_its_journey() -> None:
    planted()
    travel(31 * DAY)
    drain()
    statuses = list_workflows()
    steps = {status.workflow_id: list_workflow_steps(status.workflow_id) for status in statuses}
    rows = all_rows()
    document = export_workflow("root")
    alone = export_workflow("root", children=False)
    assert (len(document["runs"]), len(alone["runs"])) == (3, 1)
    import_workflow(moved(document))
    assert all_rows() == rows
    assert [repr(status) for status in list_workflows()] == [repr(status) for status in statuses]
    assert {run_id: list_workflow_steps(run_id) for run_id in steps} == steps
    assert export_workflow("root") == document
    assert get_result("root") == [5, "grün", 6]


def test_it_is_let_go_on_at_once_if_asked_and_a_delayed_one_keeps_its_moment() -> None:
    planted()
    queue = Queue("later")
    with SetEnqueueOptions(delay=10 * DAY), SetWorkflowID("delayed"):
        queue.enqueue(leaf, 5)
    documents = [export_workflow("root"), export_workflow("delayed")]
    for document in moved(documents):
        import_workflow(document, paused=False)
    assert (retrieve_workflow("root").run.status, retrieve_workflow("delayed").run.status) == (S.ENQUEUED, S.DELAYED)
    travel(31 * DAY)
    drain()
    assert (get_result("root", timeout=1), get_result("delayed", timeout=1)) == ([5, "grün", 6], 5)


@workflow
def books() -> None:
    with saga() as block:
        block.undo(undo, do("flight"))
        recv("never")


def test_one_that_is_being_cancelled_is_undone_where_it_is_let_go_on() -> None:
    with SetWorkflowID("booking"):
        start_workflow(books)
    drain()
    cancel_workflow("booking")
    document = export_workflow("booking")
    drain()
    WorkflowRun.objects.all().delete()
    import_workflow(document)
    assert retrieve_workflow("booking").run.status == S.PAUSED
    unpause_workflow("booking")
    drain()
    assert retrieve_workflow("booking").run.status == S.CANCELLED
    assert did("booking") == ["flight", "undo flight", "undo flight"], "here as there: it is another database"


def test_what_is_there_is_never_overwritten() -> None:
    planted()
    document = export_workflow("root")
    with pytest.raises(WorkflowConflict, match="cannot be imported under it. Delete the run"):
        import_workflow(document)
    assert WorkflowRun.objects.count() == 2
    child = document["runs"][1]["id"]
    cancel_workflow("root")
    delete_workflow("root")
    before = all_rows()
    with pytest.raises(WorkflowConflict, match=child):
        import_workflow(document)
    assert all_rows() == before, "all or nothing"
    queue = Queue("one")
    with SetEnqueueOptions(deduplication_id="only"), SetWorkflowID("first"):
        queue.enqueue(books)
    held = export_workflow("first")
    cancel_workflow("first")
    with SetEnqueueOptions(deduplication_id="only"), SetWorkflowID("second"):
        queue.enqueue(books)
    delete_workflow("first")
    with pytest.raises(Deduplicated) as refused:
        import_workflow(held)
    assert refused.value.workflow_id == "second"
    with pytest.raises(WorkflowNotFound):
        export_workflow("nobody")


def changed(path: str, value: Any) -> Callable[[Any], None]:
    """Sets what stands at a path of the document."""

    def change(document: Any) -> None:
        *way, last = path.split(".")
        for name in way:
            document = document[int(name) if isinstance(document, list) else name]
        document[int(last) if isinstance(document, list) else last] = value

    return change


def without(path: str) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *way, last = path.split(".")
        for name in way:
            document = document[int(name) if isinstance(document, list) else name]
        del document[last]

    return change


def refused(document: Any) -> bool:
    try:
        import_workflow(document)
    except InvalidUse:
        return True
    return False


ROOT = "runs.0"
DAMAGES = {
    "another format": changed("format", "zip"),
    "a later version": changed("version", 2),
    "a version of another type": changed("version", True),
    "a key too many": changed("surprise", 1),
    "no version": without("version"),
    "no runs": changed("runs", []),
    "runs that are no list": changed("runs", {"id": 1}),
    "a run that is no dict": changed("runs.0", "root"),
    "an unknown column": changed(f"{ROOT}.lease_token", "stolen"),
    "a column too few": without(f"{ROOT}.name"),
    "a section too few": without(f"{ROOT}.steps"),
    "a section that is no list": changed(f"{ROOT}.steps", {}),
    "another root": changed("workflow_id", "somebody"),
    "a root that is no text": changed("workflow_id", ["root"]),
    "an id that is none": changed(f"{ROOT}.id", " "),
    "an id with a NUL": changed(f"{ROOT}.id", "a\0b"),
    "an id that is too long": changed(f"{ROOT}.id", "x" * 256),
    "an id twice": changed("runs.1.id", "root"),
    "a stranger among them": changed("runs.1.parent_id", "elsewhere"),
    "a state that is none": changed(f"{ROOT}.status", "SLEEPING"),
    "an end without its time": changed(f"{ROOT}.status", "SUCCESS"),
    "a name that is no text": changed(f"{ROOT}.name", 7),
    "a name that is null": changed(f"{ROOT}.name", None),
    "half of a surrogate pair": changed(f"{ROOT}.user", "\ud800"),
    "a user too long": changed(f"{ROOT}.user", "x" * 10_000_000),
    "a payload that is none": changed(f"{ROOT}.inputs", "__import__('os')"),
    "a payload beyond all depth": changed(f"{ROOT}.inputs", "[" * 100_000),
    "a payload too large": changed(f"{ROOT}.inputs", '"' + "x" * 9_000_000 + '"'),
    "a payload that is no text": changed(f"{ROOT}.inputs", {"args": []}),
    "a number that is none": changed(f"{ROOT}.priority", "5"),
    "a number beyond the column": changed(f"{ROOT}.priority", 2**31),
    "a huge number": changed(f"{ROOT}.progress_done", 10**400),
    "a truth as a number": changed(f"{ROOT}.priority", True),
    "a negative generation": changed(f"{ROOT}.generation", -1),
    "a flag that is none": changed(f"{ROOT}.awaited", "yes"),
    "a time that is none": changed(f"{ROOT}.created_at", "yesterday"),
    "a time as a number": changed(f"{ROOT}.created_at", 1e9),
    "a time before all times": changed(f"{ROOT}.created_at", "0001-01-01T00:00:00+23:00"),
    "not a number": changed(f"{ROOT}.timeout_seconds", float("nan")),
    "a timeout beyond numbers": changed(f"{ROOT}.timeout_seconds", 10**400),
    "attributes that are a list": changed(f"{ROOT}.attributes", ["a"]),
    "attributes with a NUL": changed(f"{ROOT}.attributes", {"a": ["\0"]}),
    "attributes with odd keys": changed(f"{ROOT}.attributes", {1: 2}),
    "a step that is no dict": changed(f"{ROOT}.steps.0", 5),
    "a step of another run": changed(f"{ROOT}.steps.0.run_id", "victim"),
    "a step with a key": changed(f"{ROOT}.steps.0.id", 1),
    "two steps in one place": changed(f"{ROOT}.steps.1.position", 1),
    "a kind that is none": changed(f"{ROOT}.steps.0.kind", "evil"),
    "an error that is no record": changed("runs.1.attempts.0.error", "boom"),
}


def test_what_is_damaged_is_refused_before_a_row_is_written() -> None:
    planted()
    sound = moved(export_workflow("root"))
    for what, damage in DAMAGES.items():
        document = copy.deepcopy(sound)
        damage(document)
        assert refused(document), f"{what} was taken"
    for nonsense in (None, [], "root", 7, {}, {"format": "durable_workflows.runs"}):
        with pytest.raises(InvalidUse):
            import_workflow(nonsense)  # type: ignore[arg-type]
    assert not any(model._default_manager.exists() for model in TABLES)
    assert set(sound["runs"][0]) >= set(SECTIONS)
    # A version that did not have some of the columns yet has exported it.
    for run in sound["runs"]:
        del run["suspect"], run["class_name"], run["fan_in"]
    import_workflow(sound)
    assert export_workflow("root")["runs"][0]["fan_in"] == 0


@workflow
def carries(run_id: str) -> str:
    document = export_workflow(run_id)
    delete_workflow(run_id, delete_children=True)
    recv()
    return import_workflow(document).workflow_id


def test_a_workflow_may_carry_a_run() -> None:
    planted()
    travel(31 * DAY)
    drain()
    handle = carries.start("root")
    drain()
    assert not WorkflowRun.objects.filter(pk="root").exists()
    send(handle.workflow_id, "go on")
    drain()
    assert handle.get_result(timeout=1) == "root"
    assert get_result("root") == [5, "grün", 6]
