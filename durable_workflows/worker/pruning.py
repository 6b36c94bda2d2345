"""Old runs are deleted a little at a time: in the housekeeper's loop, who has more urgent things to do."""

from __future__ import annotations

import random

from durable_workflows import clock, signals
from durable_workflows.models import dialects
from durable_workflows.models.pruning import Sweep
from durable_workflows.retention import policy

PAUSE = 60.0  # seconds between two sweeps
AT_ONCE = 0.2  # seconds of a tick of the loop


class Pruning:
    """A worker's part of it: the setting ``RETENTION``, carried out in sweeps through what has ended."""

    def __init__(self) -> None:
        self._sweep: Sweep | None = None
        self._due = clock.monotonic() + PAUSE * random.random()

    def tick(self) -> None:
        """Go on for a moment. After whatever error there is a pause, since the loop would be back at once."""
        now = clock.monotonic()
        if now < self._due:
            return
        self._due = now + PAUSE * (0.9 + random.random() / 5)
        sweep, self._sweep = self._sweep or Sweep(policy()), None
        count = 0
        while not sweep.over and clock.monotonic() < now + AT_ONCE:
            count += sweep.batch(dialects.connection())
        if not sweep.over:
            self._sweep, self._due = sweep, now
        if count:
            signals.send(signals.housekeeping, what="deleted old runs", count=count)
