"""
A thousand children that one parent awaits, and eight such parents at once, on a worker with four threads.

The parents are more than the threads, so each must give its thread away; and none is replayed for each child. How long
that takes is compared with parking on and off in the same run, by turns, since it depends on what the machine does
besides: ``pytest -m slow tests/scale``.
"""

from __future__ import annotations

import time

import pytest

from durable_workflows.models import Wait, WorkflowRun
from tests.processes import Processes
from tests.scale.crew import THREADS, Crew
from tests.scale.workflows import parent

pytestmark = pytest.mark.django_db(transaction=True)
REPLAYS, ROUNDS = 20, 2


def join(processes: Processes, parents: int, children: int, park_seconds: float) -> float:
    """Have them all joined by a new worker; returns the seconds."""
    crew = Crew(processes, PARK_SECONDS=park_seconds)
    began = time.monotonic()
    handles = [parent.start(children) for _ in range(parents)]
    results = {handle.get_result(timeout=600) for handle in handles}
    seconds = time.monotonic() - began
    crew.stop()
    assert results == {children * (children - 1) // 2}
    replays = [handle.run.attempt - 1 for handle in handles]
    print(f"{parents} x {children}, parking {park_seconds} s: {seconds:.1f} s, replays {replays}")
    if not park_seconds:
        assert max(replays) <= REPLAYS
    assert not Wait.objects.exists()
    return seconds


def test_more_parents_than_threads_with_a_thousand_children(processes: Processes) -> None:
    join(processes, THREADS + 1, 200, park_seconds=0)
    assert WorkflowRun.objects.succeeded().count() == (THREADS + 1) * 201


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("parents", [1, 8])
def test_a_thousand_children_each_take_no_longer_without_parking(parents: int, processes: Processes) -> None:
    parked, unparked = [], []
    for _ in range(ROUNDS):
        parked.append(join(processes, parents, 1000, park_seconds=1.0))
        unparked.append(join(processes, parents, 1000, park_seconds=0))
    ratio = sum(unparked) / sum(parked)
    print(f"{parents} parents: unparked takes {ratio:.2f} of the time that parked takes")
    assert ratio <= 2
