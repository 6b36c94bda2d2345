"""A warm worker that takes no queue until it is told to, so that the one to be killed has its runs to itself."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from durable_workflows import Queue

LOOK_SECONDS = 0.02


def follow(path: str) -> None:
    """From now on, declare just the queues that this file names; a worker serves what is declared later too."""
    threading.Thread(target=_follow, args=(Path(path),), name="serving", daemon=True).start()


def _follow(path: Path) -> None:
    before: set[str] = set()
    while True:
        named = set(path.read_text().split())
        for name in named - before:
            Queue(name)
        for name in before - named:
            del Queue.declared[name]
        before = named
        time.sleep(LOOK_SECONDS)
