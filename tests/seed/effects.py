"""What the programs' steps do: a row each, and where a test asks for it, a step that never comes to its end."""

from __future__ import annotations

import os
import time
from pathlib import Path

import durable_workflows as durable
from tests.app.models import Ledger

HOLDS = "DURABLE_TEST_HOLDS"  # the directory in which a test says which steps are to be held


def leave(step: str, note: str = "") -> None:
    """Write the step's effect, in the step's own transaction."""
    run = durable.current()
    assert run is not None
    Ledger.objects.create(run_id=run.workflow_id, step=step, note=note)
    _stay_if_held(f"{step} {note}".strip())


def _stay_if_held(effect: str) -> None:
    """With the transaction open, wait to be killed; of several processes only one is held."""
    hold = hold_of(Path(os.environ[HOLDS]), effect)
    try:
        hold.rename(f"{hold}@{os.getpid()}")
    except FileNotFoundError:
        return
    while True:
        time.sleep(60)


def hold_of(directory: Path, effect: str) -> Path:
    """The file that holds the step which leaves this effect."""
    return directory / effect.replace("/", "_")


def holder_of(directory: Path, effect: str) -> int | None:
    """The id of the process that is held."""
    hold = hold_of(directory, effect).name
    return next((int(path.name.rpartition("@")[2]) for path in directory.iterdir() if path.name.startswith(f"{hold}@")), None)
