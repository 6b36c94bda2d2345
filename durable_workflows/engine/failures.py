"""
The failures that a body has met, so that its end can say from which step a retry is to go on.

What a body makes of a failed step is its own affair: it may handle it, or raise something else for it. So what ended the
run is traced back, through its causes, to the last recorded failure that looks like it. A failure that was handled is no
reason to do again what succeeded behind it.

A block of a saga that was undone is one failure, from its first step: what was done in it is not done any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from durable_workflows.serializers import Origin, message_of

if TYPE_CHECKING:
    from durable_workflows.engine.history import Place

Look = tuple[type[BaseException], str]
LONGEST = 200  # characters of a message that are compared


class Failures:
    """What one attempt has met."""

    def __init__(self) -> None:
        self._met: list[tuple[Origin, Look]] = []

    def note(self, place: Place, error: BaseException, *, undone: bool = False) -> None:
        """A recorded failure was raised at this place, again if it is a replay; or a block that begins there was undone."""
        branch, position = place
        step = int(branch.partition(".")[0]) if branch else position
        self._met.append((Origin(step, undone), _look(error)))

    def behind(self, error: BaseException) -> Origin | None:
        """The step of the body whose failure ended it with this error, the first of several; None if it was none's."""
        for level in _causes(error):
            if found := [origin for origin in map(self._last, level) if origin is not None]:
                return min(found)
        return None

    def _last(self, error: BaseException) -> Origin | None:
        look = _look(error)
        return next((origin for origin, met in reversed(self._met) if met == look), None)


def _look(error: BaseException) -> Look:
    # By its looks, not by its identity: to hold on to it would keep the frames that it passed, and what lies in them.
    return type(error), message_of(error)[:LONGEST]


def _causes(error: BaseException) -> Iterator[list[BaseException]]:
    """The error, then what it groups, then what was the reason for each, and so on."""
    level, seen = [error], {id(error)}
    while level:
        yield level
        below = [inner for each in level for inner in _within(each) if id(inner) not in seen]
        seen.update(map(id, below))
        level = below


def _within(error: BaseException) -> list[BaseException]:
    grouped = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
    reason = error.__context__ if error.__cause__ is None else error.__cause__
    return grouped if reason is None else [*grouped, reason]
