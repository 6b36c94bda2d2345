"""
The exception that a workflow meets is the one that a replay of it will meet.

A record holds of an exception what can be stored. Were the workflow given the original the first time, it might look at an
attribute that is gone when it is replayed, and take another path. So where something was left out, it gets what the record
says, from the first time on, with the original's traceback; the log names what is missing.
"""

from __future__ import annotations

from durable_workflows import signals
from durable_workflows.serializers import load_error, lost_of


def as_recorded(error: BaseException, record: str, run_id: str, step: str) -> BaseException:
    """
    What is to be raised for an exception whose record is this: itself, unless something of it is not in there.

    One that cannot be rebuilt at all is itself too: its replay waits visibly, rather than to go on with something else.
    """
    lost, rebuilt = lost_of(error), load_error(record)
    if not lost and rebuilt is not None:
        return error
    signals.send(signals.error_lost, run_id=run_id, step=step, error=error, lost=lost if rebuilt is not None else None)
    return error if rebuilt is None else rebuilt.with_traceback(error.__traceback__)
