"""A queue as code declares it: a frozen value with ``enqueue``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, ClassVar

from durable_workflows import options, runtime
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.limits import Limits, Waiting, limits_of
from durable_workflows.options import StartOptions
from durable_workflows.texts import valid_text

NAME_MAX_LENGTH = 128


def valid_name(name: str) -> str:
    """``name`` itself, when it can name a queue. Raises ``InvalidUse``."""
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_MAX_LENGTH or not name.isprintable():
        raise InvalidUse(f"A queue's name is 1 to {NAME_MAX_LENGTH} printable characters, not {name!r}.")
    return name


@dataclass(frozen=True, slots=True)
class Queue:
    """
    Runs that wait for a worker, by priority, then oldest first.

    A worker writes what is declared to the queue's row, where an operator may override it; what holds then is what the
    row says. Limits count the runs that a worker holds; one that waits holds nothing, unless ``waiting`` is "hold".

    :param name: what workers are told to serve; 1 to 128 printable characters.
    :param concurrency: runs at once, on all workers together.
    :param limiter: ``{"limit": 50, "period": 30}``: at most 50 starts in any 30 seconds. Waking a run spends nothing.
    :param worker_concurrency: runs at once on each worker.
    :param partition_queue: whether each run is enqueued with a partition key; the ``partition_*`` limits then hold for
        each key, beside those of the queue, and no key's backlog holds up another's.
    :param waiting: "release", a run that is suspended gives its place back and takes one again before what never started;
        "hold", it keeps it, also when its worker dies.
    :param priority_ageing: seconds of waiting that make up for one step of priority; None: priority alone counts.
    :raises InvalidUse: for an invalid name, a limit that cannot be one, and limits that contradict each other.
    """

    name: str
    concurrency: int | None = None
    limiter: Mapping[str, float] | None = None
    _: KW_ONLY
    worker_concurrency: int | None = None
    partition_queue: bool = False
    partition_concurrency: int | None = None
    partition_worker_concurrency: int | None = None
    partition_limiter: Mapping[str, float] | None = None
    waiting: Waiting = "release"
    priority_ageing: float | None = None

    declared: ClassVar[dict[str, Queue]] = {}

    def __post_init__(self) -> None:
        valid_name(self.name)
        _limits_of(self)
        Queue.declared[self.name] = self

    @property
    def limits(self) -> Limits:
        """What it allows, as code declares it."""
        return _limits_of(self)

    def enqueue(self, target: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """
        Start a workflow (or a step, as a run of its own) on this queue, in the caller's transaction.

        :param target: a function decorated with ``@workflow`` or ``@step``, or the name of one.
        :raises NotSerializable: if an argument cannot be stored.
        :raises Deduplicated: if an unfinished run of the queue has the ``deduplication_id`` in force.
        :raises InvalidUse: without a partition key on a queue that has partitions, and with one on any other.
        """
        started = runtime.here().start(options_target(target), (args, kwargs), self.options())
        return WorkflowHandle(started)

    def enqueue_many(self, target: Callable[..., Any] | str, arguments: Iterable[Any], /) -> list[WorkflowHandle[Any]]:
        """``start_many`` on this queue."""
        calls = [options.call_of(each) for each in arguments]
        return [*map(WorkflowHandle, runtime.here().start_many(options_target(target), calls, self.options()))]

    def options(self) -> StartOptions:
        """The options in force for a start on this queue, here and now. Raises ``InvalidUse``."""
        wanted = options.taken(queue=self.name)
        key = wanted.partition_key
        if self.partition_queue and key is None:
            raise InvalidUse(
                f"Queue {self.name!r} has partitions, and the run has no key to tell its own. Enqueue it in"
                " `with SetEnqueueOptions(queue_partition_key=...)`."
            )
        if key is not None and not self.partition_queue:
            raise InvalidUse(f"Queue {self.name!r} has no partitions. Declare it with partition_queue=True, or drop the key.")
        return wanted


def _limits_of(queue: Queue) -> Limits:
    try:
        return limits_of({field.name: getattr(queue, field.name) for field in fields(queue) if field.name != "name"})
    except InvalidUse as error:
        raise InvalidUse(f"Queue({queue.name!r}): {error}") from None


def options_target(target: Any) -> Any:
    """The definition behind a decorated function, or the name as given."""
    definition = getattr(target, "durable", target)
    if isinstance(target, str):
        return valid_text(target, "The name of a workflow")
    if definition is not target:
        return definition
    raise InvalidUse(f"{target!r} is neither decorated with @workflow or @step nor the name of such a function.")
