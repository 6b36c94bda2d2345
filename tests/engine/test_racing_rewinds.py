"""
A run is rewound, forked or tried again at every statement of whoever else is at it, and at every loss of a reply.

What its former owner has under way is either recorded before, and then kept or cut like everything else, or refused, and
then nothing of it is there: no row, and no message that it took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from django.db import Error, InterfaceError, connection

from durable_workflows import (
    cancel_workflow,
    continue_as_new,
    durable_each,
    fork_workflow,
    pause_workflow,
    recv,
    retry_workflow,
    rewind_workflow,
    saga,
    send,
    set_event,
    step,
    workflow,
    write_stream,
)
from durable_workflows.models import Message, StepRun, WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import drain
from tests.engine.born import execute, leased
from tests.engine.deeds import did, do, undo
from tests.engine.elsewhere import in_thread
from tests.engine.interleaving import Explored, Scenario, explore
from tests.engine.isolation import DATABASE, interleaved_levels
from tests.engine.journeys import FAILING, child, story

OVERLAP = DATABASE != "sqlite"  # whose writers take turns, so that most schedules are the same one

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("committing", "unparked"),
    interleaved_levels,
    pytest.mark.sampled(3),
]


@pytest.fixture(autouse=True)
def nothing_fails() -> Iterator[None]:
    yield
    FAILING.clear()


@step
def compute(what: str) -> str:
    """Touches no table, so that its record is a statement by itself."""
    return what


@step
def tells(what: str) -> str:
    set_event("told", what)
    write_stream("aloud", what)
    return do(what)


@workflow
def works() -> Any:
    do("one")
    compute("price")
    heard = recv("go")
    write_stream("out", heard)
    tells("two")
    for number in durable_each(range(2), batch=2):
        do(f"row {number}")
    return heard


DEEDS = ["one", "two", "row 0", "row 1"]
BEFORE = {1: 0, 3: 1, 99: 4}  # how many of the deeds come before a step


def straight() -> dict[str, Any]:
    run = leased(works)
    send(run.id, "hello", "go")
    execute(run)
    return story(run.id)


def try_all(make: Callable[[], Scenario], *, deep: bool = False) -> Explored:
    explored = explore(make, deep=deep)
    assert explored.schedules > 4
    return explored


@pytest.mark.parametrize("start", [3, pytest.param(1, marks=pytest.mark.slow), pytest.param(99, marks=pytest.mark.slow)])
def test_an_owner_at_work_writes_nothing_into_what_follows_and_what_is_kept_is_done_once(level: str, start: int) -> None:
    told, seen = straight(), set()

    def make() -> Scenario:
        run = leased(works)
        send(run.id, "hello", "go")

        def check() -> None:
            drain()
            row = WorkflowRun.objects.get(pk=run.id)
            assert (row.status, row.output, row.generation) == (RunState.SUCCESS, '"hello"', 1)
            assert _but_late_values(story(run.id)) == _but_late_values(told)
            assert Message.objects.filter(run_id=run.id).count() == 1
            # What it had done before, of which nothing is half there, and then what is not kept of that.
            done = did(run.id)
            assert done in [DEEDS[:number] + DEEDS[min(number, BEFORE[start]) :] for number in range(len(DEEDS) + 1)]
            seen.add(len(done))

        return Scenario(waiter=lambda: execute(run), waker=lambda: rewind_workflow(run.id, start), check=check)

    try_all(make)
    assert len(seen) > 1 or start == 99 or not OVERLAP


@pytest.mark.parametrize("stop", [pause_workflow, cancel_workflow])
def test_one_that_was_stopped_a_moment_ago_does_nothing_twice_that_is_kept(level: str, stop: Callable[[str], None]) -> None:
    def make() -> Scenario:
        run = leased(two_deeds)

        def stopped_and_rewound() -> None:
            stop(run.id)
            rewind_workflow(run.id, 99)

        def check() -> None:
            drain()
            row = WorkflowRun.objects.get(pk=run.id)
            assert (row.status, did(run.id)) == (RunState.SUCCESS, ["one", "two"])

        return Scenario(waiter=lambda: execute(run), waker=stopped_and_rewound, check=check)

    try_all(make)


@workflow
def two_deeds() -> None:
    do("one")
    do("two")


def _but_late_values(told: dict[str, Any]) -> dict[str, Any]:
    """What a step writes to a stream is there at once, and once more if the step is executed again."""
    return told | {"streams": sorted({(key, value) for key, _, _, value, _ in told["streams"]})}


@workflow
def books() -> None:
    with saga() as block:
        block.undo(undo, do("flight"))
        compute("price")
        block.undo(undo, do("hotel"))
    do("after")


def test_it_is_cancelled_at_the_same_time(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        run = leased(books)
        execute(run)

        def check() -> None:
            drain()
            done = did(run.id)[3:]
            row = WorkflowRun.objects.get(pk=run.id)
            seen.add(row.status)
            assert done == (["hotel", "after"] if row.status == RunState.SUCCESS else ["undo flight"])
            assert row.lease_token is None or row.status == RunState.SUCCESS

        return Scenario(waiter=lambda: rewind_workflow(run.id, 2), waker=lambda: cancel_workflow(run.id), check=check)

    try_all(make)
    assert seen == {RunState.SUCCESS, RunState.CANCELLED} or not OVERLAP


@workflow
def turns(turn: int = 0) -> None:
    do(f"turn {turn}")
    if turn < 1:
        continue_as_new(turn + 1)
    do("end")


def test_it_begins_anew_at_the_same_time(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        run = leased(turns)

        def check() -> None:
            drain()
            row = WorkflowRun.objects.get(pk=run.id)
            assert row.status == RunState.SUCCESS
            assert [step[4] for step in story(run.id)["steps"]] == ['"turn 1"', '"end"']
            assert set(StepRun.objects.filter(run_id=run.id).exclude(name="durable.rewound").values_list("generation")) == {
                (row.generation,)
            }
            seen.add(tuple(did(run.id)))

        return Scenario(waiter=lambda: execute(run), waker=lambda: rewind_workflow(run.id), check=check)

    try_all(make)
    assert len(seen) > 2 or not OVERLAP


@pytest.mark.slow
def test_one_rewinds_what_the_other_forks(level: str) -> None:
    told, made = story(_finished("fork")), [""]

    def make() -> Scenario:
        run = leased(books)
        execute(run)

        def check() -> None:
            drain()
            assert story(made[0], run.id) == story(run.id) == told

        def fork() -> None:
            made[:] = [fork_workflow(run.id, 3).workflow_id]

        return Scenario(waiter=lambda: rewind_workflow(run.id, 3), waker=fork, check=check)

    try_all(make)


def test_two_operators_try_a_run_again_once(level: str) -> None:
    def make() -> Scenario:
        run = WorkflowRun.objects.get(pk=_finished("retry"))

        def check() -> None:
            run.refresh_from_db()
            assert (run.status, run.tries, run.generation) == (RunState.ENQUEUED, 1, 1)
            drain()

        return Scenario(waiter=lambda: retry_workflow(run.pk), waker=lambda: retry_workflow(run.pk), check=check)

    try_all(make)


class Lost(BaseException):
    """The process is gone."""


def is_lost_at(number: int, job: Callable[[], object]) -> bool:
    """Whether a job, in a thread and a session of its own, comes to this statement, COMMIT included, and ends there."""
    sent: list[str] = []

    def before(sql: str) -> None:
        sent.append(sql)
        if len(sent) > number:
            raw, connection.connection = connection.connection, None
            raw.close()
            raise Lost

    def watch(execute: Any, sql: str, *more: Any) -> Any:
        before(sql)
        return execute(sql, *more)

    def work() -> None:
        commit = connection._commit  # type: ignore[attr-defined]  # what Django's own atomic() calls
        connection._commit = lambda: (before("COMMIT"), commit())  # type: ignore[attr-defined]  # likewise
        with connection.execute_wrapper(watch):
            job()

    with suppress(Lost, Error):  # Django finds its session closed when it leaves its blocks
        in_thread(work)
    return len(sent) > number


VERBS: dict[str, Callable[[str], object]] = {
    "rewind": lambda run_id: rewind_workflow(run_id, 3),
    "fork": lambda run_id: fork_workflow(run_id, 3),
    "retry": retry_workflow,
}


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_process_that_is_lost_amid_it_has_done_nothing(level: str, verb: str, settings: Any) -> None:
    settings.DURABLE_WORKFLOWS = {**settings.DURABLE_WORKFLOWS, "PREPARED_STATEMENTS": False}  # which pass by the watch
    run_id = _finished(verb)
    before, rows = story(run_id), _rows()
    for number in count():
        if not is_lost_at(number, lambda: VERBS[verb](run_id)):
            break
        assert (story(run_id), _rows()) == (before, rows), number
    assert number > 8
    assert _rows() != rows


def _finished(verb: str) -> str:
    if verb == "retry":
        FAILING.add("child x")
    run = leased(child, "x") if verb == "retry" else leased(books)
    execute(run)
    FAILING.clear()
    return run.id


def _rows() -> list[Any]:
    runs = WorkflowRun.objects.order_by("pk").values_list("pk", "status", "generation", "was_forked_from", "lease_token")
    return [*runs, *StepRun.objects.order_by("pk").values_list("pk", "generation", "position"), *_messages()]


def _messages() -> list[Any]:
    return list(Message.objects.order_by("pk").values_list("pk", "run_id", "consumed_position"))


@contextmanager
def replies_lost(times: int = 1) -> Iterator[None]:
    """The next COMMIT is carried out, and nobody hears of it."""
    commit, left = connection._commit, [times]  # type: ignore[attr-defined]  # what Django's own atomic() calls

    def lose() -> None:
        commit()
        if left[0]:
            left[0] -= 1
            raise InterfaceError("The connection was lost.")

    connection._commit = lose  # type: ignore[attr-defined]  # likewise
    try:
        yield
    finally:
        connection._commit = commit  # type: ignore[attr-defined]  # likewise


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_lost_reply_does_it_once(level: str, verb: str) -> None:
    run_id = _finished(verb)
    with replies_lost():
        VERBS[verb](run_id)
    run = WorkflowRun.objects.get(pk=run_id)
    assert run.generation == {"rewind": 1, "retry": 1, "fork": 0}[verb]
    assert WorkflowRun.objects.count() == (2 if verb == "fork" else 1)
    drain()
    assert not WorkflowRun.objects.exclude(status=RunState.SUCCESS).exists()


@workflow
def operates(verb: str, run_id: str) -> None:
    VERBS[verb](run_id)
    do("after")


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_lost_reply_in_a_workflow_does_it_once(level: str, verb: str) -> None:
    run_id = _finished(verb)
    operator = leased(operates, verb, run_id)
    with replies_lost():
        execute(operator)
    assert did(operator.id) == ["after"]
    run = WorkflowRun.objects.get(pk=run_id)
    assert run.generation == {"rewind": 1, "retry": 1, "fork": 0}[verb]
    assert WorkflowRun.objects.filter(forked_from_id=run_id).count() == (verb == "fork")
