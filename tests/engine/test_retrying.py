"""A failed run goes on from the step that failed: what succeeded is kept, what led to its end is cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from durable_workflows import (
    WorkflowNotFound,
    cancel_workflow,
    current,
    durable_each,
    get_result,
    recv,
    retry_workflow,
    retry_workflows,
    rewind_workflow,
    saga,
    start_workflow,
    step,
    workflow,
)
from durable_workflows.models import StepAttempt, WorkflowRun
from durable_workflows.models.runs import Turn
from durable_workflows.serializers import Origin, origin_of
from durable_workflows.states import RunState
from durable_workflows.steering import act
from durable_workflows.testing import drain, lose
from tests.engine.deeds import did, do, undo
from tests.engine.journeys import FAILING, RESULT, child, finish, may_fail, story, straight

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
KEYS: list[str] = []
BROKEN: set[str] = set()


@pytest.fixture(autouse=True)
def nothing_fails() -> Iterator[None]:
    yield
    FAILING.clear()
    BROKEN.clear()
    KEYS.clear()


@step
def charges(what: str) -> str:
    now = current()
    assert now is not None
    KEYS.append(now.idempotency_key)
    if what in FAILING:
        raise ConnectionError(what)
    return do(what)


@step(max_attempts=2, interval_seconds=0.0)
def charges_twice(what: str) -> str:
    now = current()
    assert now is not None
    KEYS.append(now.idempotency_key)
    if what in FAILING:
        raise ConnectionError(what)
    return do(what)


@pytest.mark.parametrize("what", ["first", "child started", "child two", "child called", "last"])
def test_whichever_step_failed_it_ends_as_a_straight_run_and_does_nothing_twice(what: str) -> None:
    told = story(straight())
    FAILING.add(what)
    run_id = straight()
    run = WorkflowRun.objects.get(pk=run_id)
    assert run.status == RunState.ERROR
    done = did(run_id)
    retry_workflow(run_id)
    finish()  # which fails again
    assert did(run_id) == done
    FAILING.clear()
    handle = retry_workflow(run_id)
    assert (handle.run.status, handle.run.turn, handle.run.error) == (RunState.ENQUEUED, Turn.BEGUN, None)
    finish()
    assert handle.get_result() == RESULT
    assert story(run_id) == told
    assert len(did(run_id)) == len(set(did(run_id))), "nothing was done twice"
    assert (handle.run.tries, handle.run.generation) == (2, 2)


@workflow
def plainly() -> None:
    do("before")
    charges("pay")


@workflow
def after_two_attempts() -> None:
    do("before")
    charges_twice("pay")


@workflow
def as_something_else() -> None:
    do("before")
    try:
        charges("pay")
    except ConnectionError as error:
        do("note")
        raise LookupError("no money") from error


@workflow
def in_passing() -> None:
    do("before")
    try:
        charges("pay")
    except ConnectionError:
        do("note")
        raise


@workflow
def in_its_own_code() -> None:
    do("before")
    charges("pay")
    if BROKEN:
        raise LookupError("a bug")
    do("after")


@workflow
def after_what_it_made_good() -> None:
    do("before")
    try:
        may_fail("optional")
    except ValueError:
        do("without it")
    charges("pay")
    may_fail("last")


@workflow
def of_a_group() -> None:
    do("before")
    errors = []
    for each in ("pay", "last"):
        try:
            charges(each)
        except ConnectionError as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("several", errors)


@pytest.mark.parametrize(
    ("how", "failing", "step", "kept"),
    [
        (plainly, "pay", 2, 1),
        (after_two_attempts, "pay", 2, 1),
        (as_something_else, "pay", 2, 1),
        (in_passing, "pay", 2, 1),
        (in_its_own_code, "", None, 2),
        (after_what_it_made_good, "last", 5, 4),
        (of_a_group, "pay", 2, 1),
    ],
)
def test_what_led_to_the_end_is_cut_and_nothing_before_it(how: Any, failing: str, step: int | None, kept: int) -> None:
    FAILING.update({failing, "optional"})
    BROKEN.add("")
    handle = how.start()
    drain()
    assert handle.run.status == RunState.ERROR
    assert origin_of(handle.run.error or "") == (Origin(step) if step else None)
    lose(handle.workflow_id)
    drain()
    assert origin_of(handle.run.error or "") == (Origin(step) if step else None), "a replay says the same"
    FAILING.difference_update({failing})
    BROKEN.clear()
    retry_workflow(handle.workflow_id)
    assert len(story(handle.workflow_id)["steps"]) == kept
    assert not StepAttempt.objects.exists()
    drain()
    assert handle.run.status == RunState.SUCCESS
    assert did(handle.workflow_id).count("before") == 1


@pytest.mark.parametrize("how", [plainly, after_two_attempts, in_passing])
def test_the_step_that_failed_has_its_key_again_so_that_nothing_is_charged_twice(how: Any) -> None:
    FAILING.add("pay")
    handle = how.start()
    drain()
    retry_workflow(handle.workflow_id)
    drain()
    FAILING.clear()
    retry_workflow(handle.workflow_id)
    drain()
    assert len(set(KEYS)) == 1, "one charge, however often it was asked for"
    KEYS.clear()
    rewind_workflow(handle.workflow_id, 2)
    drain()
    assert set(KEYS) == {f"{handle.workflow_id}:3:2"}, "to rewind is to do it again"


@workflow
def books() -> str:
    do("before")
    with saga() as trip:
        trip.undo(undo, do("flight"))
        with saga() as night:
            night.undo(undo, do("hotel"))
            charges("pay")
        charges("tip")
    return "booked"


@pytest.mark.parametrize("failing", ["pay", "tip"])
def test_what_was_undone_is_done_again(failing: str) -> None:
    FAILING.add(failing)
    handle = books.start()
    drain()
    assert did(handle.workflow_id)[-1] == "undo flight"
    FAILING.clear()
    retry_workflow(handle.workflow_id)
    assert [row[2] for row in story(handle.workflow_id)["steps"]] == [do.durable.name]
    drain()
    assert handle.get_result() == "booked"
    assert did(handle.workflow_id)[-4:] == ["flight", "hotel", "pay", "tip"]
    assert did(handle.workflow_id).count("before") == 1
    assert len(KEYS) == len(set(KEYS)), "a charge that was refunded is no answer to the next one"


@workflow
def goes_through() -> None:
    for number in durable_each(range(4), batch=2):
        now = current()
        assert now is not None
        KEYS.append(now.idempotency_key)
        if number == 3 and BROKEN:
            raise LookupError(number)
        do(str(number))


def test_a_loop_goes_on_with_the_batch_that_failed_and_its_rows_have_their_keys() -> None:
    BROKEN.add("")
    handle = goes_through.start()
    drain()
    assert did(handle.workflow_id) == ["0", "1"]
    BROKEN.clear()
    retry_workflow(handle.workflow_id)
    drain()
    assert did(handle.workflow_id) == ["0", "1", "2", "3"]
    assert KEYS[2:4] == KEYS[4:6]
    assert len(set(KEYS)) == 4


def test_a_step_that_was_started_like_a_workflow() -> None:
    FAILING.add("pay")
    handle = start_workflow(charges_twice, "pay")
    drain()
    assert handle.run.status == RunState.ERROR
    FAILING.clear()
    retry_workflow(handle.workflow_id)
    assert not StepAttempt.objects.exists()
    drain()
    assert handle.get_result() == "pay"
    assert len(set(KEYS)) == 1


@workflow
def awaits(run_id: str) -> Any:
    return get_result(run_id)


@workflow
def listens() -> Any:
    return recv()


@workflow
def calls() -> Any:
    return listens()


def test_a_run_that_is_not_its_child_is_left_as_it_is() -> None:
    FAILING.add("child x")
    other = child.start("x")
    drain()
    handle = awaits.start(other.workflow_id)
    drain()
    retry_workflow(handle.workflow_id)
    FAILING.clear()
    drain()
    assert (handle.run.status, other.run.tries) == (RunState.ERROR, 0)


def test_a_child_that_was_cancelled_is_resumed_with_its_parent() -> None:
    handle = calls.start()
    drain()
    only = WorkflowRun.objects.get(parent_id=handle.workflow_id)
    cancel_workflow(only.pk)
    drain()
    assert handle.run.status == RunState.ERROR
    retry_workflow(handle.workflow_id)
    drain()
    assert handle.run.status == RunState.WAITING
    only.refresh_from_db()
    assert only.status == RunState.WAITING


def test_given_up_and_cancelled_runs_are_resumed_and_all_others_left_alone() -> None:
    dead, stopped, waiting, new = (listens.start() for _ in range(4))
    done = child.start("x")
    drain()
    cancel_workflow(stopped.workflow_id)
    WorkflowRun.objects.filter(pk=dead.workflow_id).update(status=RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED)
    before = [handle.run.updated_at for handle in (waiting, done)]
    ids = [handle.workflow_id for handle in (dead, stopped, waiting, new, done)]
    assert [handle.workflow_id for handle in retry_workflows(ids)] == ids
    assert [handle.run.status for handle in (dead, stopped)] == [RunState.ENQUEUED] * 2
    assert [handle.run.updated_at for handle in (waiting, done)] == before
    assert done.run.generation == 0


def test_all_or_nothing() -> None:
    FAILING.add("child x")
    handle = child.start("x")
    drain()
    with pytest.raises(WorkflowNotFound):
        retry_workflows([handle.workflow_id, "nobody"])
    assert handle.run.status == RunState.ERROR
    assert retry_workflows([]) == []


def test_the_verbs_of_a_queryset() -> None:
    FAILING.add("child x")
    failed = [child.start("x") for _ in range(3)]
    others = [listens.start() for _ in range(2)]
    drain()
    FAILING.clear()
    runs = WorkflowRun.objects.all()
    assert runs.failed()[:1].retry() == 1
    assert runs.retry() == 2
    drain()
    assert {handle.run.status for handle in failed} == {RunState.SUCCESS}
    assert runs.waiting().cancel() == 2
    assert runs.filter(pk__in=[handle.workflow_id for handle in others]).resume() == 2
    assert runs.none().cancel(children=True) == 0
    for verb in ("cancel", "resume", "retry", "delete"):
        assert not hasattr(WorkflowRun.objects, verb), "who means all runs says so"
        assert getattr(runs, verb).alters_data, "no template may call it"


def test_a_queryset_of_many_is_taken_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_workflows.models.verbs.CHUNK", 2)
    handles = [listens.start() for _ in range(5)]
    assert WorkflowRun.objects.enqueued().cancel() == 5
    assert WorkflowRun.objects.cancelled().order_by("-created_at")[:3].resume() == 3
    assert len(handles) == WorkflowRun.objects.count()


@workflow
def tries_again(run_id: str) -> int:
    return int(act("retry", [run_id])) + int(act("retry", [run_id]))


def test_in_a_workflow_it_is_recorded_with_how_many_were_changed() -> None:
    FAILING.add("child x")
    handle = child.start("x")
    drain()
    FAILING.clear()
    operator = tries_again.start(handle.workflow_id)
    drain()
    assert operator.get_result() == 1
    assert [row[2:5] for row in story(operator.workflow_id)["steps"]] == [
        ("durable.retry_workflow", "manage", "1"), ("durable.retry_workflow", "manage", "0"),
    ]  # fmt: skip
    lose(operator.workflow_id)
    drain()
    assert operator.get_result() == 1
    assert handle.run.tries == 1
