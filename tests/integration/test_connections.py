"""How many connections a worker opens: what the checks and the docs tell people to reckon with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from durable_workflows.checks.databases import OWN_CONNECTIONS
from durable_workflows.worker.local import LOCAL
from tests.behaviour.workflows import holds_beside_a_parcel
from tests.processes import Processes

pytestmark = pytest.mark.django_db(transaction=True)
THREADS, SECONDS, PEAK_SECONDS = 3, 60, 3
LISTENING = 1
COUNT = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}
# Where nothing is notified, there is neither a hinter nor a listener.
EXPECTED = {"postgresql": THREADS + OWN_CONNECTIONS + LISTENING, "mysql": THREADS + OWN_CONNECTIONS - 1}


def sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute(COUNT[connection.vendor])
        return int(cursor.fetchone()[0])


def counts(seconds: float) -> Iterator[int]:
    last_look = time.monotonic() + seconds
    while time.monotonic() < last_look:
        yield sessions()
        time.sleep(0.02)


def test_a_worker_opens_one_connection_for_each_thread_and_those_that_are_told(
    processes: Processes, tmp_path: Path, database: str
) -> None:
    if database == "sqlite":
        pytest.skip("a file counts no sessions")
    expected = EXPECTED[connection.vendor]
    for number in range(THREADS):
        holds_beside_a_parcel.start(str(tmp_path / str(number)))
    LOCAL.close()  # our own hints
    assert 0 in counts(SECONDS)
    processes.worker("--threads", str(THREADS))
    assert expected in counts(SECONDS)
    assert max(counts(PEAK_SECONDS)) <= expected
