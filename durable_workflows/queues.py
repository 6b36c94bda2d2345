"""A queue as code declares it: a frozen value with ``enqueue``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, ClassVar, Literal

from durable_workflows import options, runtime
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
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
    Runs that wait for a worker, oldest first.

    :param name: what workers are told to serve; 1 to 128 printable characters.
    :raises InvalidUse: for an invalid name, and for the limits, which this version cannot enforce yet: a limit that is
        not kept must not be accepted.
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
    waiting: Literal["release", "hold"] = "release"

    declared: ClassVar[dict[str, Queue]] = {}

    def __post_init__(self) -> None:
        valid_name(self.name)
        asked = [f.name for f in fields(self) if f.name != "name" and getattr(self, f.name) != f.default]
        if asked:
            raise InvalidUse(
                f"Queue({self.name!r}): {', '.join(asked)} cannot be enforced by this version, so it is refused rather than"
                " ignored. Leave it out."
            )
        Queue.declared[self.name] = self

    def enqueue(self, target: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """
        Start a workflow (or a step, as a run of its own) on this queue, in the caller's transaction.

        :param target: a function decorated with ``@workflow`` or ``@step``, or the name of one.
        :raises NotSerializable: if an argument cannot be stored.
        """
        started = runtime.here().start(options_target(target), (args, kwargs), options.taken(queue=self.name))
        return WorkflowHandle(started)


def options_target(target: Any) -> Any:
    """The definition behind a decorated function, or the name as given."""
    definition = getattr(target, "durable", target)
    if isinstance(target, str):
        return valid_text(target, "The name of a workflow")
    if definition is not target:
        return definition
    raise InvalidUse(f"{target!r} is neither decorated with @workflow or @step nor the name of such a function.")
