"""
The button that kills the worker, for people who do not believe it: in DEBUG only.

An armed crash is a file and not a row, because it must be used up although the step's transaction is rolled back by
the very crash: as a row it would come back with the rollback, and kill the next worker too.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

from django.conf import settings

from durable_workflows import current


def arm(run_id: str) -> None:
    """Let the next step of this run kill its worker, once."""
    fuse = _fuse(run_id)
    fuse.parent.mkdir(parents=True, exist_ok=True)
    fuse.touch()


def armed(run_id: str) -> bool:
    """Whether a crash is still to come."""
    return _fuse(run_id).exists()


def crash_point() -> None:
    """
    Kill this worker process with SIGKILL if a crash was armed for the run.

    Called at the end of a step's body: its writes are done and not yet committed, the worst moment there is. Does
    nothing outside DEBUG, and nothing in a web server or a test.
    """
    run = current()
    if settings.DEBUG and run and in_worker() and _used_up(run.workflow_id):
        os.kill(os.getpid(), signal.SIGKILL)


def in_worker() -> bool:
    """Whether this process was started as ``manage.py durable_worker``."""
    return "durable_worker" in sys.argv[1:2]


def _used_up(run_id: str) -> bool:
    try:
        _fuse(run_id).unlink()  # of several processes only one succeeds
    except FileNotFoundError:
        return False
    return True


def _fuse(run_id: str) -> Path:
    digest = hashlib.sha256(run_id.encode()).hexdigest()
    return Path(settings.EXAMPLE["VAR_DIR"]) / "crash" / digest
