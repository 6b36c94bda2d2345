"""An attempt that undoes is stopped, lost, forgotten or given up: another one goes on with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from durable_workflows import (
    cancel_workflow,
    continue_as_new,
    current,
    durable_each,
    recv,
    resume_workflow,
    saga,
    workflow,
)
from durable_workflows.engine.services import Conclusion
from durable_workflows.ids import new_token
from durable_workflows.models import WorkflowRun, claims, recovery, steering
from durable_workflows.models.claims import Claim, Claimer, Pick
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.states import RunState
from durable_workflows.testing import drain, lose
from tests.app.models import Ledger
from tests.engine.born import Unparked, execute, leased
from tests.engine.deeds import did, do, undo
from tests.engine.isolation import DATABASE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
UNDONE = ["flight", "hotel", "undo hotel", "undo flight"]


@workflow
def books() -> None:
    with saga() as block:
        block.undo(undo, do("flight"))
        block.undo(undo, do("hotel"))
        recv("never")


@workflow
def interrupted(how: str) -> str:
    with saga() as block:
        block.undo(undo, do("flight"))
        block.undo(undo, do("hotel"))
        if INTERRUPTS:
            raise INTERRUPTS.pop()
    return how


INTERRUPTS: list[BaseException] = []


class Watched(Unparked):
    """Something befalls the attempt once so many rows are written."""

    def __init__(self, what: str, rows: int) -> None:
        super().__init__()
        self.what, self.rows = what, rows

    def _befallen(self, what: str) -> bool:
        return self.what == what and Ledger.objects.count() >= self.rows

    def stopping(self) -> bool:
        return self._befallen("stopping")

    def holds_lease(self) -> bool:
        return not self._befallen("lost")


def to_undo() -> Claim:
    """A run that was cancelled in its saga, as a worker has claimed it."""
    handle = books.start()
    drain()
    handle.cancel()
    claimer = Claimer(worker_id="w", names=(books.durable.name,))
    [claim] = in_autocommit(lambda db: claims.claim(db, claimer, Pick(queue="default", limit=1), new_token()))
    return claim


def row(claim: Claim) -> WorkflowRun:
    return WorkflowRun.objects.get(pk=claim.id)


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_a_worker_that_stops_hands_it_back_and_another_one_goes_on(rows: int) -> None:
    claim = to_undo()
    execute(claim, Watched("stopping", rows))
    ended = rows == 4
    assert row(claim).status == (RunState.CANCELLED if ended else RunState.ENQUEUED)
    assert len(did(claim.id)) == rows
    drain()
    assert did(claim.id) == UNDONE
    assert row(claim).status == RunState.CANCELLED


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("way", ["taken back", "forgotten"])
def test_a_worker_that_loses_its_lease_stops_and_another_one_goes_on(rows: int, way: str) -> None:
    claim = to_undo()
    execute(claim, Watched("lost", rows))
    assert len(did(claim.id)) == rows
    assert row(claim).status == RunState.CANCELLING
    if way == "taken back":
        assert in_write_transaction(recovery.take_back, "w") == 1
    else:
        assert in_write_transaction(steering.hand_back_forgotten, claim.id, claim.token)
    drain()
    assert did(claim.id) == UNDONE
    assert row(claim).status == RunState.CANCELLED


def test_an_owner_that_lost_it_while_it_undid_is_fenced_off() -> None:
    claim = to_undo()
    execute(claim, Watched("lost", 3))
    in_write_transaction(recovery.take_back, "w")
    drain()
    execute(claim)  # the former owner comes back
    assert did(claim.id) == UNDONE


def test_one_that_was_given_up_is_resumed_to_be_undone() -> None:
    claim = to_undo()
    WorkflowRun.objects.filter(pk=claim.id).update(max_recovery_attempts=0)
    execute(claim, Watched("lost", 2))
    in_write_transaction(recovery.take_back, "w")
    assert row(claim).status == RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED
    resume_workflow(claim.id)
    drain()
    assert did(claim.id) == UNDONE
    assert row(claim).status == RunState.CANCELLED


def test_a_run_whose_worker_dies_with_a_saga_open_goes_on_and_is_not_undone() -> None:
    claim = leased(interrupted, "went on", worker_id="w")
    execute(claim, Watched("lost", 1))
    in_write_transaction(recovery.take_back, "w")
    drain()
    assert did(claim.id) == ["flight", "hotel"]
    assert row(claim).output == '"went on"'


@pytest.mark.parametrize("rows", [1, 2])
def test_a_worker_that_stops_with_a_saga_open_undoes_nothing(rows: int) -> None:
    claim = leased(interrupted, "went on", worker_id="w")
    execute(claim, Watched("stopping", rows))
    drain()
    assert did(claim.id) == ["flight", "hotel"]
    assert row(claim).output == '"went on"'


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_a_direct_call_is_no_failure(kind: type[BaseException]) -> None:
    INTERRUPTS[:] = [kind()]
    with pytest.raises(kind):
        interrupted("went on")
    [run] = WorkflowRun.objects.all()
    assert run.status == RunState.ENQUEUED
    drain()
    assert did(run.pk) == ["flight", "hotel"]


class Leaves(Unparked):
    """Outcomes are written later, by another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[Conclusion] = []

    def leave(self, conclusion: Conclusion) -> bool:
        self.left.append(conclusion)
        return True


@pytest.mark.usefixtures("committing")
@pytest.mark.parametrize("cancelled", [True, False])
def test_an_outcome_that_was_left_to_another_thread_and_comes_too_late(cancelled: bool) -> None:
    services, claim = Leaves(), leased(interrupted, "done", worker_id="w")
    execute(claim, services)
    if cancelled:
        cancel_workflow(claim.id)
    [left] = services.left

    def conclude() -> None:
        left.conclude()
        connection.close()

    with ThreadPoolExecutor(1) as another:
        another.submit(conclude).result()
    assert row(claim).status == (RunState.ENQUEUED if cancelled else RunState.SUCCESS)
    drain()
    assert did(claim.id) == (UNDONE if cancelled else UNDONE[:2])
    assert row(claim).status == (RunState.CANCELLED if cancelled else RunState.SUCCESS)


@workflow
def turns(turn: int = 0) -> int:
    do(f"turn {turn}")
    if turn < 2:
        continue_as_new(turn + 1)
    return turn


def test_a_worker_that_stops_between_two_turns_hands_the_run_back() -> None:
    claim = leased(turns, worker_id="w")
    execute(claim, Watched("stopping", 1))
    assert row(claim).status == RunState.ENQUEUED
    drain()
    assert did(claim.id) == ["turn 0", "turn 1", "turn 2"]


def test_a_former_turns_owner_is_fenced_off() -> None:
    claim = leased(turns, worker_id="w")
    execute(claim)
    assert row(claim).output == "2"
    WorkflowRun.objects.filter(pk=claim.id).update(status=RunState.RUNNING)
    execute(claim)  # as if it had been stopped before its first step, and its token were still good for anything
    assert did(claim.id) == ["turn 0", "turn 1", "turn 2"]


@workflow
def goes_through() -> None:
    for number in durable_each(range(5), batch=2):
        do(str(number))


@pytest.mark.parametrize("what", ["stopping", "lost"])
def test_a_loop_is_handed_back_between_two_batches(what: str) -> None:
    claim = leased(goes_through, worker_id="w")
    execute(claim, Watched(what, 2))
    assert did(claim.id) == ["0", "1"]
    if what == "lost":
        in_write_transaction(recovery.take_back, "w")
    drain()
    assert did(claim.id) == [str(number) for number in range(5)]


@pytest.mark.skipif(DATABASE == "sqlite", reason="a batch has its only write lock")
@pytest.mark.usefixtures("committing")
def test_two_owners_of_a_loop_process_each_row_once() -> None:
    """One is stopped amid a batch and goes on after another one has taken over."""
    claim = leased(stands_still, worker_id="w")
    execute(claim)
    assert row(claim).status == RunState.SUCCESS
    assert did(claim.id) == ["0", "1", "2", "3", "4"]


def take_over(run_id: str) -> None:
    lose(run_id)
    drain()
    connection.close()


TAKEN: list[str] = []


@workflow
def stands_still() -> None:
    for number in durable_each(range(5), batch=2):
        do(str(number))
        now = current()
        assert now is not None
        if number == 3 and now.workflow_id not in TAKEN:
            TAKEN.append(now.workflow_id)
            with ThreadPoolExecutor(1) as another:
                another.submit(take_over, now.workflow_id).result()
