"""Many calls, one run: a workflow that starts once the calls for it have ceased."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, ParamSpec, TypeVar

from durable_workflows import options, runtime
from durable_workflows.definitions import Workflow
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.options import StartOptions, valid_seconds
from durable_workflows.queues import Queue, options_target, valid_name
from durable_workflows.texts import valid_text

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Debounce:
    """
    One call: wait ``period`` seconds for another one of the same key, but no longer than ``timeout`` since the first.

    :param timeout: seconds; None: for as long as calls come.
    """

    key: str
    period: float
    timeout: float | None = None

    @property
    def seconds(self) -> float:
        """How long the first call's run waits."""
        return self.period if self.timeout is None else min(self.period, self.timeout)


class Debouncer(Generic[P, R]):
    """
    Starts a workflow with the arguments of the last call, once no further one has come for a while.

    :param workflow: a function decorated with ``@workflow``, or the name of one.
    :param timeout: seconds after the first call when it starts even if calls go on; None: it is put off as long as they do.
    :param queue: where its runs are put, a ``Queue`` or the name of one; None: the workflow's own.
    :raises InvalidUse: for a timeout that is not positive.
    """

    def __init__(self, workflow: Callable[P, R] | str, timeout: float | None = None, queue: Queue | str | None = None) -> None:
        self._target = options_target(workflow)
        self._timeout = options.valid_timeout(timeout)
        self._queue = queue if isinstance(queue, Queue) or queue is None else valid_name(queue)

    def debounce(self, key: str, period: float, /, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """
        Have the workflow start ``period`` seconds from now with these arguments, in place of those of a call before.

        In a transaction the call counts if, and only if, it commits; in a workflow it is a recorded step.

        :param key: what the calls are about; each key has a run of its own.
        :param period: seconds, at least 0.
        :returns: the handle of the run that waits; once that has begun, the next call makes another one.
        :raises NotSerializable: if an argument cannot be stored.
        :raises Deduplicated: if a run of another workflow stands for this key.
        :raises InvalidUse: for a bad key or period, and within options that contradict it: a deduplication id, a delay.
        """
        wish = Debounce(valid_text(key, "A key"), valid_seconds(period, "A period"), self._timeout)
        return WorkflowHandle(runtime.here().debounce(self._target, (args, kwargs), self._options(), wish))

    def _options(self) -> StartOptions:
        wanted = self._queue.options() if isinstance(self._queue, Queue) else options.taken(queue=self._queue or self._own())
        if wanted.deduplication_id is not None or wanted.delay is not None:
            raise InvalidUse("A debounced run has a deduplication id and a delay of its own. Leave out yours.")
        return wanted

    def _own(self) -> str:
        return self._target.queue if isinstance(self._target, Workflow) else "default"
