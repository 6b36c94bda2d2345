"""Steps that the database rolls back because of one another: repeated by the engine, and no attempt is counted."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F

from durable_workflows import current, pause_workflow, step, unpause_workflow, workflow
from durable_workflows.models import StepAttempt, StepRun, WorkflowRun
from durable_workflows.models.transactions import is_lock_error
from durable_workflows.testing import drain, durable_worker
from tests.app.models import Account, Ledger
from tests.engine.bodies import raw_execute
from tests.engine.born import execute, leased
from tests.engine.elsewhere import Meeting, in_thread, in_threads
from tests.engine.isolation import COMMITTED, DATABASE, LEVELS, REPEATABLE, SERIALIZABLE, at_each_level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]
CALLS: Counter[str] = Counter()
MEET: list[Meeting] = []


@pytest.fixture(autouse=True)
def meeting() -> None:
    CALLS.clear()
    MEET[:] = [Meeting(2)]


def balances() -> dict[str, int]:
    return dict(Account.objects.values_list("name", "balance"))


def each_step_is_done_once(steps: int) -> None:
    assert [record.attempts for record in StepRun.objects.all()] == [1] * steps
    assert not StepRun.objects.exclude(error=None).exists()
    assert not StepAttempt.objects.exists()


# -- deadlocks


@step(max_attempts=3, interval_seconds=0)
def transfers(source: str, target: str) -> None:
    CALLS[source] += 1
    Ledger.objects.create(run_id=source, step="transfers")
    Account.objects.filter(name=source).update(balance=F("balance") - 1)
    MEET[0](source)
    Account.objects.filter(name=target).update(balance=F("balance") + 1)


@workflow
def transfer(source: str, target: str) -> None:
    transfers(source, target)


@pytest.mark.skipif(DATABASE == "sqlite", reason="one writer cannot deadlock")
@at_each_level
def test_a_deadlock_is_repeated_and_is_no_attempt(level: str) -> None:
    for name in "ab":
        Account.objects.create(name=name)
    in_threads([lambda: transfer("a", "b"), lambda: transfer("b", "a")])
    assert balances() == {"a": 0, "b": 0}
    assert sum(CALLS.values()) > 2, "there was no deadlock"
    assert Ledger.objects.count() == 2
    each_step_is_done_once(2)


@pytest.mark.skipif(DATABASE == "sqlite", reason="one writer cannot deadlock")
@at_each_level
def test_the_same_on_the_threads_of_a_worker(level: str) -> None:
    for name in "ab":
        Account.objects.create(name=name)
    handles = [transfer.start("a", "b"), transfer.start("b", "a")]
    with durable_worker(threads=2):
        for handle in handles:
            handle.get_result(timeout=30)
    assert balances() == {"a": 0, "b": 0}
    assert sum(CALLS.values()) > 2
    each_step_is_done_once(2)


@step
def swallows(mine: str, theirs: str, weight: int) -> str:
    """Goes on after a deadlock as if it had lost nothing: whoever has written less is the one that is rolled back."""
    CALLS[mine] += 1
    Ledger.objects.bulk_create([Ledger(run_id=mine, step="swallows") for _ in range(weight)])
    Account.objects.filter(name=mine).update(balance=F("balance") + 1)
    MEET[0](mine)
    with suppress(OperationalError):
        Account.objects.filter(name=theirs).update(balance=F("balance") + 1)
    Ledger.objects.create(run_id=mine, step="after")
    return mine


@step
def swallows_past_django(mine: str, theirs: str, weight: int) -> str:
    CALLS[mine] += 1
    Ledger.objects.bulk_create([Ledger(run_id=mine, step="swallows") for _ in range(weight)])
    Account.objects.filter(name=mine).update(balance=F("balance") + 1)
    MEET[0](mine)
    raw_execute("UPDATE tests_app_account SET balance = balance + 1 WHERE name = %s", theirs)
    Ledger.objects.create(run_id=mine, step="after")
    return mine


SWALLOWING = {"django": swallows, "driver": swallows_past_django}


@workflow
def deadlocked(how: str, mine: str, theirs: str, weight: int) -> str:
    return SWALLOWING[how](mine, theirs, weight)


@pytest.mark.skipif(DATABASE != "mariadb", reason="PostgreSQL's transaction is then dead, which Django and the engine see")
@pytest.mark.parametrize("how", ["django", "driver"])
@at_each_level
def test_a_swallowed_deadlock_leaves_no_record_of_what_it_rolled_back(how: str, level: str) -> None:
    for name in "ab":
        Account.objects.create(name=name)
    in_threads([lambda: deadlocked(how, "a", "b", 1), lambda: deadlocked(how, "b", "a", 50)])
    assert CALLS["a"] > 1, "there was no deadlock"
    assert balances() == {"a": 2, "b": 2}
    assert Ledger.objects.filter(run_id="a").count() == 2
    each_step_is_done_once(2)


# -- serialization


@step
def reads_and_saves(who: str) -> int:
    CALLS[who] += 1
    account = Account.objects.get(name="shared")
    MEET[0](who)
    account.balance += 1
    account.save()
    return account.balance


@workflow
def adds(who: str) -> int:
    return reads_and_saves(who)


@pytest.mark.skipif(DATABASE != "postgresql", reason="the others lock instead, or lose the update")
@pytest.mark.parametrize("level", [REPEATABLE, SERIALIZABLE], indirect=True)
def test_a_serialization_failure_is_repeated(level: str) -> None:
    Account.objects.create(name="shared")
    assert sorted(in_threads([lambda: adds("a"), lambda: adds("b")])) == [1, 2]
    assert sum(CALLS.values()) > 2
    each_step_is_done_once(2)


@step
def takes_if_both_have(who: str) -> bool:
    """Write skew: each reads both and writes one. The database finds out at a COMMIT, after the checkpoint."""
    CALLS[who] += 1
    total = sum(Account.objects.values_list("balance", flat=True))
    MEET[0](who)
    if total < 2:
        return False
    Account.objects.filter(name=who).update(balance=F("balance") - 1)
    return True


@workflow
def takes(who: str) -> bool:
    return takes_if_both_have(who)


@pytest.mark.skipif(DATABASE != "postgresql", reason="only PostgreSQL's SERIALIZABLE sees it")
@pytest.mark.parametrize("level", [SERIALIZABLE], indirect=True)
def test_write_skew_is_repeated(level: str) -> None:
    for name in "ab":
        Account.objects.create(name=name, balance=1)
    assert sorted(in_threads([lambda: takes("a"), lambda: takes("b")])) == [False, True]
    assert sum(balances().values()) == 1
    each_step_is_done_once(2)


# -- waiting for locks


@step
def takes_what_is_free(name: str) -> str:
    CALLS[name] += 1
    Ledger.objects.create(run_id=name, step="before")
    try:
        with transaction.atomic():
            Account.objects.select_for_update(nowait=True).get(name=name)
    except OperationalError:
        Ledger.objects.create(run_id=name, step="taken")
        return "taken"
    return "free"


@workflow
def looks(name: str) -> str:
    return takes_what_is_free(name)


@pytest.mark.skipif(DATABASE == "sqlite", reason="it has no NOWAIT")
@at_each_level
def test_a_lock_that_a_body_tries_and_does_not_get_is_its_own_affair(level: str) -> None:
    Account.objects.create(name="a")
    with transaction.atomic():
        Account.objects.select_for_update().get(name="a")
        assert in_thread(lambda: looks("a")) == "taken"
    assert CALLS["a"] == 1
    assert list(Ledger.objects.values_list("step", flat=True).order_by("id")) == ["before", "taken"]
    each_step_is_done_once(1)


@step
def is_paused_elsewhere() -> None:
    CALLS["paused"] += 1
    Ledger.objects.create(run_id="paused", step="paused")
    if CALLS["paused"] == 1:
        now = current()
        assert now is not None
        in_thread(lambda: pause_workflow(now.workflow_id))


@workflow
def goes_no_further() -> None:
    is_paused_elsewhere()


@pytest.mark.skipif(DATABASE == "sqlite", reason="one writer would wait for itself")
@at_each_level
def test_a_body_is_not_repeated_once_its_run_is_paused(level: str) -> None:
    run = leased(goes_no_further)
    execute(run)
    assert CALLS["paused"] == 1
    assert WorkflowRun.objects.get(pk=run.id).status == "PAUSED"
    unpause_workflow(run.id)
    drain()
    assert WorkflowRun.objects.get(pk=run.id).status == "SUCCESS"
    each_step_is_done_once(1)
    assert Ledger.objects.count() == 1


# -- SQLite's one writer


@step
def increments(name: str) -> int:
    balance = Account.objects.get(name=name).balance
    Account.objects.filter(name=name).update(balance=balance + 1)
    return balance


@workflow
def increments_often(name: str, times: int) -> None:
    for _ in range(times):
        increments(name)


@pytest.mark.skipif(DATABASE != "sqlite", reason="the others have many writers")
@pytest.mark.parametrize("mode", ["IMMEDIATE", "DEFERRED", None])
def test_on_sqlite_a_body_that_reads_and_then_writes_never_finds_it_locked(
    mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of this process queue; a stranger, as another process is, is waited for at the file's own lock."""
    Account.objects.create(name="shared")
    path = str(connection.settings_dict["NAME"])

    def call() -> None:
        settings: Any = connection
        settings.ensure_connection()
        settings.transaction_mode = mode
        increments_often("shared", 10)

    def stranger() -> None:
        other = sqlite3.connect(path, timeout=30, isolation_level=None)
        for _ in range(30):
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE tests_app_account SET balance = balance + 1 WHERE name = 'shared'")
            other.execute("COMMIT")
        other.close()

    in_threads([call, call, call, stranger])
    assert balances() == {"shared": 60}
    each_step_is_done_once(30)


# -- which errors they are


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqlite3.OperationalError("database is locked"), True),
        (sqlite3.OperationalError("database table is locked: x"), True),
        (sqlite3.OperationalError("no such table: x"), False),
        (OperationalError(1213, "Deadlock found when trying to get lock"), True),
        (OperationalError(1045, "Access denied"), False),
        (ValueError(1213), False),
        (LookupError("locked"), False),
    ],
)
def test_lock_errors_are_told_from_others(error: BaseException, expected: bool) -> None:
    assert is_lock_error(error) is expected


def test_every_level_is_covered() -> None:
    assert LEVELS
    assert COMMITTED in LEVELS or DATABASE == "sqlite"
