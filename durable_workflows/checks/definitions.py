"""What is odd about the workflows, steps and schedules declared in code; duplicate names are refused at their decoration."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig
from django.core import checks

from durable_workflows import registry
from durable_workflows.definitions import Definition, Scheduled, Workflow
from durable_workflows.queues import Queue

DEFAULT_QUEUE = "default"  # always there


def check_definitions(*, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Queues that nobody declared or that want keys, functions that only one process has, schedules that cannot call."""
    found: list[checks.CheckMessage] = []
    for definition in declared_in(app_configs):
        found += _local_function(definition)
        if isinstance(definition, Workflow):
            found += _queue(definition, definition.queue)
    for schedule in registry.schedules():
        if _belongs(schedule.workflow, app_configs):
            found += [*_queue(schedule.workflow, schedule.queue), *_ticks(schedule)]
    return found


def declared_in(app_configs: Sequence[AppConfig] | None) -> list[Definition]:
    """The definitions of these apps; of all code when None, as Django means it."""
    return [definition for definition in registry.definitions() if _belongs(definition, app_configs)]


def _belongs(definition: Definition, app_configs: Sequence[AppConfig] | None) -> bool:
    module = f"{definition.func.__module__}."
    return app_configs is None or any(module.startswith(f"{app.name}.") for app in app_configs)


def _queue(workflow: Workflow, queue: str | None) -> Iterator[checks.CheckMessage]:
    known = {DEFAULT_QUEUE, *Queue.declared}
    if queue is None:
        return
    if queue in known:
        yield from _partitions(workflow, Queue.declared.get(queue))
        return
    near = get_close_matches(queue, known, n=1, cutoff=0.7)
    yield checks.Warning(
        f"Runs of {workflow.name!r} go to the queue {queue!r}, which no code declares, so they wait until some does.",
        hint=(f"Did you mean {near[0]!r}? Else declare it" if near else "Declare it") + f": Queue({queue!r}).",
        obj=workflow.origin,
        id="durable_workflows.W030",
    )


def _partitions(workflow: Workflow, queue: Queue | None) -> Iterator[checks.CheckMessage]:
    if queue is not None and queue.partition_queue:
        yield checks.Warning(
            f"Runs of {workflow.name!r} that are started plainly or by a schedule go to the queue {queue.name!r}, which has"
            " partitions, and name none: all of them share one.",
            hint="Name no queue there, and start them by enqueue() in a SetEnqueueOptions(queue_partition_key=...).",
            obj=workflow.origin,
            id="durable_workflows.W032",
        )


def _local_function(definition: Definition) -> Iterator[checks.CheckMessage]:
    if "<locals>" in definition.func.__qualname__:
        yield checks.Warning(
            f"{definition.name!r} is declared inside another function, so a process knows it only once that one was called."
            " A worker that has not done so leaves its runs waiting.",
            hint="Declare it at the top level of a module.",
            obj=definition.origin,
            id="durable_workflows.W031",
        )


def _ticks(schedule: Scheduled) -> Iterator[checks.CheckMessage]:
    try:
        inspect.signature(schedule.workflow.func).bind("scheduled_time", "actual_time")
    except TypeError as problem:
        yield checks.Error(
            f"@scheduled calls {schedule.workflow.name!r} with two arguments, which it does not take ({problem}): every tick"
            " would fail.",
            hint="Declare it with two parameters: (scheduled_time, actual_time).",
            obj=schedule.workflow.origin,
            id="durable_workflows.E030",
        )
    except ValueError:  # it hides its signature
        return
