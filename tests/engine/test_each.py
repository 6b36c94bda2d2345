"""Going through many rows: what the loop's body writes commits with the cursor, and each row is processed exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from durable_workflows import (
    InvalidUse,
    NotInWorkflow,
    StepRolledBack,
    close_stream,
    continue_as_new,
    current,
    durable_each,
    get_event,
    read_stream,
    recv,
    saga,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    workflow,
    write_stream,
)
from durable_workflows.models import StepRun, StreamEntry, WorkflowRun
from durable_workflows.models.transactions import is_lock_error
from durable_workflows.testing import drain, lose
from tests.app.models import Account, Ledger, Order

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
READ: list[str] = []


@pytest.fixture(autouse=True)
def nothing_read() -> None:
    READ.clear()


def add(count: int, first: int = 0) -> list[str]:
    names = [f"a{number:03}" for number in range(first, first + count)]
    for name in names:
        Account.objects.create(name=name)
    return names


def process(account: Account) -> None:
    """No step: a plain function, whose writes belong to the batch all the same."""
    READ.append(account.name)
    account.balance += 1
    account.save()
    Ledger.objects.create(run_id="", step=account.name)


def processed() -> list[str]:
    return list(Ledger.objects.order_by("pk").values_list("step", flat=True))


def batches(run_id: str) -> int:
    return StepRun.objects.filter(run_id=run_id, name="durable.durable_each").count()


@workflow
def goes_through(batch: int, then: str = "") -> str:
    for account in durable_each(Account.objects.all(), batch=batch):
        process(account)
    if then:
        recv(then)
    return "done"


@pytest.mark.parametrize(("rows", "batch", "records"), [(0, 5, 1), (1, 5, 1), (5, 5, 2), (7, 5, 2), (7, 1, 8), (7, 100, 1)])
def test_each_row_is_processed_once_and_each_batch_recorded(rows: int, batch: int, records: int) -> None:
    names = add(rows)
    handle = goes_through.start(batch, "go")
    drain()
    assert processed() == names
    assert batches(handle.workflow_id) == records
    READ.clear()
    add(3, first=rows)  # what comes later than the end is not gone through by a replay
    send(handle.workflow_id, None, "go")
    drain()
    assert handle.get_result() == "done"
    assert READ == []
    assert set(Account.objects.filter(name__in=names).values_list("balance", flat=True)) <= {1}


def test_a_direct_call_goes_through_them_too() -> None:
    names = add(7)
    assert goes_through(3) == "done"
    assert processed() == names


@workflow
def fails_at(name: str, batch: int) -> str:
    for account in durable_each(Account.objects.all(), batch=batch):
        process(account)
        if account.name == name:
            raise ValueError(name)
    return "done"


def test_a_batch_that_fails_is_rolled_back_and_those_before_stay() -> None:
    add(7)
    handle = fails_at.start("a004", 3)
    drain()
    with pytest.raises(ValueError, match="a004"):
        handle.get_result()
    assert processed() == ["a000", "a001", "a002"]
    assert READ == ["a000", "a001", "a002", "a003", "a004"]


def test_a_replay_reads_on_after_the_last_recorded_batch() -> None:
    names = add(7)
    handle = fails_at.start("a004", 3)
    drain()
    READ.clear()
    Account.objects.filter(name="a004").update(name="b004")  # it is well by now
    lose(handle.workflow_id)
    drain()
    assert handle.get_result() == "done"
    assert READ == ["a003", "b004", "a005", "a006"]
    assert len(processed()) == len(names)


@workflow
def meanwhile(changes: str) -> None:
    for account in durable_each(Account.objects.all(), batch=2):
        process(account)
        if account.name == "a001":
            CHANGES[changes]()


CHANGES: dict[str, Callable[[], Any]] = {
    "added": lambda: add(2, first=7),
    "deleted": lambda: Account.objects.filter(name__in=["a000", "a001", "a002"]).delete(),
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [("added", [0, 1, 2, 3, 4, 5, 6, 7, 8]), ("deleted", [0, 1, 3, 4, 5, 6])],
)
def test_rows_that_come_further_on_are_met_and_those_that_go_do_no_harm(changes: str, expected: list[int]) -> None:
    add(7)
    meanwhile.start(changes)
    drain()
    assert processed() == [f"a{number:03}" for number in expected]


ORDERS: dict[str, Callable[[], Any]] = {
    "manager": lambda: Account.objects,
    "filtered": lambda: Account.objects.filter(name__gt="a"),
    "pk": lambda: Account.objects.order_by("pk"),
    "-pk": lambda: Account.objects.order_by("-pk"),
    "name": lambda: Account.objects.order_by("name"),
    "-name": lambda: Account.objects.order_by("-name"),
    "only": lambda: Account.objects.only("name"),
    "locked": lambda: (
        Account.objects.select_for_update(of=("self",)) if connection.vendor == "postgresql" else Account.objects.all()
    ),
    "list": lambda: list(Account.objects.order_by("pk")),
    "tuple": lambda: tuple(Account.objects.order_by("pk")),
    "generator": lambda: (account for account in Account.objects.order_by("pk")),
    "iterator": lambda: iter(list(Account.objects.order_by("pk"))),
}


@workflow
def in_order(how: str) -> None:
    for account in durable_each(ORDERS[how](), batch=2):
        process(account)
        if account.name == "a003" and len(READ) < 5:
            raise OperationalError("database is locked") from LOCKED[connection.vendor]()


def _locked(vendor: str) -> Exception:
    """What the driver raises for a transaction that the database rolled back."""
    if vendor == "postgresql":
        from psycopg.errors import DeadlockDetected

        return DeadlockDetected("deadlock detected")
    if vendor == "mysql":
        from MySQLdb import OperationalError as Lost

        return Lost(1213, "Deadlock found")
    import sqlite3

    return sqlite3.OperationalError("database is locked")


LOCKED = {vendor: (lambda vendor=vendor: _locked(vendor)) for vendor in ("postgresql", "mysql", "sqlite")}


@pytest.mark.parametrize("how", ORDERS)
def test_whatever_can_be_gone_through_is_gone_through_in_its_order_and_a_rolled_back_batch_again(how: str) -> None:
    names = add(5)
    backwards = how.startswith("-")
    handle = in_order.start(how)
    assert drain() == 1
    assert handle.get_result() is None
    assert processed() == (names[::-1] if backwards else names)
    assert len(READ) > len(names)  # a batch was gone through twice, and committed once


def test_what_is_taken_for_a_lock_error_is_one() -> None:
    try:
        raise OperationalError("x") from LOCKED[connection.vendor]()
    except OperationalError as error:
        assert is_lock_error(error)


REFUSED: dict[str, Callable[[], Any]] = {
    "sliced": lambda: Account.objects.all()[:5],
    "values": lambda: Account.objects.values("name"),
    "values_list": lambda: Account.objects.values_list("name"),
    "not unique": lambda: Account.objects.order_by("balance"),
    "two": lambda: Account.objects.order_by("name", "pk"),
    "random": lambda: Account.objects.order_by("?"),
    "combined": lambda: Account.objects.union(Account.objects.all()),
    "set": lambda: {1, 2},
    "raw": lambda: Account.objects.raw("SELECT * FROM tests_app_account"),
    "number": lambda: 5,
}


@workflow
def refused(what: str, batch: Any) -> str:
    for _ in durable_each(REFUSED[what]() if what else [1], batch=batch):
        pass
    return "done"


@pytest.mark.parametrize(("what", "batch"), [*((what, 5) for what in REFUSED), ("", 0), ("", True), ("", "5"), ("", 2.0)])
def test_what_cannot_be_gone_through_is_refused(what: str, batch: Any) -> None:
    handle = refused.start(what, batch)
    drain()
    with pytest.raises(InvalidUse, match="durable_each|batch is"):
        handle.get_result()


@workflow
def numbers(upto: int) -> None:
    for number in durable_each(range(upto), batch=3):
        Ledger.objects.create(run_id="", step=str(number))


def test_any_iterable_will_do() -> None:
    numbers.start(7)
    drain()
    assert processed() == [str(number) for number in range(7)]


@step
def charge(account: Account) -> str:
    now = current()
    assert now is not None
    process(account)
    return now.idempotency_key


@workflow
def with_steps() -> None:
    for account in durable_each(Account.objects.all(), batch=2):
        key = charge(account)
        Ledger.objects.filter(step=account.name).update(note=key)
        start_workflow(greets, account.name)
        set_event("at", account.name)


@workflow
def greets(name: str) -> str:
    return f"hello {name}"


def test_a_step_in_the_loop_is_a_part_of_the_batch_and_has_a_key_for_each_row() -> None:
    add(5)
    handle = with_steps.start()
    drain()
    assert StepRun.objects.filter(run_id=handle.workflow_id).count() == 3
    keys = list(Ledger.objects.values_list("note", flat=True))
    assert len(set(keys)) == 5
    assert get_event(handle.workflow_id, "at") == "a004"
    assert WorkflowRun.objects.filter(parent=handle.workflow_id, status="SUCCESS").count() == 5


WAITS: dict[str, Callable[[], Any]] = {
    "sleep": lambda: sleep(1),
    "recv": lambda: recv("x"),
    "workflow": lambda: greets("you"),
    "result": lambda: start_workflow(greets, "you").get_result(),
    "saga": saga,
    "continue_as_new": continue_as_new,
    "durable_each": lambda: durable_each([1]),
}


@workflow
def waits(how: str) -> None:
    for account in durable_each(Account.objects.all()):
        process(account)
        WAITS[how]()


@pytest.mark.parametrize("how", WAITS)
def test_what_waits_is_refused_in_the_loop(how: str) -> None:
    add(2)
    handle = waits.start(how)
    drain()
    with pytest.raises(InvalidUse, match="inside the step"):
        handle.get_result()
    assert processed() == []


@step
def note(what: str) -> None:
    Ledger.objects.create(run_id="", step=what)


@workflow
def leaves(how: str, keeps: bool, then: str) -> str:
    rows: Iterable[Account] = durable_each(Account.objects.all(), batch=3)
    rows = iter(rows) if keeps else rows
    for account in rows:
        process(account)
        if account.name == "a004":
            if how == "return":
                return "returned"
            break
    if then == "step":
        note("after")
    return "went on"


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("then", ["step", ""])
@pytest.mark.parametrize("how", ["break", "return"])
def test_a_loop_that_is_left_early_is_an_error_and_only_whole_batches_stay(how: str, keeps: bool, then: str) -> None:
    add(7)
    handle = leaves.start(how, keeps, then)
    drain()
    with pytest.raises(InvalidUse, match="left before its end"):
        handle.get_result()
    assert processed() == ["a000", "a001", "a002"]


@workflow
def handles_outside() -> str:
    try:
        for account in durable_each(Account.objects.all(), batch=3):
            process(account)
            if account.name == "a004":
                raise ValueError(account.name)
    except ValueError as error:
        note(f"failed at {error}")
        recv("go")
        return "handled"
    return "done"


def test_an_exception_that_is_handled_is_recorded_and_a_replay_raises_it_again() -> None:
    add(7)
    handle = handles_outside.start()
    drain()
    assert processed() == ["a000", "a001", "a002", "failed at a004"]
    assert len(READ) == 5
    send(handle.workflow_id, None, "go")
    drain()
    assert handle.get_result() == "handled"
    assert len(READ) == 5  # the batch was not tried again
    assert processed() == ["a000", "a001", "a002", "failed at a004"]


@workflow
def rolls_back() -> str:
    try:
        for account in durable_each(Account.objects.all(), batch=3):
            process(account)
            if account.name == "a005":  # the last one of its batch
                transaction.set_rollback(True)
    except StepRolledBack:
        note("rolled back")
        recv("go")
        return "handled"
    return "done"


def test_a_batch_that_only_seems_to_commit_is_an_error_that_is_recorded() -> None:
    add(7)
    handle = rolls_back.start()
    drain()
    assert processed() == ["a000", "a001", "a002", "rolled back"]
    send(handle.workflow_id, None, "go")
    drain()
    assert handle.get_result() == "handled"
    assert len(READ) == 6


@workflow
def in_a_saga(keeps: bool) -> None:
    with saga() as block:
        note("began")
        block.undo(note, "undone")
        rows: Iterable[Account] = durable_each(Account.objects.all(), batch=3)
        rows = iter(rows) if keeps else rows
        for account in rows:
            process(account)
            if account.name == "a004":
                raise ValueError(account.name)


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("kept", [3, 4])
def test_a_saga_around_a_loop_is_undone_and_a_replay_takes_the_same_path(keeps: bool, kept: int) -> None:
    add(7)
    handle = in_a_saga.start(keeps)
    drain()
    with pytest.raises(ValueError, match="a004"):
        handle.get_result()
    assert processed() == ["began", "a000", "a001", "a002", "undone"]
    if kept == 3:  # killed after the error was recorded and before the undo step
        StepRun.objects.filter(run_id=handle.workflow_id, position=4).delete()
        Ledger.objects.filter(step="undone").delete()
    lose(handle.workflow_id)
    drain()
    assert handle.run.status == "ERROR"
    assert processed() == ["began", "a000", "a001", "a002", "undone"]


@workflow
def deadlocks_in_a_saga() -> str:
    with saga() as block:
        note("began")
        block.undo(note, "undone")
        for account in durable_each(Account.objects.all(), batch=3):
            process(account)
            if account.name == "a001" and len(READ) < 6:
                raise OperationalError("deadlock") from LOCKED[connection.vendor]()
    return "done"


def test_a_deadlock_in_a_loop_undoes_no_saga() -> None:
    add(4)
    handle = deadlocks_in_a_saga.start()
    drain()
    assert handle.get_result() == "done"
    assert processed() == ["began", "a000", "a001", "a002", "a003"]
    assert READ == ["a000", "a001"] * 3 + ["a002", "a003"]


@workflow
def always_deadlocks() -> None:
    for account in durable_each(Account.objects.all(), batch=3):
        process(account)
        raise OperationalError("deadlock") from LOCKED[connection.vendor]()


def test_a_batch_is_repeated_so_often_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_workflows.engine.each.FIRST_PAUSE", 0.0)
    add(4)
    handle = always_deadlocks.start()
    drain()
    with pytest.raises(Exception, match="deadlock"):
        handle.get_result()
    assert len(READ) == 21
    assert processed() == []


@workflow
def cancelled_amid() -> None:
    FOUND.append(processed())
    for account in durable_each(Account.objects.all(), batch=3):
        process(account)
        if account.name == "a004" and len(FOUND) == 1:
            raise_cancel()
    note("after")


FOUND: list[list[str]] = []  # what had been processed when an attempt began


def raise_cancel() -> None:
    now = current()
    assert now is not None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE durable_workflows_workflowrun SET status = 'CANCELLED' WHERE id = %s", [now.workflow_id])


def test_a_batch_of_a_run_that_is_no_longer_its_own_is_rolled_back() -> None:
    FOUND.clear()
    add(7)
    cancelled_amid.start()
    drain()
    # What it wrote to its own row is rolled back with the batch, so that another attempt goes on.
    assert FOUND == [[], ["a000", "a001", "a002"]]
    assert processed() == [*(f"a00{number}" for number in range(7)), "after"]


@workflow
def twice() -> str:
    rows = durable_each(Account.objects.all(), batch=3)
    for account in rows:
        process(account)
    for account in rows:
        process(account)
    for _order in durable_each(Order.objects.all()):
        raise AssertionError("there is none")
    return "done"


def test_a_loop_may_be_gone_through_twice() -> None:
    names = add(4)
    handle = twice.start()
    drain()
    assert handle.get_result() == "done"
    assert processed() == names * 2
    lose(handle.workflow_id)
    drain()
    assert processed() == names * 2


@workflow
def inside_atomic() -> None:
    with transaction.atomic():
        for _ in durable_each([1]):
            pass


def test_a_loop_in_the_bodys_own_transaction_is_refused() -> None:
    with pytest.raises(NotInWorkflow):
        durable_each([1])
    handle = inside_atomic.start()
    drain()
    with pytest.raises(InvalidUse, match="own transaction"):
        handle.get_result()


@workflow
def loop_and_begin_anew(turn: int) -> str:
    for account in durable_each(Account.objects.filter(balance=turn), batch=2):
        process(account)
    if turn < 2:
        continue_as_new(turn + 1)
    return "done"


def test_a_loop_in_each_turn_of_an_endless_workflow() -> None:
    add(3)
    handle = loop_and_begin_anew.start(0)
    drain()
    assert handle.get_result() == "done"
    assert len(processed()) == 9
    assert batches(handle.workflow_id) == 2


@workflow
def tells_of_each() -> None:
    for number in durable_each([1, 2, 3], batch=2):
        write_stream("told", number)
        if number == 3:
            close_stream("told")


@workflow
def tells_and_fails() -> None:
    try:
        for number in durable_each([1, 2], batch=2):
            close_stream("told")
            1 / (number - 1)
    except ZeroDivisionError:
        write_stream("told", "still open")


@pytest.mark.usefixtures("committing")
def test_a_stream_is_closed_with_its_batch_and_not_by_one_that_is_rolled_back() -> None:
    told, failed = tells_of_each.start(), tells_and_fails.start()
    drain()
    assert told.get_result() is None
    assert StreamEntry.objects.filter(run_id=told.workflow_id, closes=True).count() == 1
    assert failed.get_result() is None
    assert [*read_stream(failed.workflow_id, "told")] == ["still open"]
