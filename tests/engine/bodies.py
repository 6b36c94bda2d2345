"""
Bodies of steps, each with what must be there afterwards: which of its rows, and whether the step is done.

The names of the functions are the cases. A body is called with a key of its own for each run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Permission
from django.db import DatabaseError, IntegrityError, connection, transaction

from durable_workflows import send, start_workflow, step, workflow
from tests.app.models import Account, Ledger
from tests.engine.isolation import DATABASE

TABLE = "tests_app_ledger"
# Django 6.1 gave savepoint() another name.
set_savepoint = getattr(transaction, "savepoint_create", None) or transaction.savepoint
HOOKS: list[str] = []


@dataclass(frozen=True)
class Case:
    """
    A body and what is to come of it.

    :param rows: the notes of those of its rows that exist afterwards.
    :param error: the class of the exception that is recorded; "" if the step is done.
    :param in_testcase: whether it can be tried inside a ``TestCase``'s transaction too.
    """

    step: Any
    rows: tuple[str, ...]
    error: str
    in_testcase: bool

    @property
    def name(self) -> str:
        return str(self.step.__name__)


CASES: dict[str, Case] = {}


def case(*rows: str, error: str = "", on: str = "", in_testcase: bool = True) -> Callable[[Any], Any]:
    """Declare a case, on one database or on all."""

    def declare(body: Any) -> Any:
        if on in ("", DATABASE):
            CASES[body.__name__] = Case(step(body), rows, error, in_testcase)
        return body

    return declare


def write(key: str, note: str = "row") -> None:
    Ledger(run_id=key, step="body", note=note).save(force_insert=True)


def raw_execute(sql: str, *params: Any) -> Any:
    """On the driver's own connection, past Django."""
    connection.ensure_connection()
    cursor: Any = connection.connection.cursor()
    cursor.execute(sql.replace("%s", "?") if connection.vendor == "sqlite" else sql, params)
    return cursor


def insert_raw(key: str, note: str = "row") -> None:
    created = "'2026-01-01 00:00:00+00'" if connection.vendor == "postgresql" else "'2026-01-01 00:00:00'"
    raw_execute(f"INSERT INTO {TABLE} (run_id, step, note, created) VALUES (%s, 'body', %s, {created})", key, note)


# -- what happens to go well


@case()
def touches_nothing(key: str) -> str:
    return key


@case()
def only_reads(key: str) -> int:
    return Account.objects.filter(name=key).count()


@case("row")
def writes(key: str) -> None:
    write(key)


@case("one", "two", "three")
def writes_in_bulk(key: str) -> None:
    Ledger.objects.bulk_create([Ledger(run_id=key, step="body", note=note) for note in ("one", "two", "three")])


@case("row")
def reads_then_writes(key: str) -> int:
    seen = Ledger.objects.filter(run_id=key).count()
    write(key)
    return seen


@case("row")
def locks_and_writes(key: str) -> None:
    Account.objects.create(name=key)
    account = Account.objects.select_for_update().get(name=key)
    account.balance += 1
    account.save()
    write(key)


@case("row")
def executes_sql(key: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} (run_id, step, note, created) VALUES (%s, 'body', 'row', CURRENT_TIMESTAMP)", [key]
        )


@case("row")
def uses_the_drivers_connection(key: str) -> None:
    insert_raw(key)


@case()
def reads_on_the_drivers_connection(key: str) -> int:
    return len(raw_execute(f"SELECT id FROM {TABLE} WHERE run_id = %s", key).fetchall())


@case("raw", "row")
def uses_the_drivers_connection_and_then_the_orm(key: str) -> None:
    insert_raw(key, "raw")
    write(key)


@case("raw", "row")
def reads_on_the_drivers_connection_and_then_writes(key: str) -> None:
    raw_execute(f"SELECT id FROM {TABLE} WHERE run_id = %s", key).fetchall()
    write(key)
    insert_raw(key, "raw")


@case("one", "two", on="postgresql")
def copies(key: str) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {TABLE} (run_id, step, note, created) FROM STDIN") as copy:
        for note in ("one", "two"):
            copy.write_row((key, "body", note, "2026-01-01 00:00:00+00"))


# -- blocks and savepoints


@case("row")
def nests_atomic(key: str) -> None:
    with transaction.atomic():
        write(key)


@case("kept", "inner")
def nests_atomic_without_savepoint(key: str) -> None:
    write(key, "kept")
    with transaction.atomic(savepoint=False):
        write(key, "inner")


@case("kept", "after")
def rolls_back_an_inner_block(key: str) -> None:
    write(key, "kept")
    with suppress(LookupError), transaction.atomic():
        write(key, "undone")
        raise LookupError
    write(key, "after")


@case()
def rolls_back_all_it_wrote(key: str) -> None:
    with suppress(LookupError), transaction.atomic():
        write(key, "undone")
        raise LookupError


@case("kept")
def marks_an_inner_block_for_rollback(key: str) -> None:
    with transaction.atomic():
        write(key, "undone")
        transaction.set_rollback(True)
    write(key, "kept")


@case("kept")
def sets_savepoints_by_hand(key: str) -> None:
    savepoint = set_savepoint()
    write(key, "undone")
    transaction.savepoint_rollback(savepoint)
    savepoint = set_savepoint()
    write(key, "kept")
    transaction.savepoint_commit(savepoint)


@case("row")
def swallows_an_error_of_an_inner_block(key: str) -> None:
    Account.objects.create(name=key)
    with suppress(IntegrityError), transaction.atomic():
        Account.objects.create(name=key)
    write(key)


# -- what happens to be rolled back


@case(error="StepRolledBack")
def marks_itself_for_rollback(key: str) -> None:
    write(key)
    transaction.set_rollback(True)


@case(error="StepRolledBack")
def marks_itself_for_rollback_without_a_query(key: str) -> None:
    transaction.set_rollback(True)


@case(error="StepRolledBack")
def swallows_an_integrity_error(key: str) -> None:
    write(key)
    Account.objects.create(name=key)
    with suppress(IntegrityError):
        Account.objects.create(name=key)


# PostgreSQL has aborted the transaction then; for the others it was one statement's business.
@case(*([] if DATABASE == "postgresql" else ["row"]), error="StepRolledBack" if DATABASE == "postgresql" else "")
def swallows_an_error_of_a_statement(key: str) -> None:
    write(key)
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT no_such_column FROM no_such_table")


@case(error="StepRolledBack", in_testcase=False)
def closes_the_connection(key: str) -> None:
    write(key)
    connection.close()


@case(error="StepRolledBack", in_testcase=False)
def closes_the_connection_without_a_query(key: str) -> None:
    connection.close()


@case(error="any", in_testcase=False)
def closes_the_connection_and_goes_on(key: str) -> None:
    write(key)
    connection.close()
    write(key, "after")


@case(error="StepRolledBack", in_testcase=False)
def closes_the_connection_and_swallows_what_follows(key: str) -> None:
    connection.close()
    with suppress(Exception):
        write(key, "after")


@case(error="LookupError")
def fails_after_writing(key: str) -> None:
    write(key)
    raise LookupError("no such thing")


@case(error="NotSerializable")
def returns_what_cannot_be_stored(key: str) -> object:
    write(key)
    return object()


@case(error="IntegrityError", in_testcase=False)
def fails_when_it_commits(key: str) -> None:
    """Where foreign keys are checked at the transaction's end, that is after the checkpoint was written."""
    write(key)
    Permission.objects.create(codename=key[:90], name="p", content_type_id=987_654_321)


# -- hooks


@case(in_testcase=False)
def hooks_without_a_query(key: str) -> None:
    transaction.on_commit(lambda: HOOKS.append(key))


@case("row", in_testcase=False)
def hooks_and_writes(key: str) -> None:
    write(key)
    transaction.on_commit(lambda: HOOKS.append(key))


@case("row", "hook", in_testcase=False)
def hooks_that_write(key: str) -> None:
    write(key)
    transaction.on_commit(lambda: write(key, "hook"))
    transaction.on_commit(lambda: HOOKS.append(key))


@case("row", in_testcase=False)
def hooks_that_fail(key: str) -> None:
    write(key)

    def fail() -> None:
        HOOKS.append(key)
        raise LookupError("in a hook")

    transaction.on_commit(fail)


@case("kept", in_testcase=False)
def hooks_of_an_inner_block_that_is_rolled_back(key: str) -> None:
    write(key, "kept")
    transaction.on_commit(lambda: HOOKS.append(key))
    with suppress(LookupError), transaction.atomic():
        transaction.on_commit(lambda: HOOKS.append(key))
        raise LookupError


@case(error="LookupError", in_testcase=False)
def hooks_and_fails(key: str) -> None:
    write(key)
    transaction.on_commit(lambda: HOOKS.append("never"))
    raise LookupError("no such thing")


# -- levels of its own


@case("row", on="postgresql", in_testcase=False)
def sets_its_own_level(key: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    write(key)


@case(on="postgresql", in_testcase=False, error="InternalError")
def may_only_read(key: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    return Ledger.objects.filter(run_id=key).count()


# -- durable calls join the step's transaction


@workflow
def told(key: str) -> str:
    return key


@case("row")
def sends_and_starts(key: str) -> None:
    write(key)
    child = start_workflow(told, key)
    send(child.workflow_id, "news")


@case(error="LookupError")
def sends_and_starts_and_fails(key: str) -> None:
    write(key)
    child = start_workflow(told, key)
    send(child.workflow_id, "news")
    raise LookupError("no such thing")


@workflow
def runs_case(name: str, key: str) -> Any:
    """A workflow of that one step."""
    return CASES[name].step(key)
