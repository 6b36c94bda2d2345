"""
Two workers at one queue, interleaved at every statement: no limit is exceeded, nothing is taken twice, nothing is forgotten.

And two calls of a debouncer, or a call and the clock that starts its run: one run, and the last arguments are executed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from durable_workflows import Debouncer, Queue, SetEnqueueOptions, clock, workflow
from durable_workflows.exceptions import Deduplicated
from durable_workflows.ids import new_token
from durable_workflows.models import QueueStart, WorkflowRun, dialects, outcomes, rules, slots, sweeps
from durable_workflows.models.claims import Claim, Claimer
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.taking import Want
from durable_workflows.models.transactions import in_autocommit, in_write_transaction, repeated
from durable_workflows.serializers import loads
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel
from durable_workflows.worker import serving
from tests.engine.interleaving import Scenario, explore
from tests.engine.isolation import LEVELS

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("committing", "unparked"),
    pytest.mark.parametrize("level", LEVELS, indirect=True),
]


@workflow(name="tests.races.returns")
def returns(value: Any = None) -> Any:
    return value


class Claimers:
    """Two workers, each of which claims once; limits are those of a fresh queue."""

    def __init__(self, limits: Mapping[str, Any], runs: int = 4, key: str | None = None) -> None:
        self.queue = Queue(f"races-{clock.monotonic()}", **limits)
        serving.declare([self.queue.name])
        self.rules = in_autocommit(rules.read_rules)[self.queue.name]
        with SetEnqueueOptions(queue_partition_key=key):
            for number in range(runs):
                self.queue.enqueue(returns, number)
        self.taken: list[Claim] = []

    def claim(self, worker: str, limit: int = 10) -> None:
        me, token = Claimer(worker_id=worker, names=("tests.races.returns",)), new_token()
        want = Want(queue=self.queue.name, limit=limit)
        self.taken += repeated(lambda: slots.take(dialects.connection(), me, want, self.rules, token)).claims

    def scenario(self, check: Callable[[], None], waker: Callable[[], object] | None = None) -> Scenario:
        def checked() -> None:
            assert len({claim.id for claim in self.taken}) == len(self.taken), "a run was taken twice"
            check()

        return Scenario(waiter=lambda: self.claim("one"), waker=waker or (lambda: self.claim("two")), check=checked)


@pytest.mark.parametrize(
    ("most", "limits"),
    [
        (1, {"concurrency": 1}),
        (3, {"concurrency": 3}),
        (1, {"limiter": {"limit": 1, "period": 3600}}),
        (1, {"concurrency": 1, "waiting": "hold"}),
        (1, {"partition_queue": True, "partition_concurrency": 1}),
        (2, {"partition_queue": True, "partition_limiter": {"limit": 2, "period": 3600}}),
    ],
    ids=str,
)
def test_two_workers_exceed_no_limit(level: str, most: int, limits: dict[str, Any]) -> None:
    def make() -> Scenario:
        claimers = Claimers(limits, key="k" if "partition_queue" in limits else None)

        def check() -> None:
            leased = WorkflowRun.objects.for_queue(claimers.queue.name).running().count()
            assert leased == len(claimers.taken) == most, "what one left for the other it does not leave for ever"
            if "limiter" in str(limits):
                assert Counter(QueueStart.objects.filter(queue=claimers.queue.name).values_list("number", flat=True)).total()

        return claimers.scenario(check)

    assert explore(make, deep=False).schedules > 4


def test_a_place_that_is_given_back_meanwhile_is_not_given_twice(level: str) -> None:
    def make() -> Scenario:
        claimers = Claimers({"concurrency": 1})
        claimers.claim("before")
        [first] = claimers.taken

        def end() -> None:
            assert in_autocommit(outcomes.end, Ending(run_id=first.id, token=first.token, output="null"))

        def check() -> None:
            assert WorkflowRun.objects.for_queue(claimers.queue.name).running().count() <= 1
            claimers.claim("afterwards")
            assert len(claimers.taken) == 2, "the place was not forgotten"

        return claimers.scenario(check, waker=end)

    explore(make)


def test_a_queue_that_is_paused_meanwhile(level: str) -> None:
    def make() -> Scenario:
        claimers = Claimers({"concurrency": 2})

        def pause() -> None:
            in_write_transaction(lambda connection: rules.change(connection, [claimers.queue.name], paused=True))

        def check() -> None:
            before = len(claimers.taken)
            claimers.claim("afterwards")
            assert len(claimers.taken) == before in (0, 2)

        return claimers.scenario(check, waker=pause)

    explore(make)


# -- the debouncer


def arguments(run: WorkflowRun) -> Any:
    return loads(run.inputs or "", what="arguments")["args"][0]


def test_two_first_calls_make_one_run(level: str) -> None:
    def make() -> Scenario:
        key, made = f"key-{clock.monotonic()}", []

        def call(number: int) -> None:
            made.append(Debouncer(returns, queue="debounced-races").debounce(key, 3600, number).workflow_id)

        def check() -> None:
            assert made[0] == made[1]
            run = WorkflowRun.objects.get(pk=made[0])
            assert run.status == RunState.DELAYED
            assert arguments(run) in (1, 2)

        return Scenario(waiter=lambda: call(1), waker=lambda: call(2), check=check)

    explore(make)


def test_a_call_and_the_clock_that_starts_its_run(level: str) -> None:
    """A call is in time, or makes another run: either way its arguments are executed, and no earlier ones after them."""

    def make() -> Scenario:
        key, queue = f"key-{clock.monotonic()}", f"debounced-{clock.monotonic()}"
        debouncer = Debouncer(returns, queue=queue)
        first = debouncer.debounce(key, 0.000001, "first").workflow_id
        made: list[str] = []

        def call() -> None:
            made.append(debouncer.debounce(key, 3600, "last").workflow_id)

        def start() -> None:
            in_write_transaction(sweeps.wake_due)

        def check() -> None:
            in_write_transaction(sweeps.wake_due)
            runs = {run.pk: (run.status, arguments(run)) for run in WorkflowRun.objects.for_queue(queue)}
            if made == [first]:
                assert runs == {first: (RunState.DELAYED, "last")}
            else:
                assert runs == {first: (RunState.ENQUEUED, "first"), made[0]: (RunState.DELAYED, "last")}

        return Scenario(waiter=call, waker=start, check=check)

    explore(make)


def test_a_started_run_is_not_awaited_in_vain(level: str) -> None:
    debouncer = Debouncer(returns, queue="debounced-races")
    handle = debouncer.debounce("key", 60, 1)
    travel(seconds=61)
    drain(queues=["debounced-races"])
    assert handle.get_result(timeout=10) == 1


# -- duplicates


def test_two_duplicates_are_one(level: str) -> None:
    def make() -> Scenario:
        queue, made = Queue(f"races-{clock.monotonic()}"), []

        def enqueue() -> None:
            with SetEnqueueOptions(deduplication_id="one"):
                try:
                    made.append(queue.enqueue(returns).workflow_id)
                except Deduplicated as error:
                    made.append(error.workflow_id)

        def check() -> None:
            assert made[0] == made[1]
            assert WorkflowRun.objects.for_queue(queue.name).count() == 1

        return Scenario(waiter=enqueue, waker=enqueue, check=check)

    explore(make)
