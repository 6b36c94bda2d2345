"""
Workers killed with SIGKILL at random moments, again and again, until all checkouts are through.

What is counted is counted outside of the engine: rows that the steps wrote in their transactions, and lines that they
appended to a file, which no rollback takes back.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

import durable_workflows as durable
from durable_workflows.models import StepRun, WorkflowRun
from tests.app.models import Ledger
from tests.behaviour.workflows import checkout
from tests.processes import Processes

pytestmark = pytest.mark.django_db(transaction=True)

RUNS, KILLS, SECONDS = 12, 8, 90
SETTINGS = {"LEASE_SECONDS": 1, "HEARTBEAT_SECONDS": 0.25, "PARK_SECONDS": 0.1}


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    path = tmp_path / "effects"
    path.touch()
    return path


def test_every_checkout_gets_through_with_each_effect_once(processes: Processes, effects: Path) -> None:
    seed = int(os.environ.get("DURABLE_TEST_SEED") or random.randrange(10**6))
    print(f"DURABLE_TEST_SEED={seed} repeats these moments")
    chance = random.Random(seed)
    env = {"EFFECTS": str(effects), "DURABLE_TEST_SETTINGS": json.dumps(SETTINGS)}

    def worker() -> subprocess.Popen[bytes]:
        return processes.worker("--threads", "4", env=env)

    workers = [worker(), worker()]
    handles = [checkout.start(amount) for amount in range(RUNS)]
    kills, until = 0, time.monotonic() + SECONDS
    while any(not run.is_terminal for run in WorkflowRun.objects.all()) and time.monotonic() < until:
        time.sleep(chance.uniform(0.1, 0.8))
        if kills < KILLS:
            victim = chance.randrange(2)
            processes.kill(workers[victim])
            workers[victim], kills = worker(), kills + 1
        for handle in handles:
            if durable.get_event(handle.workflow_id, "ready", timeout_seconds=0) is not None:
                durable.send(handle.workflow_id, "yes", "answer", idempotency_key="once")

    assert [handle.get_result(timeout=1) for handle in handles] == [
        ["reserved", amount * 2, 3, 2, "yes"] for amount in range(RUNS)
    ]
    assert_each_effect_once(effects, handles)


def assert_each_effect_once(effects: Path, handles: list[durable.WorkflowHandle[object]]) -> None:
    """I1 to I4: none lost, one outcome, database effects exactly once, outside effects at least once."""
    expected = {(handle.workflow_id, step): 1 for handle in handles for step in ("reserve", "pay")}
    children = WorkflowRun.objects.filter(parent_id__in=[handle.workflow_id for handle in handles])
    expected |= {(child.pk, "ship"): 1 for child in children}
    assert children.count() == 2 * RUNS
    assert Counter(Ledger.objects.values_list("run_id", "step")) == expected

    outside = Counter(tuple(line.split()) for line in effects.read_text().splitlines())
    assert outside.keys() == expected.keys()
    assert max(outside.values()) <= 1 + KILLS
    assert not StepRun.objects.exclude(run__status="SUCCESS").exists()
