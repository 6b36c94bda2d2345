"""The threads of a worker outlive whatever a run leaves of their connection."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from django.db import connection

from durable_workflows.models.claims import Claim
from durable_workflows.worker.pool import Pool

pytestmark = pytest.mark.django_db(transaction=True)


def claim(run_id: str) -> Claim:
    return Claim(
        id=run_id, name="any", inputs=None, queue="default", attempt=1, generation=0, deadline=None, parent_id=None, user=None,
        forked_from=None, fan_in=0, recovery_attempts=1, token="t", worker_id="w",
    )  # fmt: skip


def test_a_run_that_leaves_a_lost_connection_behind_takes_no_thread_with_it() -> None:
    worked: list[tuple[str, str]] = []

    def work(claim: Claim) -> None:
        worked.append((claim.id, threading.current_thread().name))
        connection.ensure_connection()
        connection.errors_occurred = True
        connection.close()

    pool = Pool(1, work, lambda: None)
    pool.start()
    for run_id in ("first", "second"):
        pool.submit([claim(run_id)])
        assert pool.wait_for(1, 30) == 1
    pool.stop()
    assert worked == [("first", "durable-0"), ("second", "durable-0")]


def test_a_run_that_is_claimed_again_while_its_first_thread_is_at_it_takes_another_thread() -> None:
    """It was cancelled and resumed; what is free are threads, not runs."""
    let_go = threading.Event()
    pool = Pool(2, lambda claim: _wait(let_go), lambda: None)
    pool.start()
    pool.submit([claim("same")])
    assert pool.free == 1
    again = replace(claim("same"), token="another")
    pool.submit([again])
    assert pool.free == 0
    assert pool.running() == {"same": again}
    let_go.set()
    assert pool.wait_for(2, 30) == 2
    pool.stop()


def _wait(let_go: threading.Event) -> None:
    assert let_go.wait(30)
