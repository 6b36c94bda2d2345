"""Durable calls made while a suspension or a cancellation unwinds the body: they do nothing, and record nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from durable_workflows import (
    InvalidUse,
    Queue,
    WorkflowHandle,
    cancel_workflow,
    current,
    get_event,
    get_result,
    recv,
    resume_workflow,
    send,
    set_event,
    sleep,
    sleep_until,
    start_workflow,
    step,
    wait_first,
    workflow,
)
from durable_workflows.exceptions import ControlFlow, Suspended, WorkflowCancelled
from durable_workflows.models import Event, Message, StepAttempt, StepRun, Wait, WorkflowRun
from durable_workflows.serializers import dumps
from durable_workflows.states import RunState
from durable_workflows.testing import drain
from tests.app.models import Ledger
from tests.engine.elsewhere import in_thread
from tests.engine.swallowing import FAR, SWALLOWERS, WAITS, helper

pytestmark = pytest.mark.usefixtures("unparked")
queue = Queue("unwinding")
EFFECTS: list[str] = []
CAME: dict[str, type[BaseException] | None] = {}


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    EFFECTS.clear()
    CAME.clear()


@step
def note(text: str) -> None:
    EFFECTS.append(text)
    Ledger.objects.create(run_id="noted", step="note", note=text)


@step(atomic=False)
def request(text: str) -> None:
    EFFECTS.append(text)


@step(max_attempts=3)
def fails() -> None:
    EFFECTS.append("fails")
    raise LookupError("always")


@workflow
def child() -> None:
    EFFECTS.append("child")


# -- every durable call

CALLS: dict[str, Callable[[str], Any]] = {
    "step": lambda other: note("step"),
    "step that is not atomic": lambda other: request("step that is not atomic"),
    "step that fails": lambda other: fails(),
    "sleep": lambda other: sleep(60),
    "no sleep": lambda other: sleep(0),
    "sleep until": lambda other: sleep_until(FAR),
    "recv": lambda other: recv(),
    "look for a message": lambda other: recv("there", timeout_seconds=0),
    "send": lambda other: send(other, "unwinding"),
    "send to itself": lambda other: send(current_id(), "unwinding"),
    "set event": lambda other: set_event("unwinding", True),
    "get event": lambda other: get_event(other, "never"),
    "look for an event": lambda other: get_event(other, "never", timeout_seconds=0),
    "start": lambda other: start_workflow(child),
    "start a step": lambda other: note.start("started"),
    "enqueue": lambda other: queue.enqueue(child),
    "call": lambda other: child(),
    "result": get_result,
    "first": lambda other: wait_first([WorkflowHandle[Any](other)]),
    "cancel": cancel_workflow,
    "resume": resume_workflow,
}


def current_id() -> str:
    now = current()
    assert now is not None
    return now.workflow_id


def call_everything(other: str) -> None:
    """Each durable call; what came out of it is kept outside."""
    for name, call in CALLS.items():
        try:
            call(other)
            CAME[name] = None
        except BaseException as error:  # noqa: BLE001 - it is looked at
            CAME[name] = type(error)


# -- where code runs while a body is unwound; none of it runs when nothing unwinds

PLACES: dict[str, Callable[[Callable[[], Any], Callable[[], None]], Any]] = {}


def place(func: Callable[[Callable[[], Any], Callable[[], None]], Any]) -> Any:
    PLACES[func.__name__.replace("_", " ")] = func
    return func


@place
def in_finally(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    try:
        return wait()
    finally:
        if sys.exc_info()[0] is not None:
            unwind()


@place
def in_except(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    try:
        return wait()
    except BaseException:
        unwind()
        raise


@place
def after_except(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    try:
        return wait()
    except BaseException:  # noqa: BLE001 - as nobody should
        pass
    unwind()
    return "swallowed"


class Unwinds:
    """A context manager that acts when an exception passes."""

    def __init__(self, unwind: Callable[[], None]) -> None:
        self.unwind = unwind

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, *raised: object) -> None:
        if kind is not None:
            self.unwind()


@place
def in_exit(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    with Unwinds(unwind):
        return wait()


@place
def in_the_callback_of_an_exit_stack(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    with ExitStack() as stack:
        stack.push(Unwinds(unwind))
        return wait()


@place
def in_a_generators_context_manager(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    @contextmanager
    def managed() -> Iterator[None]:
        try:
            yield
        except BaseException:
            unwind()
            raise

    with managed():
        return wait()


def unwinding_when_closed(unwind: Callable[[], None]) -> Iterator[int]:
    try:
        yield 1
    except GeneratorExit:
        unwind()
        raise


@place
def in_a_generator_that_is_closed(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    for _ in unwinding_when_closed(unwind):
        value = wait()
    return value


@place
def in_a_generator_that_the_frame_keeps(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    """It is closed when the traceback, which holds the frame, is forgotten."""
    kept = unwinding_when_closed(unwind)
    for _ in kept:
        value = wait()
    return value


@place
def in_a_generator_that_a_swallowed_frame_keeps(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    def keeps() -> Any:
        kept = unwinding_when_closed(unwind)
        for _ in kept:
            value = wait()
        return value

    try:
        return keeps()
    except BaseException as error:
        raise LookupError("another") from error


@place
def in_a_generator_whose_frame_keeps_the_exception(wait: Callable[[], Any], unwind: Callable[[], None]) -> Any:
    kept: list[Any] = [unwinding_when_closed(unwind)]
    try:
        for _ in kept[0]:
            value = wait()
    except BaseException as error:
        kept.append(error)
        raise
    return value


KEPT = "in a generator that the frame keeps"


@workflow
def unwinds(where: str, kind: str, other: str) -> Any:
    return PLACES[where](lambda: WAITS[kind].wait(other), lambda: call_everything(other))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("where", "kind"),
    [*((where, "recv") for where in PLACES), *((KEPT, kind) for kind in WAITS), *(("after except", kind) for kind in WAITS)],
)
def test_durable_calls_while_a_run_is_suspended(where: str, kind: str) -> None:
    waiting, other = WAITS[kind], start_workflow(helper)
    drain()
    handle = unwinds.start(where, kind, other.workflow_id)
    drain()
    assert dict.fromkeys(CALLS, Suspended) == CAME
    assert_untouched(handle.run, other.run, waiting.recorded)
    assert (handle.run.status, handle.run.attempt) == (RunState.WAITING, 1)
    assert list(Wait.objects.filter(run_id=handle.workflow_id).values_list("kind", flat=True)) == [waiting.kind]
    CAME.clear()
    waiting.come([handle.workflow_id], other.workflow_id)
    drain()
    assert not CAME
    assert (handle.run.status, handle.run.output) == (RunState.SUCCESS, dumps(waiting.value, what="answer"))
    assert StepRun.objects.filter(run_id=handle.workflow_id).count() == len(waiting.recorded) + 1


def assert_nothing_of(*models: Any) -> None:
    for model in models:
        assert not model.objects.exists(), model


def assert_untouched(run: WorkflowRun, other: WorkflowRun, before: tuple[str, ...]) -> None:
    """There is nothing but the run itself, what it had done before, and the run that it knows, as it was."""
    assert not EFFECTS
    assert_nothing_of(Ledger, Message, Event)
    assert not StepAttempt.objects.exclude(name__endswith="works_the_second_time").exists()
    assert list(StepRun.objects.filter(run_id=run.pk).values_list("name", flat=True)) == list(before)
    assert WorkflowRun.objects.exclude(pk__in=[run.pk, other.pk]).count() == len(before)
    assert (other.status, other.attempt) == (RunState.WAITING, 1)
    assert list(Wait.objects.filter(run_id=other.pk).values_list("kind", flat=True)) == ["recv"]


@workflow
def cleans_up() -> Any:
    try:
        return recv("news")
    finally:
        note("cleaned up")
        set_event("cleaned", "up")


@pytest.mark.django_db
def test_a_finally_does_its_work_once_when_its_time_has_come() -> None:
    handle = cleans_up.start()
    drain()
    assert (handle.run.status, EFFECTS) == (RunState.WAITING, [])
    send(handle.workflow_id, "good", "news")
    drain()
    assert (handle.get_result(), EFFECTS) == ("good", ["cleaned up"])
    assert get_event(handle.workflow_id, "cleaned") == "up"


# -- cancelled under way


@workflow
def goes_on_after_its_cancellation(how: str, call: str, other: str) -> Any:
    run_id = current_id()
    note("before")

    def cancelled() -> Any:
        in_thread(lambda: cancel_workflow(run_id))
        return CALLS[call](other)

    value = SWALLOWERS[how](cancelled)
    call_everything(other)
    return value


@workflow
def calls_the_next_when_cancelled(call: str, other: str) -> None:
    run_id = current_id()
    note("before")
    in_thread(lambda: cancel_workflow(run_id))
    try:
        CALLS[call](other)
    finally:
        call_everything(other)


def assert_cancelled(handle: WorkflowHandle[Any], other: WorkflowHandle[Any]) -> None:
    run = handle.run
    assert (run.status, run.attempt, run.output, run.error) == (RunState.CANCELLED, 1, None, None)
    assert list(StepRun.objects.filter(run_id=run.pk).values_list("name", flat=True)) == [note.durable.name]
    assert list(Ledger.objects.values_list("note", flat=True)) == ["before"]
    assert_nothing_of(Message, Event, StepAttempt)
    assert set(WorkflowRun.objects.values_list("pk", flat=True)) == {run.pk, other.workflow_id}
    assert not Wait.objects.filter(run_id=run.pk).exists()
    assert other.run.status == RunState.WAITING
    assert drain() == 0


@pytest.mark.usefixtures("committing")
@pytest.mark.parametrize("call", CALLS)
def test_a_cancelled_run_stops_at_its_next_call(call: str) -> None:
    """A call that would wait finds out when it has unwound; until then, what it raises is a suspension."""
    other = start_workflow(helper)
    drain()
    handle = calls_the_next_when_cancelled.start(call, other.workflow_id)
    drain()
    assert set(CAME) == set(CALLS)
    assert set(CAME.values()) <= {WorkflowCancelled, Suspended}
    assert set(EFFECTS) <= {"before", call, "fails"}  # a step under way runs to its end
    assert_cancelled(handle, other)


@pytest.mark.usefixtures("committing")
@pytest.mark.parametrize(
    "how", ["returns in finally", "passes", "tries again", "raises another", "suppresses", "catches a group"]
)
def test_a_cancellation_cannot_be_swallowed(how: str) -> None:
    other = start_workflow(helper)
    drain()
    handle = goes_on_after_its_cancellation.start(how, "step", other.workflow_id)
    drain()
    if CAME:  # unless the body let it out
        assert dict.fromkeys(CALLS, WorkflowCancelled) == CAME
    assert set(EFFECTS) == {"before", "step"}
    assert_cancelled(handle, other)


# -- a run that cancels itself


@workflow
def cancels_itself(how: str) -> Any:
    SWALLOWERS[how](lambda: cancel_workflow(current_id()))
    return SWALLOWERS[how](lambda: note("after"))


@workflow
def cancels_its_family() -> Any:
    parent = WorkflowRun.objects.get(pk=current_id()).parent_id
    assert parent is not None
    cancel_workflow(parent, cancel_children=True)
    note("after")


@workflow
def is_cancelled_by_its_child() -> Any:
    return get_result(start_workflow(cancels_its_family).workflow_id)


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["passes", "returns in finally"])
def test_a_run_that_cancels_itself(how: str) -> None:
    handle = cancels_itself.start(how)
    drain()
    assert (handle.run.status, handle.run.attempt) == (RunState.CANCELLED, 1)
    assert not Ledger.objects.exists()
    resume_workflow(handle.workflow_id)  # it goes on after what it has done
    drain()
    assert (handle.run.status, Ledger.objects.count()) == (RunState.SUCCESS, 1)


@pytest.mark.django_db
def test_a_child_that_cancels_its_family() -> None:
    handle = is_cancelled_by_its_child.start()
    drain()
    assert list(WorkflowRun.objects.values_list("status", flat=True)) == [RunState.CANCELLED] * 2
    assert handle.run.attempt == 1
    assert not Ledger.objects.exists()


@step
def cancels(run_id: str) -> None:
    Ledger.objects.create(run_id=run_id, step="cancels")
    cancel_workflow(run_id)


@workflow
def cancels_itself_in_a_step() -> str:
    try:
        cancels(current_id())
    except InvalidUse as error:
        return str(error)
    return "cancelled"


@workflow
def cancels_another_in_a_step(other: str) -> None:
    cancels(other)


@pytest.mark.django_db
def test_an_atomic_step_cannot_cancel_its_own_run_only_others() -> None:
    handle, other = cancels_itself_in_a_step.start(), start_workflow(helper)
    drain()
    assert "Call cancel_workflow() in the workflow's body" in handle.get_result()
    assert not Ledger.objects.exists()
    cancels_another_in_a_step.start(other.workflow_id)
    drain()
    assert (other.run.status, Ledger.objects.count()) == (RunState.CANCELLED, 1)


def test_what_stops_an_attempt_passes_by_except_exception() -> None:
    assert not issubclass(ControlFlow, Exception)
