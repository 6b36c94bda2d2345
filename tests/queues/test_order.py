"""In which order runs start, and how soon those of the others, told by the ledger of leases."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection, transaction

from durable_workflows import Queue, SetEnqueueOptions, send
from durable_workflows.models import WorkflowRun, rules
from tests.queues import ledger
from tests.queues import workflows as house
from tests.queues.fleet import Fleet
from tests.queues.invariants import exceeded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sampled(2)]
WORKERS = [pytest.param(1, marks=pytest.mark.slow), 4]
PRIORITIES = (3, 1, None, 2)
BACKLOG = {"postgresql": 10_000, "sqlite": 3_000, "mariadb": 2_000}


def enqueue(queue: Queue, number: int, *, part: str | None = None) -> list[str]:
    """Many at once."""
    with SetEnqueueOptions(queue_partition_key=part):
        return [handle.workflow_id for handle in queue.enqueue_many(house.leaf, [0.0] * number)]


def by_priority(queue: Queue, number: int) -> list[str]:
    """Enqueue runs of several priorities; returns their ids in the order in which they are to start."""
    ids: list[tuple[int, int, str]] = []
    for each in range(number):
        priority = PRIORITIES[each % len(PRIORITIES)]
        with SetEnqueueOptions(priority=priority):
            ids.append((priority or 0, each, queue.enqueue(house.leaf).workflow_id))
    return [run_id for _, _, run_id in sorted(ids)]


@pytest.mark.parametrize("workers", WORKERS)
def test_one_place_is_given_in_exactly_the_order_of_priority_and_arrival(fleet: Fleet, workers: int) -> None:
    wanted = by_priority(house.ONE, 40)
    fleet.start(workers)
    fleet.until_all_ended()
    assert [line.name for line in ledger.starts(fleet.lines(), house.ONE.name)] == wanted


@pytest.mark.parametrize("workers", WORKERS)
def test_without_limits_a_claim_takes_what_is_first(fleet: Fleet, workers: int) -> None:
    """Each claim's runs were, when it was made, the first of those that were left: nobody is overtaken by a later claim."""
    wanted = by_priority(house.PLAIN, 80)
    fleet.start(workers)
    fleet.until_all_ended()
    started = [line.name for line in ledger.starts(fleet.lines(), house.PLAIN.name)]
    places = {run_id: place for place, run_id in enumerate(wanted)}
    # Two workers' claims may be under way at the same time, each with as many as it has threads.
    overtaken = max(abs(places[run_id] - place) for place, run_id in enumerate(started))
    assert sorted(started) == sorted(wanted)
    assert overtaken <= workers * fleet.threads


@pytest.mark.parametrize("workers", WORKERS)
def test_no_queue_and_no_partition_waits_for_anothers_backlog(fleet: Fleet, database: str, workers: int) -> None:
    backlog = BACKLOG[database]
    busy = [enqueue(house.PLAIN, backlog // 2), enqueue(house.PARTED, backlog, part="m")]
    of_busy, small = overtaking(fleet, busy, workers)
    if of_busy[0] > 3 * small * workers:
        # A worker that got no processor amid a claim of the partitions lets the others start what else there is. That is
        # no turn of the queues, and does not happen twice in a row.
        of_busy, small = overtaking(fleet, busy, 0)
    # A turn of the queues, or of the partitions, is at most a few starts of each; two workers may have the same turn.
    assert of_busy[0] <= 3 * small * workers
    assert of_busy[1] <= 2 * 50 * workers
    assert exceeded(fleet.lines(), threads=fleet.threads, read_within=3.0) == []


def overtaking(fleet: Fleet, busy: list[list[str]], workers: int) -> tuple[list[int], int]:
    """How many runs of the busy queue and the busy partition start before the last of some small ones, and of how many."""
    before = len(ledger.starts(fleet.lines()))
    small = {run_id for queue in (house.OTHER, house.NARROW) for run_id in enqueue(queue, 3)}
    keys = [f"{letter}{number:02}" for letter in "az" for number in range(25)]
    small |= {run_id for key in keys for run_id in enqueue(house.PARTED, 1, part=key)}
    fleet.start(workers)
    fleet.until(lambda: small <= {line.name for line in fleet.lines() if line.claimed}, "the small ones to start")
    first = [line.name for line in ledger.starts(fleet.lines())][before:]
    last = max(place for place, run_id in enumerate(first) if run_id in small)
    of_busy = [sum(run_id in set(ids) for run_id in first[: last + 1]) for ids in busy]
    print(
        f"{workers} workers: before the last of {len(small)} small ones {of_busy} of the busy queue and the busy partition started"
    )
    return of_busy, len(small)


@pytest.mark.parametrize("workers", WORKERS)
def test_what_was_begun_goes_before_what_never_started(fleet: Fleet, workers: int) -> None:
    waiting = [house.NARROW.enqueue(house.until_told) for _ in range(6)]
    fleet.start(workers)
    fleet.until(lambda: WorkflowRun.objects.waiting().count() == len(waiting), "them to wait")
    rules.change(connection, [house.NARROW.name], paused=True)
    new = enqueue(house.NARROW, 30)
    for handle in waiting:
        send(handle.workflow_id, "now", topic="go")
    fleet.until(lambda: WorkflowRun.objects.for_queue(house.NARROW.name).enqueued().count() == 36, "all to be enqueued")
    rules.change(connection, [house.NARROW.name], paused=False)
    fleet.until_all_ended()
    claimed = [line for line in fleet.lines() if line.claimed and line.queue == house.NARROW.name][len(waiting) :]
    woken = {handle.workflow_id for handle in waiting}
    assert {line.name for line in claimed[:6]} == woken
    assert [line.name for line in claimed[6:]] == new


def test_no_worker_takes_a_whole_backlog(fleet: Fleet) -> None:
    fleet.start(4)
    with transaction.atomic():
        for _ in range(30):
            house.BOTH.enqueue(house.leaf, 0.2)
            house.PLAIN.enqueue(house.leaf, 0.2)
    fleet.until_all_ended()
    at_once: Counter[int] = Counter()
    most: Counter[int] = Counter()
    for effect in fleet.effects():
        at_once[effect.pid] += 1 if effect.phase == "begin" else -1
        most[effect.pid] = max(most[effect.pid], at_once[effect.pid])
    assert max(most.values()) <= fleet.threads
    assert exceeded(fleet.lines(), threads=fleet.threads, read_within=3.0) == []
    assert len(most) > 1
