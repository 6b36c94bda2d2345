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
    continue_as_new,
    delete_workflow,
    export_workflow,
    fork_workflow,
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
    assert before["WorkflowRun"][0]["deadline"] is not None
    before["WorkflowRun"][0]["deadline"] = None  # what is paused by its import is not cancelled
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


def test_one_that_is_paused_by_its_import_is_not_cancelled_and_undone_when_its_time_is_over() -> None:
    with SetWorkflowID("booking"), SetWorkflowTimeout(DAY):
        Queue("bookings").enqueue(books)
    drain()
    WorkflowRun.objects.filter(pk="booking").update(schedule_name="nightly")
    document = export_workflow("booking")
    cancel_workflow("booking")
    drain()
    WorkflowRun.objects.all().delete()
    done = did("booking")
    row = import_workflow(document).run
    assert (row.deadline, row.timeout_seconds, row.schedule_name) == (None, DAY, None)
    travel(2 * DAY)
    drain()
    assert retrieve_workflow("booking").run.status == S.PAUSED
    assert did("booking") == done, "somebody else's database may have completed it"
    unpause_workflow("booking")
    drain()
    assert retrieve_workflow("booking").run.status == S.WAITING
    travel(2 * DAY)
    drain()
    assert retrieve_workflow("booking").run.status == S.CANCELLED, "its own timeout began anew"
    assert did("booking") == [*done, "undo flight"]


CHARGED: list[str] = []


@step(atomic=False)
def charge(whom: str) -> None:
    CHARGED.append(whom)  # nothing that a conflict of records would roll back


@workflow
def does_and_waits() -> Any:
    charge("ada")
    return recv("word")


def test_what_is_recorded_is_not_done_again_whatever_the_document_says_of_claims() -> None:
    CHARGED.clear()
    with SetWorkflowID("begun"):
        start_workflow(does_and_waits)
    drain()
    document = moved(export_workflow("begun"))
    document["runs"][0]["attempt"] = 0
    import_workflow(document, paused=False)
    send("begun", "on", topic="word")
    drain()
    assert get_result("begun", timeout=1) == "on"
    assert CHARGED == ["ada"]


@workflow
def begins_anew(number: int) -> Any:
    set_event("number", number)
    write_stream("numbers", number)
    return continue_as_new(number + 1) if number < 3 else recv("word")


def test_a_fork_of_a_run_that_had_begun_anew_is_moved_with_what_happened_before() -> None:
    with SetWorkflowID("first"):
        start_workflow(begins_anew, 1)
    drain()
    with SetWorkflowID("fork"):
        fork_workflow("first", 10)
    drain()
    generations = StreamEntry.objects.filter(run_id="fork").order_by("pk").values_list("generation", flat=True)
    assert [*generations] == [-2, -1, 0]
    assert Event.objects.filter(run_id="fork", generation__lt=0).exists()
    document = moved(export_workflow("fork"))
    import_workflow(document, paused=False)
    assert [*generations] == [-2, -1, 0]
    send("fork", "on", topic="word")
    drain()
    assert get_result("fork", timeout=1) == "on"
    document["runs"][0]["id"] = document["workflow_id"] = "later"
    document["runs"][0]["stream_entries"][0]["generation"] = 1
    assert refused(document)


def test_two_runs_of_one_deduplication_id_are_refused_before_a_row_is_written() -> None:
    with SetWorkflowID("one"), SetEnqueueOptions(deduplication_id="only"):
        Queue("letters").enqueue(books)
    document = moved(export_workflow("one"))
    document["runs"].append({**document["runs"][0], "id": "two", "parent_id": "one"})
    with pytest.raises(InvalidUse, match="deduplication_lock"):
        import_workflow(document)
    assert not WorkflowRun.objects.exists()


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
    "a count before the end of its column": changed(f"{ROOT}.attempt", 2**31 - 1),
    "recoveries that are not to be counted on": changed(f"{ROOT}.recovery_attempts", 2**31 - 1),
    "lost leases that are not to be counted on": changed(f"{ROOT}.stalled", 10**9 + 1),
    "a negative count": changed(f"{ROOT}.tries", -1),
    "a step at a place that has no next": changed(f"{ROOT}.steps.0.position", 2**31 - 1),
    "a value at an offset that has no next": changed(f"{ROOT}.stream_entries.0.offset", 2**63 - 1),
    "a step of a generation to come": changed(f"{ROOT}.steps.0.generation", 1),
    "an attempt of a generation to come": changed("runs.1.attempts.0.generation", 1),
    "a wait of a generation to come": changed(f"{ROOT}.waits.0.generation", 1),
    "an event of a generation to come": changed(f"{ROOT}.events.0.generation", 1),
    "a negative generation of a step": changed(f"{ROOT}.steps.0.generation", -1),
    "a flag that is none": changed(f"{ROOT}.awaited", "yes"),
    "a time that is none": changed(f"{ROOT}.created_at", "yesterday"),
    "a time as a number": changed(f"{ROOT}.created_at", 1e9),
    "a time before all times": changed(f"{ROOT}.created_at", "0001-01-01T00:00:00+23:00"),
    "not a number": changed(f"{ROOT}.timeout_seconds", float("nan")),
    "a timeout beyond numbers": changed(f"{ROOT}.timeout_seconds", 10**400),
    "a timeout that no interval holds": changed(f"{ROOT}.timeout_seconds", 1e30),
    "a timeout of nothing": changed(f"{ROOT}.timeout_seconds", 0),
    "a negative debounce": changed(f"{ROOT}.waits.0.debounce", -1.0),
    "a root that is its own parent": changed(f"{ROOT}.parent_id", "root"),
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
    circle = copy.deepcopy(sound)
    circle["runs"][0]["parent_id"] = circle["runs"][1]["id"]
    apart = copy.deepcopy(sound)
    apart["runs"] += [{**sound["runs"][1], "id": name, "parent_id": other} for name, other in (("x", "y"), ("y", "x"))]
    assert refused(circle)
    assert refused(apart)
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
