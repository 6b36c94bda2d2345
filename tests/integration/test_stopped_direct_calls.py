"""A web process that was stopped amid a step of a direct call holds nobody up: its session is ended, and only that."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from durable_workflows import workflow
from durable_workflows.models import WorkflowRun, sessions
from durable_workflows.states import RunState
from tests.app.models import Ledger
from tests.behaviour.workflows import marks
from tests.engine.elsewhere import in_thread
from tests.processes import Processes

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 40  # MariaDB's own patience with a lock ends at 50
SETTINGS = {"DURABLE_TEST_SETTINGS": json.dumps({"LEASE_SECONDS": 2, "HEARTBEAT_SECONDS": 0.5})}
CALL = """
import sys, django
django.setup()
from tests.behaviour.workflows import marks
print("came to", marks(int(sys.argv[1]), sys.argv[2]))
"""


def until(there: Callable[[], object], what: str) -> None:
    last_look = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < last_look, f"not within {SECONDS} s: {what}"
        time.sleep(0.05)


def test_another_goes_on_with_the_call_of_a_stopped_process(processes: Processes, tmp_path: Path, database: str) -> None:
    if database == "sqlite":
        pytest.skip("the lock of a stopped process on a file is the kernel's")
    path = tmp_path / "go-on"
    row = Ledger.objects.create(run_id="", step="mark", note="").pk
    caller = processes.start("-c", CALL, str(row), str(path), env=SETTINGS | {"STANDS_STILL": "1"})
    until(Path(f"{path}.began").exists, "the step began")
    caller.send_signal(signal.SIGSTOP)
    processes.worker("--threads", "2", env=SETTINGS)
    until(lambda: WorkflowRun.objects.get(name=marks.durable.name).status == RunState.SUCCESS, "the worker finished the run")
    assert Ledger.objects.get(pk=row).note == "x"
    path.touch()
    caller.send_signal(signal.SIGCONT)
    assert caller.wait(60) == 0
    assert "came to marked" in processes.output(caller)
    assert Ledger.objects.get(pk=row).note == "x"


@workflow
def nothing() -> None:
    """What a row needs a name of."""


def noted(session: str | None) -> str:
    """A run that a lost process was calling in this session; returns the process's id."""
    handle = nothing.start()
    WorkflowRun.objects.filter(pk=handle.workflow_id).update(status=RunState.RUNNING, worker_id="lost", session=session)
    return "lost"


def describe() -> str | None:
    return sessions.describe(connection)


def answers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone()[0])


def test_the_session_that_was_noted_is_ended(database: str) -> None:
    if database == "sqlite":
        assert describe() is None
        return
    session = describe()
    assert session == describe(), "it is asked once"
    noted(session)
    assert in_thread(lambda: sessions.end_direct_sessions(connection, "lost")) == 1
    with pytest.raises(Exception, match="terminat|gone away|Lost connection|was killed|closed"):
        answers()
    connection.close()
    assert describe() != session


def test_a_session_with_the_number_of_one_that_ended_is_left_alone(database: str) -> None:
    if database == "sqlite":
        pytest.skip("it has no sessions")
    number, mark = str(describe()).split(" ", 1)
    noted(f"{number} {'0' * len(mark)}")
    noted(f"{number}")
    assert in_thread(lambda: sessions.end_direct_sessions(connection, "lost")) == 0
    assert answers()


def test_a_lock_that_was_given_up_names_nobody(database: str) -> None:
    if database != "mariadb":
        pytest.skip("named locks mark sessions there only")
    noted(describe())
    with connection.cursor() as cursor:
        cursor.execute("SELECT RELEASE_ALL_LOCKS()")
    assert in_thread(lambda: sessions.end_direct_sessions(connection, "lost")) == 0
    assert answers()
    connection.close()  # whose session is described anew
