"""Steps whose database session ends under them, as when the server restarts: executed again, and no attempt is counted."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import DatabaseError, connection

from durable_workflows import step, workflow
from durable_workflows.engine import services
from durable_workflows.engine.services import PlainServices, persistently
from durable_workflows.exceptions import LeaseLost
from durable_workflows.models import StepAttempt, StepRun
from durable_workflows.testing import durable_worker
from tests.app.models import Ledger
from tests.engine.elsewhere import in_thread
from tests.engine.isolation import DATABASE

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("committing", "unparked"),
    pytest.mark.skipif(DATABASE == "sqlite", reason="it has no sessions that somebody else could end"),
]
CALLS: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def end_session() -> None:
    """Have another session end this thread's."""
    own, end = ("pg_backend_pid()", "SELECT pg_terminate_backend(%s, 10000)")
    if connection.vendor == "mysql":
        own, end = ("CONNECTION_ID()", "KILL HARD %s")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {own}")
        session = cursor.fetchone()[0]

    def end_it() -> None:
        with connection.cursor() as other:
            other.execute(end, [session])

    in_thread(end_it)


@step
def loses_its_session(amid: bool) -> int:
    CALLS["body"] += 1
    Ledger.objects.create(run_id="1", step="first")
    if CALLS["body"] == 1:
        end_session()
    if amid:
        Ledger.objects.create(run_id="1", step="second")
    return CALLS["body"]


@workflow
def unlucky(amid: bool) -> int:
    return loses_its_session(amid)


def executed_twice_and_done_once(amid: bool) -> None:
    assert CALLS["body"] == 2
    assert Ledger.objects.count() == 1 + amid
    assert [(record.attempts, record.error) for record in StepRun.objects.all()] == [(1, None)]
    assert not StepAttempt.objects.exists()


@pytest.mark.parametrize("amid", [True, False], ids=["amid-the-body", "before-its-checkpoint"])
def test_a_body_whose_session_ended_is_executed_again(amid: bool) -> None:
    assert unlucky(amid) == 2
    executed_twice_and_done_once(amid)


@pytest.mark.parametrize("amid", [True, False], ids=["amid-the-body", "before-its-checkpoint"])
def test_the_same_on_the_threads_of_a_worker(amid: bool) -> None:
    handle = unlucky.start(amid)
    with durable_worker():
        assert handle.get_result(timeout=30) == 2
    executed_twice_and_done_once(amid)


@step
def comes_after() -> int:
    return Ledger.objects.create(run_id="1", step="after").pk


@workflow
def loses_it_between_steps() -> int:
    end_session()
    return comes_after()


def test_a_step_whose_session_ended_before_it_began_is_executed_on_another() -> None:
    handle = loses_it_between_steps.start()
    with durable_worker():
        assert handle.get_result(timeout=30) == Ledger.objects.get().pk
    assert [(record.attempts, record.error) for record in StepRun.objects.all()] == [(1, None)]


# -- the engine's own statements


def answers_at_the_fourth_try() -> int:
    CALLS["tries"] += 1
    if CALLS["tries"] < 4:
        end_session()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


def test_an_attempt_that_holds_its_lease_waits_for_the_database_however_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "PATIENCE", 0.0)
    assert persistently(answers_at_the_fourth_try, PlainServices(), lambda: LeaseLost("run")) == 1
    assert CALLS["tries"] == 4


def test_one_whose_lease_ran_out_stops_with_that(monkeypatch: pytest.MonkeyPatch) -> None:
    lender = PlainServices()
    monkeypatch.setattr(lender, "holds_lease", lambda: False)
    with pytest.raises(LeaseLost):
        persistently(answers_at_the_fourth_try, lender, lambda: LeaseLost("run"))
    assert CALLS["tries"] == 1


def test_a_client_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "PATIENCE", 0.0)
    with pytest.raises(DatabaseError):
        persistently(answers_at_the_fourth_try, PlainServices())
