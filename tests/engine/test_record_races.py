"""Two who act on the records of one run at once, at every statement of each; and replies that are lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from durable_workflows import (
    InvalidUse,
    SetWorkflowAttributes,
    WorkflowNotFound,
    cancel_workflow,
    delete_workflow,
    erase_payloads,
    erase_payloads_where,
    export_workflow,
    import_workflow,
    pause_workflow,
    recv,
    resume_workflow,
    send,
    set_delay,
    start_workflow,
    step,
    unpause_workflow,
    update_attributes,
    workflow,
)
from durable_workflows.engine import keeping
from durable_workflows.ids import new_token
from durable_workflows.models import Message, StepRun, Wait, WorkflowRun, claims
from durable_workflows.models.claims import Claimer, Pick
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.serializers import is_erased
from durable_workflows.states import RunState
from durable_workflows.testing import drain
from tests.engine.born import execute, leased
from tests.engine.interleaving import Scenario, explore
from tests.engine.isolation import DATABASE, interleaved_levels
from tests.engine.test_lost_sessions import end_session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]
S = RunState
OVERLAP = DATABASE != "sqlite"


@step
def counts(number: int) -> int:
    return number


@workflow
def listens(times: int) -> list[Any]:
    counts(times)
    return [recv() for _ in range(times)]


@workflow
def nothing() -> None:
    pass


def attempted(deed: Callable[[], object], told: list[str]) -> Callable[[], None]:
    """The deed, whose refusal is noted."""

    def job() -> None:
        try:
            deed()
            told.append("done")
        except (InvalidUse, WorkflowNotFound) as refusal:
            told.append(type(refusal).__name__)

    return job


def cancelled() -> str:
    run = leased(listens, 1)
    execute(run)
    cancel_workflow(run.id)
    return run.id


@interleaved_levels
def test_a_run_is_deleted_whole_or_resumed_whole(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        run_id = cancelled()
        deleting: list[str] = []
        resuming: list[str] = []

        def check() -> None:
            there = WorkflowRun.objects.filter(pk=run_id).exists()
            assert StepRun.objects.filter(run_id=run_id).exists() == there
            assert Wait.objects.filter(run_id=run_id).exists() == there
            assert (deleting, resuming) == ((["InvalidUse"], ["done"]) if there else (["done"], resuming))
            seen.add((*deleting, *resuming))
            if there:
                send(run_id, "hello")
                drain()
                assert WorkflowRun.objects.get(pk=run_id).output == '["hello"]'

        return Scenario(
            waiter=attempted(lambda: delete_workflow(run_id), deleting),
            waker=attempted(lambda: resume_workflow(run_id), resuming),
            check=check,
        )

    explore(make, deep=False)
    assert seen == {("InvalidUse", "done"), ("done", "WorkflowNotFound")} or not OVERLAP


@pytest.mark.sampled(2)
@interleaved_levels
def test_a_run_is_erased_whole_or_resumed_whole(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        run_id = cancelled()
        erasing: list[str] = []

        def check() -> None:
            row, [recorded] = WorkflowRun.objects.get(pk=run_id), StepRun.objects.filter(run_id=run_id)
            erased = erasing == ["done"]
            assert (is_erased(row.inputs), is_erased(recorded.output)) == (erased, erased)
            seen.add(*erasing)
            send(run_id, "hello")
            drain()
            stranded = WorkflowRun.objects.get(pk=run_id)
            assert (stranded.status, stranded.stranded) == ((S.ENQUEUED, "payload") if erased else (S.SUCCESS, ""))
            WorkflowRun.objects.filter(pk=run_id).update(status=S.CANCELLED, stranded="")

        return Scenario(
            waiter=attempted(lambda: erase_payloads(run_id), erasing), waker=lambda: resume_workflow(run_id), check=check
        )

    explore(make, deep=False)
    assert seen == {"InvalidUse", "done"} or not OVERLAP


@interleaved_levels
def test_a_document_shows_one_moment_of_a_run_that_goes_on(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        run = leased(listens, 2)
        for word in ("one", "two"):
            send(run.id, word)
        documents: list[Any] = []

        def check() -> None:
            [[exported]] = [document["runs"] for document in documents]
            received = [step for step in exported["steps"] if step["name"] == "durable.recv"]
            consumed = [message for message in exported["messages"] if message["consumed_at"]]
            assert len(received) == len(consumed)
            assert (exported["status"] == S.SUCCESS) <= (len(received) == 2)
            seen.add((exported["status"], len(exported["steps"])))

        return Scenario(waiter=lambda: execute(run), waker=lambda: documents.append(export_workflow(run.id)), check=check)

    explore(make, deep=False)
    assert len(seen) >= 3 or not OVERLAP


@interleaved_levels
def test_two_who_add_attributes_lose_none(level: str) -> None:
    def make() -> Scenario:
        run_id = leased(nothing).id

        def check() -> None:
            assert WorkflowRun.objects.get(pk=run_id).attributes == {"one": 1, "two": 2}

        return Scenario(
            waiter=lambda: update_attributes(run_id, {"one": 1}, merge=True),
            waker=lambda: update_attributes(run_id, {"two": 2}, merge=True),
            check=check,
        )

    explore(make, deep=False)


@interleaved_levels
def test_a_start_is_put_off_or_has_begun(level: str) -> None:
    seen = set()

    def make() -> Scenario:
        handle = nothing.start()
        claimer = Claimer(worker_id="a-worker", names=(nothing.durable.name,))
        told: list[str] = []

        def take() -> None:
            for claim in in_autocommit(lambda db: claims.claim(db, claimer, Pick(queue="default", limit=1), new_token())):
                execute(claim)

        def check() -> None:
            assert (told[0], handle.run.status) in (("done", S.DELAYED), ("InvalidUse", S.SUCCESS))
            seen.add(told[0])

        return Scenario(waiter=take, waker=attempted(lambda: set_delay(handle.workflow_id, 1000), told), check=check)

    explore(make, deep=False)
    assert seen == {"done", "InvalidUse"} or not OVERLAP


@pytest.mark.skipif(DATABASE == "sqlite", reason="it has no session that could be lost")
def test_a_call_whose_reply_was_lost_is_made_again_and_happens_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The COMMIT is done, and the client hears that the session broke."""
    calls: list[object] = []

    def lose_first_reply(work: Any, *args: Any) -> Any:
        came = in_write_transaction(work, *args)
        calls.append(came)
        if len(calls) == 1:
            end_session()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        return came

    def twice(deed: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        calls.clear()
        came = deed(*args, **kwargs)
        assert len(calls) == 2, deed
        return came

    with SetWorkflowAttributes({"who": "ada"}):
        waiting = start_workflow(listens, 1).workflow_id
        delayed = start_workflow(nothing).workflow_id
    monkeypatch.setattr(keeping, "in_write_transaction", lose_first_reply)
    twice(set_delay, delayed, 1000)
    twice(pause_workflow, waiting)
    twice(unpause_workflow, waiting)
    twice(update_attributes, waiting, {"more": 1}, merge=True)
    states = dict(WorkflowRun.objects.values_list("pk", "status"))
    assert states == {waiting: S.ENQUEUED, delayed: S.DELAYED}
    assert WorkflowRun.objects.get(pk=waiting).attributes == {"who": "ada", "more": 1}
    cancel_workflow(waiting)
    document = export_workflow(waiting)
    assert twice(erase_payloads, waiting) == [waiting]
    cancel_workflow(delayed)
    assert twice(erase_payloads_where, attributes={"who": "ada"}) in ([delayed], [])
    twice(delete_workflow, waiting)
    assert not WorkflowRun.objects.filter(pk=waiting).exists()
    assert twice(import_workflow, document).workflow_id == waiting
    assert WorkflowRun.objects.get(pk=waiting).status == S.CANCELLED
    assert not Message.objects.exists()
    with pytest.raises(WorkflowNotFound):
        delete_workflow("nobody")
