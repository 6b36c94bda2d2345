"""The threads of a worker outlive whatever a run leaves of their connection."""

from __future__ import annotations

import threading

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
