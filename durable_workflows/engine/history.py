"""What a run has recorded, loaded once; and whether the code still takes the recorded path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from durable_workflows.exceptions import ControlFlow, PayloadCorrupted
from durable_workflows.models.claims import Claim
from durable_workflows.models.reading import Recorded
from durable_workflows.models.steps import Kind
from durable_workflows.serializers import load_error, loads

Place = tuple[str, int]
CANCELLED = "durable.cancelled"


class Diverged(ControlFlow):
    """The body asked for something else than what is recorded; the run is to wait visibly."""


class Unreadable(ControlFlow):
    """What is recorded cannot be read in this process; the run is to wait visibly."""


def is_cancellation(recorded: Recorded | None) -> bool:
    """Whether this is where the run was cancelled; what follows in its history are undo steps."""
    return recorded is not None and recorded.kind == Kind.MANAGE and recorded.name == CANCELLED


class History:
    """The recorded positions of one run."""

    def __init__(self, recorded: Mapping[Place, Recorded]) -> None:
        self._recorded = dict(recorded)

    def peek(self, place: Place) -> Recorded | None:
        """What is recorded at a place, under whatever name."""
        return self._recorded.get(place)

    def at(self, place: Place, name: str) -> Recorded | None:
        """
        What is recorded at a place under this name.

        :raises Diverged: if it is recorded under another name; nothing has happened yet.
        """
        recorded = self._recorded.get(place)
        if recorded is not None and recorded.name != name and not is_cancellation(recorded):
            raise Diverged(
                f"At step {place[1]} the code calls {name!r}, but {recorded.name!r} is recorded there. Deploy code that takes"
                " the recorded path, then resume the run."
            )
        return recorded

    def check_used_up(self, branch: str, position: int) -> None:
        """
        At the body's end: nothing recorded may be left over.

        :raises Diverged: if steps are recorded beyond the last one that the body called.
        """
        left = sorted(place[1] for place in self._recorded if place[0] == branch and place[1] > position)
        if left:
            name = self._recorded[(branch, left[0])].name
            raise Diverged(
                f"The code ended after {position} steps, but step {left[0]}, {name!r}, is recorded. Deploy code that takes"
                " the recorded path, then resume the run."
            )


def answer(recorded: Recorded, where: str) -> Any:
    """
    Return or raise what is recorded.

    :raises Unreadable: if it cannot be read back here.
    """
    if recorded.error is not None:
        error = load_error(recorded.error)
        if error is None:
            raise Unreadable(f"{where} raised an exception whose class is not loaded here. Import its module, then resume.")
        raise error
    return read(recorded.output, f"result of {where}")


def read(payload: str | None, what: str) -> Any:
    """A payload as a value; ``what`` it is, without an article. Raises ``Unreadable``."""
    try:
        return None if payload is None else loads(payload, what=what)
    except PayloadCorrupted as error:
        raise Unreadable(str(error)) from error
    except Exception as error:  # a registered decoder is the user's code and may raise anything
        raise Unreadable(f"Cannot read the {what}: {type(error).__name__}: {error}") from error


def arguments(claim: Claim) -> tuple[list[Any], dict[str, Any]]:
    """What a run was started with. Raises ``Unreadable``."""
    stored = read(claim.inputs, f"arguments of run {claim.id!r}")
    match stored:
        case {"args": list(args), "kwargs": dict(kwargs)} if all(isinstance(name, str) for name in kwargs):
            return args, kwargs
    raise Unreadable(f"The arguments of run {claim.id!r} are not in the stored form.")
