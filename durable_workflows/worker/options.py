"""What a worker serves: what it was asked for, out of what its process declares."""

from __future__ import annotations

from dataclasses import dataclass

from durable_workflows import registry
from durable_workflows.definitions import Workflow
from durable_workflows.queues import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    What a worker was asked for.

    :param threads: runs at once; None: the setting ``THREADS``.
    :param queues: the queues to serve; empty: all that this process declares.
    :param exclude: queues not to serve.
    """

    threads: int | None = None
    queues: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def served(self) -> tuple[str, ...]:
        """The queues to serve, as declared by now."""
        return tuple(queue for queue in self.queues or declared_queues() if queue not in self.exclude)


def declared_queues() -> tuple[str, ...]:
    """Every queue that this process's code names."""
    of_workflows = {definition.queue for definition in registry.definitions() if isinstance(definition, Workflow)}
    of_schedules = {schedule.queue for schedule in registry.schedules() if schedule.queue}
    return tuple(sorted({"default", *Queue.declared, *of_workflows, *of_schedules}))
