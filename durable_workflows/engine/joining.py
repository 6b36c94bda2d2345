"""
Joining many children: a parent is not replayed for each of them.

Each wait for a run that an earlier attempt had started may cost a replay, and a replay reads the whole history. So from
the fourth such wait in a row the wake-up is put off, each time twice as long. In the meantime others end, and the next
replay collects them all at once. It is put off no longer than the other children may take: those that are under way
count, those that wait to be told something do not, since it may be for the parent to tell them. With none left it is
woken at once. And so that the end of the whole is not waited out, the child that was started last wakes it soon as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from durable_workflows.engine.operations import database
from durable_workflows.models import reading
from durable_workflows.models.waking import WaitFor

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

FREE_REPLAYS = 3  # awaited children may wake their parent so often at once before the wake-ups are put off
SHORTEST, LONGEST = 0.1, 60.0  # seconds
PER_CHILD = 1.0  # seconds that each other child under way is given at most
SOONER = 8  # the child that was started last may be early: its wake-up is put off too, by so much less


def fan_in(execution: Execution, workflow_id: str) -> int:
    """
    How many waits in a row were for runs that an earlier attempt had started.

    A parent that starts and awaits its children in turn awaits what this attempt has started, and begins at nought.
    """
    return 0 if workflow_id in execution.started_here else execution.claim.fan_in + 1


def waits(execution: Execution, awaited: WaitFor, number: int) -> Sequence[WaitFor]:
    """
    What to wait for to be woken in good time for a result.

    :param awaited: the wait for the result itself.
    :param number: of waits in a row, this one included, as ``fan_in`` counts them.
    """
    if number <= FREE_REPLAYS or awaited.source_id is None:
        return [awaited]
    longest = min(SHORTEST * 2.0 ** min(number - FREE_REPLAYS - 1, 20), LONGEST)
    children = _under_way(execution, awaited.source_id)
    if children is None:  # another's child: nothing is known of how many like it there are
        return [replace(awaited, debounce=longest)]
    debounce = min(longest, PER_CHILD * children.others)
    put_off = replace(awaited, debounce=debounce)
    if children.last is None:
        return [put_off]
    return [put_off, replace(awaited, source_id=children.last, debounce=debounce / SOONER, decisive=False)]


def _under_way(execution: Execution, awaited: str) -> reading.UnderWay | None:
    return execution.persistently(lambda: reading.children_under_way(database(), execution.claim.id, awaited))
