"""What a step costs, and that it holds nothing while its body does something else than talk to the database."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from durable_workflows import step, workflow
from durable_workflows.engine import execution
from durable_workflows.models import StepRun
from tests.app.models import Account, Ledger
from tests.engine.elsewhere import in_thread
from tests.engine.isolation import DATABASE, at_each_level, innodb_transactions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]
on_postgresql = pytest.mark.skipif(DATABASE != "postgresql", reason="libpq alone can tell what it sends")
SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.clear()
    # Quick steps are what is counted; on a machine that is busy one would be slow, and ask whether its run is to go on.
    monkeypatch.setattr(execution, "LOOK_AFTER", 3600.0)


# -- round trips


@contextmanager
def round_trips() -> Iterator[list[str]]:
    """What this thread's session sends in the block, one entry for each time that it then waits for the server."""
    sent: list[str] = []
    raw: Any = connection.connection
    with tempfile.TemporaryFile() as file:
        raw.pgconn.trace(os.dup(file.fileno()))
        raw.pgconn.set_trace_flags(1)  # without times
        try:
            yield sent
        finally:
            raw.pgconn.untrace()
            file.seek(0)
            sent += _waits(file.read().decode())


def _waits(trace: str) -> list[str]:
    """A simple query ends with itself, an extended one with Sync."""
    found, said = [], ""
    for line in trace.splitlines():
        sender, _, rest = line.partition("\t")
        kind = re.sub(r"^\d+\s+", "", rest)
        if sender == "F" and kind.startswith(("Parse", "Bind", "Query")):
            said = f"{said} {kind}"
        if sender == "F" and kind.startswith(("Sync", "Query")):
            found.append(said.strip())
            said = ""
    return found


@step
def touches_nothing(number: int) -> int:
    return number


@step
def writes_a_row(number: int) -> int:
    Ledger.objects.create(run_id=str(number), step="traffic")
    return number


@step
def reads_a_row(number: int) -> int:
    return Account.objects.filter(name=str(number)).count()


@step
def hooks(number: int) -> int:
    transaction.on_commit(lambda: SEEN.append(number))
    return number


@step(atomic=False)
def manages_its_own(number: int) -> int:
    return number


STEPS = {each.durable.func.__name__: each for each in (touches_nothing, writes_a_row, reads_a_row, hooks, manages_its_own)}


@workflow
def counted(name: str) -> list[str]:
    STEPS[name](0)  # has the statement prepared
    with round_trips() as sent:
        STEPS[name](1)
    return sent


@on_postgresql
@pytest.mark.parametrize(
    ("name", "statements"),
    [
        ("touches_nothing", ["checkpoint"]),
        ("manages_its_own", ["checkpoint"]),
        ("writes_a_row", ["BEGIN", "body", "checkpoint", "COMMIT"]),
        ("reads_a_row", ["BEGIN", "body", "checkpoint", "COMMIT"]),
        ("hooks", ["BEGIN", "checkpoint", "COMMIT"]),
    ],
)
@at_each_level
def test_a_step_costs_so_many_round_trips(name: str, statements: list[str], level: str) -> None:
    sent = counted(name)
    assert [_said(each) for each in sent] == statements, sent


def _said(sent: str) -> str:
    word = re.search(r'"(BEGIN|COMMIT)', sent)
    if word:
        return word[1]
    return "body" if "tests_app" in sent else "checkpoint"


@on_postgresql
def test_the_counter_counts() -> None:
    connection.ensure_connection()
    with round_trips() as sent, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.execute("SELECT %s::int", [2])
    assert len(sent) == 2


# -- what is held meanwhile


@step
def talks_to_the_world(key: str) -> str:
    connection.ensure_connection()
    SEEN.append(held())
    return "answer"


@workflow
def talks() -> str:
    return talks_to_the_world("key")


def held() -> str:
    """What this thread's session holds, as another one finds it; "" if nothing."""
    raw: Any = connection.connection
    if connection.vendor == "postgresql":
        return in_thread(lambda: _state(raw.info.backend_pid))
    return in_thread(_write_at_once) if connection.vendor == "sqlite" else in_thread(lambda: _transaction(raw.thread_id()))


def _state(session: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [session])
        state = str(cursor.fetchone()[0])
    return "" if state == "idle" else state


def _transaction(session: int) -> str:
    return "".join(
        text[:60] for text in innodb_transactions(connection) if f"thread id {session}," in text and "ACTIVE" in text
    )


def _write_at_once() -> str:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 0")
    try:
        Ledger.objects.create(run_id="key", step="elsewhere")
    except OperationalError as error:
        return str(error)
    return ""


@at_each_level
def test_no_transaction_is_open_while_a_body_talks_to_the_world(level: str) -> None:
    assert talks() == "answer"
    assert SEEN == [""]
    assert StepRun.objects.filter(error=None).count() == 1


@step
def writes_and_talks() -> None:
    Ledger.objects.create(run_id="key", step="body")
    SEEN.append(held())


@workflow
def writes_then_talks() -> None:
    writes_and_talks()


def test_what_looks_for_open_transactions_finds_them() -> None:
    writes_then_talks()
    assert any(word in SEEN[0] for word in ("idle in transaction", "ACTIVE", "locked"))
