"""A warm worker that takes no queue until it is told to, so that the one to be killed has its runs to itself."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from durable_workflows import Queue

LOOK_SECONDS = 0.02


def follow(path: str) -> None:
    """Declare, from now on, each queue that is named by a line of this file; a worker serves what is declared later too."""
    threading.Thread(target=_follow, args=(Path(path),), name="serving", daemon=True).start()


def _follow(path: Path) -> None:
    while True:
        for name in path.read_text().split():
            if name not in Queue.declared:
                Queue(name)
        time.sleep(LOOK_SECONDS)
