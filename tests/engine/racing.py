"""
A process that fires ticks against others: ``python -m tests.engine.racing``.

It says that it is ready, waits until the schedules are let go, and fires whatever is due until nothing is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import django

BATCH = 10


def fire_until_nothing_is_due() -> int:
    """How many runs this one has started."""
    from durable_workflows.models import Schedule
    from durable_workflows.worker import scheduling

    scheduling.TICKS_AT_ONCE = BATCH
    wait_until(Schedule.objects.filter(paused=False).exists)
    fired = 0
    while Schedule.objects.filter(next_fire_at__isnull=False).exists():
        came = scheduling.fire_due()
        fired += came
        if not came:  # the others have their rows
            time.sleep(0.002)
    return fired


def wait_until(there: Callable[[], bool]) -> None:
    last_look = time.monotonic() + 60
    while not there():
        assert time.monotonic() < last_look
        time.sleep(0.01)


if __name__ == "__main__":
    django.setup()
    print("ready")
    print(f"fired {fire_until_nothing_is_due()}.")
