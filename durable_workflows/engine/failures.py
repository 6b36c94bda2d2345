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

from durable_workflows.serializers import message_of

if TYPE_CHECKING:
    from durable_workflows.engine.history import Place

Look = tuple[type[BaseException], str]
LONGEST = 200  # characters of a message that are compared


class Failures:
    """What one attempt has met."""

    def __init__(self) -> None:
        self._met: list[tuple[int, Look]] = []

    def note(self, place: Place, error: BaseException) -> None:
        """A recorded failure was raised at this place; again, if it is a replay."""
        branch, position = place
        self._met.append((int(branch.partition(".")[0]) if branch else position, _look(error)))

    def step_behind(self, error: BaseException) -> int | None:
        """The step of the body whose failure ended it with this error; None if it was none's."""
        for level in _causes(error):
            looks = [_look(each) for each in level]
            found = [self._last(look) for look in looks]
            steps = [step for step in found if step is not None]
            if steps:
                return min(steps)
        return None

    def _last(self, look: Look) -> int | None:
        return next((step for step, met in reversed(self._met) if met == look), None)


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
