"""Who waits in a view holds no transaction meanwhile: no snapshot, no lock, no session that is idle in one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings

import durable_workflows as durable
from durable_workflows import InvalidUse, WorkflowHandle
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import drain

pytestmark = pytest.mark.django_db(transaction=True)
RUNS = WorkflowRun._meta.db_table
LONG = 60.0  # no test takes as long; a wait that was not over by then would be an error


@durable.workflow
def tells(topic: str) -> str:
    durable.recv(topic)
    durable.set_event("ready", "told")
    return "told"


WAITS: dict[str, Callable[[WorkflowHandle[Any], float], Any]] = {
    "get_event": lambda handle, seconds: durable.get_event(handle.workflow_id, "ready", seconds),
    "get_result": lambda handle, seconds: handle.get_result(seconds),
    "get_result of an id": lambda handle, seconds: durable.get_result(handle.workflow_id, seconds),
    "wait_first": lambda handle, seconds: durable.wait_first([handle], seconds).get_result(),
    "wait_all": lambda handle, seconds: durable.wait_all([handle])[0],
}
waiting: dict[str, Any] = {}


def wait(request: HttpRequest, kind: str, workflow_id: str, seconds: int) -> HttpResponse:
    """What a long poll does: it has read something, waits, and answers."""
    assert WorkflowRun.objects.filter(pk=workflow_id).exists()
    waiting["session"] = getattr(getattr(connection.connection, "info", None), "backend_pid", None)
    waiting["begun"].set()
    return HttpResponse(WAITS[kind](durable.retrieve_workflow(workflow_id), float(seconds)))


urlpatterns = [path("wait/<str:kind>/<str:workflow_id>/<int:seconds>/", wait)]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    waiting["begun"] = threading.Event()


@pytest.fixture
def waiter() -> Iterator[ThreadPoolExecutor]:
    """The thread of a web server."""
    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.submit(connections.close_all).result()


def begin(waiter: ThreadPoolExecutor, kind: str, handle: WorkflowHandle[Any], seconds: float = LONG) -> Future[bytes]:
    """Have the view wait, and give it the time to look more than once."""
    answer = waiter.submit(lambda: Client().get(f"/wait/{kind}/{handle.workflow_id}/{int(seconds)}/").content)
    assert waiting["begun"].wait(30)
    time.sleep(0.3)
    return answer


@pytest.mark.parametrize("kind", WAITS)
def test_the_table_of_runs_can_be_locked_while_a_view_waits(waiter: ThreadPoolExecutor, kind: str) -> None:
    handle = tells.start("go")
    drain()
    answer = begin(waiter, kind, handle)
    lock_the_table()
    assert not answer.done()
    durable.send(handle.workflow_id, 1, "go")
    drain()
    assert answer.result(30) == b"told"


def lock_the_table() -> None:
    """
    Lock out whoever uses the table, as a migration does, for a moment.

    It waits for every transaction that has read the table, for 10 seconds at most.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with transaction.atomic():
                cursor.execute("SET LOCAL lock_timeout = '10s'")
                cursor.execute(f"LOCK TABLE {RUNS} IN ACCESS EXCLUSIVE MODE")
        elif connection.vendor == "mysql":
            cursor.execute("SET SESSION lock_wait_timeout = 10")
            cursor.execute(f"ALTER TABLE {RUNS} COMMENT = 'locked for a moment'")
        else:
            # The log is cut off only when no transaction reads from it any more.
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert cursor.fetchone()[0] == 0, "a transaction reads"


@pytest.mark.parametrize("kind", WAITS)
def test_no_session_is_idle_in_a_transaction(waiter: ThreadPoolExecutor, kind: str) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL tells of a session what it does; the test above is for all")
    handle = tells.start("go")
    drain()
    answer = begin(waiter, kind, handle)
    assert waiting["session"]
    states = {state_of(waiting["session"]) for _ in range(100)}
    assert states <= {"idle", "active"}
    assert "idle" in states
    durable.send(handle.workflow_id, 1, "go")
    drain()
    assert answer.result(30) == b"told"


def state_of(session: int) -> str:
    time.sleep(0.005)
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [session])
        return str(cursor.fetchone()[0])


@pytest.mark.parametrize("kind", ["get_result", "get_result of an id", "wait_first"])
def test_a_wait_that_ends_without_an_answer_leaves_no_transaction(waiter: ThreadPoolExecutor, kind: str) -> None:
    handle = tells.start("go")
    drain()
    with pytest.raises(TimeoutError):
        begin(waiter, kind, handle, seconds=1).result(30)
    assert not waiter.submit(lambda: connection.in_atomic_block).result()
    lock_the_table()


@pytest.mark.parametrize("kind", WAITS)
def test_a_wait_that_would_hold_the_views_transaction_is_refused(kind: str) -> None:
    handle = tells.start("go")
    drain()
    with transaction.atomic(), pytest.raises(InvalidUse, match="atomic"):
        WAITS[kind](handle, LONG)
