"""Names and what they stand for in this process."""

from __future__ import annotations

from durable_workflows.definitions import Definition, Scheduled, Step, Workflow
from durable_workflows.exceptions import RegistrationConflict, WorkflowNotRegistered
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
    """Remember a schedule declared in code; a worker writes it to its row."""
    _schedules[schedule.name] = schedule


def schedules() -> list[Scheduled]:
    """All schedules declared in code."""
    return list(_schedules.values())
