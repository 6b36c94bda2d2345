"""
A paused run goes no further, loses nothing that comes meanwhile, and does nothing twice when it goes on.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from durable_workflows import (
    Debouncer,
    InvalidUse,
    Queue,
    SetEnqueueOptions,
    SetWorkflowTimeout,
    WorkflowNotFound,
    cancel_workflow,
    clock,
    current,
    get_event,
    get_result,
    pause_workflow,
    pause_workflows,
    recv,
    resume_workflow,
    saga,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    unpause_workflow,
    unpause_workflows,
    workflow,
)
from durable_workflows.ids import new_token
from durable_workflows.models import StepAttempt, StepRun, Wait, WorkflowRun, claims, presence
from durable_workflows.models.claims import Claimer, Pick
from durable_workflows.models.presence import Presence
from durable_workflows.models.transactions import in_autocommit
from durable_workflows.states import TERMINAL, RunState
from durable_workflows.testing import drain, durable_worker, travel
from tests.engine.born import Grouped, Unparked, execute, leased
from tests.engine.deeds import did, do, undo
from tests.engine.interleaving import Scenario, explore
from tests.engine.isolation import COMMITTED, DATABASE, interleaved_levels

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
DAY = 86400.0
S = RunState
CALLED: list[str] = []
OVERLAP = DATABASE != "sqlite"  # whose writers take turns


def state(run_id: str) -> str:
    return WorkflowRun.objects.values_list("status", flat=True).get(pk=run_id)


@step(atomic=False)
def calls_out(what: str, pauses: bool = False) -> str:
    """Something out there that no rollback takes back; an operator pauses the run while it is under way."""
    CALLED.append(what)
    now = current()
    assert now is not None
    if pauses:
        pause_workflow(now.workflow_id)
    return what


@step
def writes(what: str, pauses: bool = False) -> str:
    now = current()
    assert now is not None
    CALLED.append(what)
    if pauses:
        pause_workflow(now.workflow_id)
    return what


@workflow
def charges(kind: str) -> str:
    step_ = calls_out if kind == "outside" else writes
    step_("one")
    step_("two", pauses=True)
    return step_("three")


@workflow
def waits_for(what: str) -> Any:
    if what == "message":
        return recv(timeout_seconds=30 * DAY, default="nothing came")
    if what == "event":
        return get_event("source", "ready", timeout_seconds=None)
    if what == "result":
        return get_result("source")
    sleep(30 * DAY)
    return "slept"


@workflow
def announces() -> str:
    recv()
    set_event("ready", "it is")
    return "done"


@workflow
def nothing() -> str:
    return "done"


@pytest.fixture(autouse=True)
def none_called() -> None:
    CALLED.clear()


@pytest.mark.parametrize("kind", ["outside", "written"])
@pytest.mark.parametrize("services", [Unparked, Grouped])
def test_the_call_under_way_counts_and_the_next_is_not_begun(kind: str, services: Any) -> None:
    claim = leased(charges, kind)
    execute(claim, services())
    assert CALLED == ["one", "two"]
    row = WorkflowRun.objects.get(pk=claim.id)
    assert (row.status, row.worker_id, row.lease_token) == (S.PAUSED, None, None)
    assert [step.position for step in row.stepruns.all()] == [1, 2]
    drain()
    assert CALLED == ["one", "two"], "nobody takes it"
    unpause_workflow(claim.id)
    drain()
    assert (CALLED, get_result(claim.id)) == (["one", "two", "three"], "three")


def test_a_step_that_is_the_whole_run_ends_it_though_it_was_paused_meanwhile() -> None:
    handle = start_workflow(calls_out, "only", pauses=True)
    drain()
    assert (handle.get_result(timeout=1), handle.run.status, CALLED) == ("only", S.SUCCESS, ["only"])


@workflow
def pauses_itself() -> str:
    now = current()
    assert now is not None
    do("before")
    pause_workflow(now.workflow_id)
    return do("after")


def test_a_workflow_may_pause_itself_and_the_call_is_a_recorded_step() -> None:
    handle = pauses_itself.start()
    drain()
    assert (handle.run.status, did(handle.workflow_id)) == (S.PAUSED, ["before"])
    unpause_workflow(handle.workflow_id)
    drain()
    assert (handle.get_result(timeout=1), did(handle.workflow_id)) == ("after", ["before", "after"])
    assert [step.name for step in handle.run.stepruns.order_by("position")][1] == "durable.pause_workflow"


@pytest.mark.parametrize("what", ["message", "event", "result", "sleep"])
def test_what_comes_while_it_is_paused_is_found_when_it_goes_on(what: str) -> None:
    source = leased(announces, id="source")
    execute(source)
    handle = waits_for.start(what)
    drain()
    assert handle.run.status == S.WAITING
    pause_workflow(handle.workflow_id)
    pause_workflow(handle.workflow_id)
    assert handle.get_status().status == S.PAUSED
    send(handle.workflow_id, "a message")
    send("source", "go on")
    travel(31 * DAY)
    drain()
    assert (state("source"), handle.run.status) == (S.SUCCESS, S.PAUSED), "neither wakers nor the clock wake it"
    unpause_workflow(handle.workflow_id)
    assert handle.run.status == S.ENQUEUED
    drain()
    expected = {"message": "a message", "event": "it is", "result": "done", "sleep": "slept"}
    assert handle.get_result(timeout=1) == expected[what]
    assert not Wait.objects.exists()


def test_a_wait_goes_on_from_when_it_was_begun_and_a_deadline_holds() -> None:
    handle = waits_for.start("sleep")
    with SetWorkflowTimeout(10 * DAY):
        limited = waits_for.start("message")
    drain()
    pause_workflows([handle.workflow_id, limited.workflow_id])
    travel(29 * DAY)
    drain()
    assert limited.run.status == S.CANCELLED
    unpause_workflows([handle.workflow_id, limited.workflow_id])
    drain()
    assert (handle.run.status, limited.run.status) == (S.WAITING, S.CANCELLED)
    travel(DAY + 60)
    drain()
    assert handle.get_result(timeout=1) == "slept"


def test_a_delayed_run_keeps_its_moment_and_one_that_waits_for_its_turn_its_place() -> None:
    queue = Queue("paced")
    with SetEnqueueOptions(delay=10 * DAY):
        later = queue.enqueue(nothing)
    soon = queue.enqueue(nothing)
    ids = [later.workflow_id, soon.workflow_id]
    pause_workflows(ids)
    drain()
    assert [state(run_id) for run_id in ids] == [S.PAUSED, S.PAUSED]
    unpause_workflows(ids)
    assert [state(run_id) for run_id in ids] == [S.DELAYED, S.ENQUEUED]
    drain()
    assert [state(run_id) for run_id in ids] == [S.DELAYED, S.SUCCESS]
    pause_workflow(later.workflow_id)
    travel(11 * DAY)
    drain()
    assert state(later.workflow_id) == S.PAUSED
    unpause_workflow(later.workflow_id)
    drain()
    assert later.get_result(timeout=1) == "done"


@pytest.mark.parametrize("waiting", ["release", "hold"])
def test_a_paused_run_gives_its_place_to_others_unless_its_queue_keeps_places(waiting: Any) -> None:
    queue = Queue(f"one-{waiting}", concurrency=1, waiting=waiting)
    first, second = queue.enqueue(charges, "outside"), queue.enqueue(nothing)
    drain()
    assert first.run.status == S.PAUSED
    assert second.run.status == (S.SUCCESS if waiting == "release" else S.ENQUEUED)
    cancel_workflow(first.workflow_id)
    drain()
    assert second.run.status == S.SUCCESS


@workflow
def books() -> None:
    with saga() as block:
        block.undo(undo, do("flight"))
        recv("never")


def test_a_run_that_is_being_cancelled_is_not_paused_and_a_paused_one_can_be_cancelled_and_undone() -> None:
    handle = books.start()
    drain()
    pause_workflow(handle.workflow_id)
    cancel_workflow(handle.workflow_id)
    assert handle.run.status == S.ENQUEUED
    pause_workflow(handle.workflow_id)
    assert handle.run.status == S.ENQUEUED, "its undo steps are due"
    drain()
    assert (handle.run.status, did(handle.workflow_id)) == (S.CANCELLED, ["flight", "undo flight"])


def test_what_is_finished_stays_what_is_unknown_is_refused_and_resume_goes_on_too() -> None:
    done, waiting = nothing.start(), waits_for.start("message")
    drain()
    with pytest.raises(WorkflowNotFound):
        pause_workflows([waiting.workflow_id, "nobody"])
    assert waiting.run.status == S.WAITING
    pause_workflows([done.workflow_id, waiting.workflow_id])
    assert (done.run.status, waiting.run.status) == (S.SUCCESS, S.PAUSED)
    with pytest.raises(WorkflowNotFound):
        unpause_workflows([waiting.workflow_id, "nobody"])
    unpause_workflow(done.workflow_id)
    send(waiting.workflow_id, "hello")
    resume_workflow(waiting.workflow_id)
    drain()
    assert (done.run.status, waiting.get_result(timeout=1)) == (S.SUCCESS, "hello")
    pause_workflows([])
    unpause_workflows([])
    for bad in ("one-id", {"a": 1}, None, 7):
        with pytest.raises(InvalidUse):
            pause_workflows(bad)  # type: ignore[arg-type]
    for bad_id in ("", "x" * 256, "\0", "\ud800", None):
        with pytest.raises(InvalidUse):
            pause_workflow(bad_id)  # type: ignore[arg-type]


def test_a_debounced_run_that_is_paused_is_put_off_as_it_is() -> None:
    debouncer = Debouncer(waits_for)
    first = debouncer.debounce("key", 60, "message")
    pause_workflow(first.workflow_id)
    again = debouncer.debounce("key", 120, "sleep")
    assert (again, first.run.status) == (first, S.PAUSED)
    assert first.get_status().input["args"] == ["sleep"]


@pytest.fixture
def alive() -> None:
    """The worker of runs that are born leased is there."""
    here = Presence(id="a-test", hostname="here", pid=1, lease_seconds=30 * DAY, direct=True)
    in_autocommit(presence.register, here)


@step(atomic=False)
def is_paused_and_let_go_on(how: str) -> str:
    """What another worker would do now, while this call is under way, is done by ``drain``."""
    CALLED.append("paused")
    now = current()
    assert now is not None
    pause_workflow(now.workflow_id)
    {"unpause": unpause_workflow, "resume": resume_workflow}[how](now.workflow_id)
    CALLED.append(state(now.workflow_id))
    if len(CALLED) < 4:
        drain()
    return how


@workflow
def goes_on(how: str) -> str:
    is_paused_and_let_go_on(how)
    return calls_out("after")


@pytest.mark.parametrize("how", ["unpause", "resume"])
@pytest.mark.usefixtures("alive")
def test_a_run_that_goes_on_while_its_call_is_under_way_is_left_to_that_attempt(how: str) -> None:
    claim = leased(goes_on, how)
    execute(claim)
    assert (CALLED, state(claim.id)) == (["paused", S.RUNNING, "after"], S.SUCCESS)


@pytest.mark.usefixtures("alive")
def test_if_that_attempt_has_ended_or_its_worker_is_dead_others_take_it() -> None:
    ended, dead = leased(waits_for, "message"), leased(waits_for, "message", worker_id="dead")
    pause_workflows([ended.id, dead.id])
    assert WorkflowRun.objects.get(pk=ended.id).lease_token == ended.token
    execute(ended)
    row = WorkflowRun.objects.get(pk=ended.id)
    assert (row.status, row.worker_id, row.lease_token) == (S.PAUSED, None, None)
    unpause_workflows([ended.id, dead.id])
    rows = WorkflowRun.objects.values_list("status", "worker_id", "lease_token")
    assert list(rows) == [(S.ENQUEUED, None, None)] * 2


@step(atomic=False, max_attempts=2, interval_seconds=0)
def fails_while_it_is_paused() -> str:
    CALLED.append("failing")
    now = current()
    assert now is not None
    pause_workflow(now.workflow_id)
    raise ArithmeticError(now.attempt)


@workflow
def fails() -> str:
    return fails_while_it_is_paused()


def test_an_attempt_that_fails_while_its_run_is_paused_counts() -> None:
    handle = fails.start()
    drain()
    assert (handle.run.status, handle.run.lease_token, StepAttempt.objects.count()) == (S.PAUSED, None, 1)
    unpause_workflow(handle.workflow_id)
    drain()
    assert (handle.run.status, StepAttempt.objects.count(), StepRun.objects.count()) == (S.PAUSED, 2, 1)
    unpause_workflow(handle.workflow_id)
    drain()
    assert (handle.run.status, CALLED) == (S.ERROR, ["failing", "failing"])


GOING, LET_ON = threading.Event(), threading.Event()


@step(atomic=False)
def takes_long() -> None:
    CALLED.append("long")
    GOING.set()
    assert LET_ON.wait(30)


@workflow
def works() -> str:
    takes_long()
    calls_out("after")
    return "done"


@pytest.mark.skipif(DATABASE == "sqlite", reason="with one writer the rest says it all")
@pytest.mark.usefixtures("committing")
def test_a_worker_ends_the_step_begins_no_other_and_takes_the_run_again() -> None:
    GOING.clear()
    LET_ON.clear()
    handle = works.start()
    with durable_worker(threads=2):
        assert GOING.wait(30)
        pause_workflow(handle.workflow_id)
        LET_ON.set()
        while not (recorded := handle.run.stepruns.count()):
            clock.pause(0.01)
        with pytest.raises(TimeoutError):
            handle.get_result(timeout=0.3)
        assert (recorded, CALLED, handle.run.status) == (1, ["long"], S.PAUSED)
        unpause_workflow(handle.workflow_id)
        assert handle.get_result(timeout=30) == "done"
    assert CALLED == ["long", "after"]


# -- races


def raced(make: Any) -> Any:
    explored = explore(make, deep=False)
    assert explored.schedules > 4
    return explored


levels = interleaved_levels


@workflow
def does_three() -> str:
    calls_out("outside")
    do("inside")
    recv("wake", timeout_seconds=0)
    return calls_out("last")


@levels
@pytest.mark.usefixtures("committing")
def test_pausing_at_every_statement_of_an_attempt_repeats_nothing(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        run = leased(does_three)
        CALLED.clear()

        def check() -> None:
            row = WorkflowRun.objects.get(pk=run.id)
            assert row.status in (S.PAUSED, S.SUCCESS)
            seen.add((row.status, StepRun.objects.filter(run_id=run.id).count()))
            drain()
            assert state(run.id) == row.status, "nobody takes a paused run"
            unpause_workflow(run.id)
            drain()
            assert WorkflowRun.objects.get(pk=run.id).output == '"last"'
            assert did(run.id) == ["inside"]
            if level == COMMITTED or not OVERLAP:
                assert CALLED == ["outside", "last"], "what has happened out there does not happen again"

        return Scenario(waiter=lambda: execute(run), waker=lambda: pause_workflow(run.id), check=check)

    raced(make)
    assert len(seen) >= 4 or not OVERLAP


@levels
@pytest.mark.usefixtures("committing")
def test_pausing_and_going_on_at_every_statement_of_an_attempt_repeats_nothing(level: str) -> None:
    def make() -> Scenario:
        presence.Worker.objects.all().delete()
        in_autocommit(presence.register, Presence(id="a-test", hostname="here", pid=1, lease_seconds=DAY, direct=True))
        run = leased(does_three)
        CALLED.clear()

        def on_and_off() -> None:
            pause_workflow(run.id)
            unpause_workflow(run.id)

        def check() -> None:
            assert state(run.id) in (S.ENQUEUED, S.SUCCESS)
            drain()
            assert WorkflowRun.objects.get(pk=run.id).output == '"last"'
            assert did(run.id) == ["inside"]
            if level == COMMITTED or not OVERLAP:
                assert CALLED == ["outside", "last"]

        return Scenario(waiter=lambda: execute(run), waker=on_and_off, check=check)

    raced(make)


@levels
@pytest.mark.usefixtures("committing")
def test_a_claim_and_a_pause_at_once(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        handle = nothing.start()
        claimer = Claimer(worker_id="a-worker", names=(nothing.durable.name,))

        def take() -> None:
            for claim in in_autocommit(lambda db: claims.claim(db, claimer, Pick(queue="default", limit=1), new_token())):
                execute(claim)

        def check() -> None:
            seen.add(handle.run.status)
            assert handle.run.status in (S.PAUSED, S.SUCCESS)
            unpause_workflow(handle.workflow_id)
            drain()
            assert handle.run.status == S.SUCCESS

        return Scenario(waiter=take, waker=lambda: pause_workflow(handle.workflow_id), check=check)

    raced(make)
    assert seen == {S.PAUSED, S.SUCCESS}


@levels
@pytest.mark.usefixtures("committing")
def test_going_to_sleep_being_woken_and_going_on_lose_no_message(level: str) -> None:
    """The waiter is paused while it falls asleep, and made to go on while a message comes."""

    def falls_asleep() -> Scenario:
        run = leased(waits_for, "message")

        def check() -> None:
            assert state(run.id) == S.PAUSED
            send(run.id, "there")
            unpause_workflow(run.id)
            drain()
            assert WorkflowRun.objects.get(pk=run.id).output == '"there"'

        return Scenario(waiter=lambda: execute(run), waker=lambda: pause_workflow(run.id), check=check)

    def is_woken() -> Scenario:
        run = leased(waits_for, "message")
        execute(run)
        pause_workflow(run.id)

        def check() -> None:
            drain()
            assert WorkflowRun.objects.get(pk=run.id).output == '"there"'

        return Scenario(waiter=lambda: unpause_workflow(run.id), waker=lambda: send(run.id, "there"), check=check)

    raced(falls_asleep)
    raced(is_woken)


@levels
@pytest.mark.usefixtures("committing")
def test_a_pause_beside_a_cancel_and_an_unpause_beside_a_claim_end_somewhere(level: str) -> None:
    def cancelled() -> Scenario:
        run = leased(waits_for, "message")
        execute(run)

        def check() -> None:
            assert state(run.id) == S.CANCELLED

        return Scenario(waiter=lambda: cancel_workflow(run.id), waker=lambda: pause_workflow(run.id), check=check)

    def twice() -> Scenario:
        run = leased(nothing)

        def on_and_off() -> None:
            pause_workflow(run.id)
            unpause_workflow(run.id)

        def check() -> None:
            drain()
            assert state(run.id) in TERMINAL

        return Scenario(waiter=lambda: execute(run), waker=on_and_off, check=check)

    raced(cancelled)
    raced(twice)
