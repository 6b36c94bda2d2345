"""
The fuse: SIGKILL for a worker at one chosen statement of one chosen run, as a power cut would have it.

It sits in the driver, below Django: SQLite tells of each statement that it is about to execute. Counted are those inside
the open transaction of a step of that run: what its body writes, the engine's record that the step is done, and the
COMMIT. Only the demo lights it, by an environment variable of the worker it means to kill.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db.backends.signals import connection_created

from durable_workflows import current

VARIABLE = "EXAMPLE_DEMO_FUSE"
# How Django, in DEBUG, has SQLite show it a statement's parameters.
DEBUGGING = "SELECT QUOTE("


@dataclass(frozen=True, slots=True)
class Fuse:
    """
    When to die.

    :param run_id: the run whose statements count.
    :param statement: the number, from 1, of the one before which the process is killed.
    :param report: the file for its last words.
    """

    run_id: str
    statement: int
    report: str

    def environment(self) -> dict[str, str]:
        """What lights it in a child process."""
        return {VARIABLE: json.dumps(asdict(self))}


@dataclass(frozen=True, slots=True)
class LastWords:
    """
    How a worker died.

    :param step: the position of the step in its run.
    :param uncommitted: how many statements its open transaction had executed.
    :param sql: the statement that was about to be.
    """

    pid: int
    step: int
    uncommitted: int
    sql: str


def last_words(fuse: Fuse) -> LastWords | None:
    """What the killed process left; None while it lives."""
    report = Path(fuse.report)
    return LastWords(**json.loads(report.read_text())) if report.exists() else None


def light() -> None:
    """Watch each connection that this process opens, if its environment says so."""
    if VARIABLE in os.environ:
        burning = _Burning(Fuse(**json.loads(os.environ[VARIABLE])))
        connection_created.connect(burning.watch, weak=False, dispatch_uid=VARIABLE)


class _Burning:
    """Counts over all connections: the run may go on in another thread."""

    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse
        self.counted = 0

    def watch(self, *, connection: Any, **kwargs: Any) -> None:
        connection.connection.set_trace_callback(_Session(self).about_to_execute)

    def count(self, step: int, uncommitted: int, sql: str) -> None:
        self.counted += 1
        if self.counted == self.fuse.statement:
            words = LastWords(os.getpid(), step, uncommitted, " ".join(sql.split())[:300])
            draft = Path(f"{self.fuse.report}.draft")
            draft.write_text(json.dumps(asdict(words)))
            draft.rename(self.fuse.report)
            os.kill(os.getpid(), signal.SIGKILL)


class _Session:
    """One connection: between which statements a transaction of the run's steps is open."""

    def __init__(self, burning: _Burning) -> None:
        self.burning = burning
        self.step: int | None = None
        self.uncommitted = 0

    def about_to_execute(self, sql: str) -> None:
        if sql.startswith("BEGIN IMMEDIATE"):
            self.step, self.uncommitted = self._step_of_the_run(), 0
        elif self.step is not None and not sql.startswith(DEBUGGING):
            self.burning.count(self.step, self.uncommitted, sql)
            self.uncommitted += 1
            if sql.startswith(("COMMIT", "ROLLBACK")) and not sql.startswith("ROLLBACK TO"):
                self.step = None

    def _step_of_the_run(self) -> int | None:
        run = current()
        return run.step_id if run and run.workflow_id == self.burning.fuse.run_id else None
