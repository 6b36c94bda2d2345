"""Names and what they stand for in this process."""

from __future__ import annotations

from dataclasses import replace

from durable_workflows.definitions import Definition, Scheduled, Step, Workflow
from durable_workflows.exceptions import InvalidUse, RegistrationConflict, WorkflowNotRegistered
from durable_workflows.serializers import register_annotations

_definitions: dict[str, Definition] = {}
_schedules: dict[str, Scheduled] = {}


def register(definition: Definition) -> None:
    """
    Make a definition findable by its name, and the types of its annotations decodable.

    :raises RegistrationConflict: if the name stands for a function of another place or kind. The same function declared
        again replaces the first, as autoreload and notebooks do.
    """
    known = _definitions.get(definition.name)
    if known is not None and (known.origin != definition.origin or type(known) is not type(definition)):
        raise RegistrationConflict(definition.name, describe(known), describe(definition))
    _definitions[definition.name] = definition
    for schedule in schedules():
        if schedule.workflow is known:
            del _schedules[schedule.name]
    register_annotations(definition.func)


def describe(definition: Definition) -> str:
    """The kind and the place of a definition, for messages."""
    return f"the {type(definition).__name__.lower()} {definition.origin}"


def find(name: str) -> Workflow | Step:
    """
    What ``name`` stands for.

    :raises WorkflowNotRegistered: if nothing of that name was declared in this process.
    """
    definition = _definitions.get(name)
    if not isinstance(definition, (Workflow, Step)):
        raise WorkflowNotRegistered(name, names())
    return definition


def names() -> list[str]:
    """All names that this process can run, sorted."""
    return sorted(_definitions)


def definitions() -> list[Definition]:
    """All definitions, in the order of their names."""
    return [_definitions[name] for name in names()]


def register_schedule(schedule: Scheduled) -> None:
    """
    Remember a schedule declared in code; a worker writes it to its row.

    The first of a workflow, which is the one next to it, keeps the name it comes with; the others get a number.

    :raises InvalidUse: if the workflow has the same ticks already, but with other options.
    """
    others = [known for known in schedules() if known.workflow is schedule.workflow]
    for known in others:
        if known.cron == schedule.cron:
            _refuse_other_options(known, schedule)
            return
    named = replace(schedule, name=f"{schedule.name}#{len(others) + 1}") if others else schedule
    _schedules[named.name] = named


def _refuse_other_options(known: Scheduled, schedule: Scheduled) -> None:
    if replace(schedule, name=known.name) != known:
        raise InvalidUse(
            f"{schedule.workflow.name!r} is scheduled twice at {schedule.cron.expression!r} with different options, so"
            " each tick would start two runs. Keep one."
        )


def schedules() -> list[Scheduled]:
    """All schedules declared in code."""
    return list(_schedules.values())
