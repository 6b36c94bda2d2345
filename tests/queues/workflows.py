"""The queues under test, one for each limit and some for several at once, and what runs on them."""

from __future__ import annotations

import time

import durable_workflows as durable
from durable_workflows import Queue
from tests.app.models import Ledger
from tests.queues import effects

PLAIN = Queue("house-plain")
OTHER = Queue("house-other")
CHILDREN = Queue("house-children", concurrency=2)

NARROW = Queue("house-narrow", concurrency=3)
ONE = Queue("house-one", concurrency=1)
EACH = Queue("house-each", worker_concurrency=1)
BOTH = Queue("house-both", concurrency=5, worker_concurrency=2)
RATED = Queue("house-rated", limiter={"limit": 3, "period": 1.2})
RATED_NARROW = Queue("house-rated-narrow", concurrency=2, limiter={"limit": 4, "period": 1.0})
STRICT = Queue("house-strict", concurrency=1, waiting="hold")
HELD = Queue("house-held", concurrency=3, waiting="hold")

PARTED = Queue("house-parted", partition_queue=True)
PARTED_NARROW = Queue(
    "house-parted-narrow", 5, worker_concurrency=3, partition_queue=True,
    partition_concurrency=2, partition_worker_concurrency=1,
)  # fmt: skip
PARTED_RATED = Queue(
    "house-parted-rated", limiter={"limit": 4, "period": 1.0}, partition_queue=True,
    partition_limiter={"limit": 1, "period": 0.9},
)  # fmt: skip
PARTED_STRICT = Queue(
    "house-parted-strict", partition_queue=True, partition_concurrency=1, partition_worker_concurrency=1, waiting="hold"
)
PARTED_HELD = Queue(
    "house-parted-held", partition_queue=True, partition_concurrency=3, partition_worker_concurrency=1, waiting="hold"
)


@durable.step(name="house.act", atomic=False)
def act(seconds: float) -> None:
    """An effect that takes its time, with its begin and its end in a ledger."""
    effects.note("begin")
    time.sleep(seconds)
    effects.note("end")


@durable.step(name="house.write")
def write() -> None:
    """An effect that commits together with its record."""
    here = durable.current()
    assert here is not None
    Ledger.objects.create(run_id=here.workflow_id, step="write")


@durable.workflow(name="house.work")
def work(seconds: float = 0.01, naps: int = 0, child: bool = False) -> str:
    """Acts, sleeps a few times, each of which suspends it, awaits a child on another queue, and writes."""
    act(seconds)
    for _ in range(naps):
        durable.sleep(0.1)
    if child:
        CHILDREN.enqueue(leaf, seconds).get_result()
    write()
    return "done"


@durable.workflow(name="house.leaf")
def leaf(seconds: float = 0.0) -> str:
    act(seconds)
    write()
    return "done"


@durable.workflow(name="house.called", queue=NARROW.name)
def called(seconds: float = 0.0) -> str:
    """Called directly: it counts in its queue, and asks for no place."""
    act(seconds)
    write()
    return "done"


@durable.workflow(name="house.until_told")
def until_told() -> str:
    """Suspended until a message comes."""
    act(0.0)
    durable.recv("go")
    act(0.0)
    write()
    return "done"


@durable.workflow(name="house.occupies")
def occupies() -> str:
    """Keeps its thread and its lease until somebody ends it from outside."""
    waits_for_row()
    write()
    return "done"


@durable.step(name="house.waits_for_row", atomic=False)
def waits_for_row() -> None:
    """Until a client has written that this run may go on."""
    here = durable.current()
    assert here is not None
    effects.note("begin")
    while not Ledger.objects.filter(run_id=here.workflow_id, step="go on").exists():
        time.sleep(0.05)
    effects.note("end")
