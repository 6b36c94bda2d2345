"""
What happened, as written down outside of the engine and of its database: one line a fact, safe against any kill.

Each step's body writes a line with a nonce of its own before it does anything. With it goes what another connection saw at
that moment: how many of the run's earlier positions were recorded, and whether this one was. That connection is a thread
of its own, in autocommit, so that it counts for nothing in the transactions under test.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from durable_workflows import current, signals
from durable_workflows.models import StepRun

FILE = "DURABLE_TEST_LEDGER"


@cache
def _descriptor() -> int:
    return os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@cache
def _witness() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="witness")


def write(fact: str, **details: Any) -> None:
    """Append a fact; it is on the disk when this returns."""
    line = {"fact": fact, "pid": os.getpid(), "at": time.time(), **details}
    os.write(_descriptor(), f"{json.dumps(line)}\n".encode())
    os.fsync(_descriptor())


def effect(step: str) -> str:
    """A step's body does its work now; returns the nonce of this execution of it."""
    here = current()
    assert here is not None
    assert here.step_id is not None
    nonce = uuid4().hex
    earlier, itself = _witness().submit(_recorded, here.workflow_id, here.step_id).result()
    write(
        "effect", run=here.workflow_id, step=step, position=here.step_id, attempt=here.attempt, nonce=nonce,
        earlier=earlier, itself=itself,
    )  # fmt: skip
    return nonce


def _recorded(run_id: str, position: int) -> tuple[int, bool]:
    recorded = StepRun.objects.filter(run_id=run_id, branch="")
    return recorded.filter(position__lt=position).count(), recorded.filter(position=position).exists()


def listen() -> None:
    """Write down, too, when a run is begun and when its outcome is recorded by this process."""
    if FILE in os.environ:
        signals.run_started.connect(_started, weak=False, dispatch_uid="tests.faults")
        signals.run_finished.connect(_finished, weak=False, dispatch_uid="tests.faults")


def _started(*, run_id: str, attempt: int, **kwargs: Any) -> None:
    write("started", run=run_id, attempt=attempt)


def _finished(*, run_id: str, status: str, **kwargs: Any) -> None:
    write("finished", run=run_id, status=str(status))


def read(path: Path, run_ids: set[str]) -> list[dict[str, Any]]:
    """The facts about these runs, in order."""
    return [fact for fact in _lines(path) if fact.get("run") in run_ids]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open() as lines:
            for line in lines:
                if line.endswith("\n"):  # the last one may be half written as yet
                    yield json.loads(line)
