"""The sleepers, and the parents of many children."""

from __future__ import annotations

from datetime import datetime

import durable_workflows as durable


@durable.workflow
def nap(until: datetime) -> datetime:
    durable.sleep_until(until)
    return until


@durable.workflow
def child(number: int) -> int:
    return number


@durable.workflow
def parent(children: int) -> int:
    handles = [child.start(number) for number in range(children)]
    return sum(handle.get_result() for handle in handles)
