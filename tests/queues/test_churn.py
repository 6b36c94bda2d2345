"""
Every limit holds while workers are killed and stopped, queues paused and changed, and runs cancelled and resumed.

A longer round is slow: ``pytest -m slow tests/queues``. ``DURABLE_TEST_SEED`` repeats one.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest

from durable_workflows.models import WorkflowRun
from durable_workflows.states import RunState
from tests.queues import workflows as house
from tests.queues.churn import Churn, enqueue
from tests.queues.fleet import Fleet
from tests.queues.invariants import disorderly, exceeded, interleaved, overlapping, written_otherwise_than_once

pytestmark = pytest.mark.django_db(transaction=True)

QUEUES = (
    house.PLAIN, house.NARROW, house.EACH, house.BOTH, house.RATED, house.RATED_NARROW, house.STRICT, house.HELD,
    house.PARTED, house.PARTED_NARROW, house.PARTED_RATED, house.PARTED_STRICT,
    house.PARTED_HELD,
)  # fmt: skip
READ_WITHIN = 3.0  # seconds, on a machine that has other things to do; the test of live changes is stricter
RUNS = {"postgresql": 16, "sqlite": 8, "mariadb": 8}  # of each queue


def play(fleet: Fleet, database: str, *, workers: int, runs: int, deeds: int, patience: float) -> None:
    seed = int(os.environ.get("DURABLE_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"DURABLE_TEST_SEED={seed}")
    began = time.monotonic()
    ids = {run_id for queue in QUEUES for run_id in enqueue(queue, runs)}
    fleet.start(workers)
    # A process that is stopped amid a transaction keeps SQLite's write lock, and nobody writes.
    churn = Churn(fleet, seed, stops=database != "sqlite")
    while churn.deeds < deeds and WorkflowRun.objects.unfinished().exists():
        churn.one()
        time.sleep(churn.random.random() * 0.3)
    fleet.until_all_ended(patience)
    check(fleet, churn, ids)
    seconds = time.monotonic() - began
    print(f"{WorkflowRun.objects.count()} runs and {churn.deeds} deeds in {seconds:.1f} s: {len(fleet.lines())} lines")


def check(fleet: Fleet, churn: Churn, ids: set[str]) -> None:
    lines, effects = fleet.lines(), fleet.effects()
    ended = dict(WorkflowRun.objects.values_list("pk", "status"))
    assert ids <= ended.keys()
    others = {run_id for run_id, status in ended.items() if status != RunState.SUCCESS}
    assert others <= churn.cancelled, WorkflowRun.objects.filter(pk__in=others - churn.cancelled).values(
        "pk", "status", "error"
    )
    assert exceeded(lines, threads=fleet.threads, read_within=READ_WITHIN) == []
    for queue in (house.STRICT, house.PARTED_STRICT):
        assert [*interleaved(lines, queue.name)] == []
    assert [*overlapping(lines, effects, house.STRICT.name, churn.cancelled)] == []
    # A stopped worker's thread may act once more before it finds out.
    assert [*disorderly(lines, effects, set(ended) if churn.stopped else churn.cancelled)] == []
    assert [*written_otherwise_than_once(ended.keys() - others)] == []
    assert Counter(line.queue for line in lines if line.claimed).keys() >= {queue.name for queue in QUEUES}


def test_every_limit_holds_under_churn(fleet: Fleet, database: str) -> None:
    play(fleet, database, workers=4, runs=RUNS[database], deeds=8, patience=90)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_limit_holds_under_long_churn(fleet: Fleet, database: str) -> None:
    play(fleet, database, workers=6, runs=4 * RUNS[database], deeds=80, patience=900)
