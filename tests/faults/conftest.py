"""The arena of the fault tests: a warm worker and a ledger, on the database under test."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.apps import SEED
from tests.faults.arena import Arena
from tests.processes import Processes


@pytest.fixture
def seed() -> int:
    """What chooses the sample; printed with it, and given by the environment to repeat one."""
    return int(os.environ.get(SEED, "0")) or random.SystemRandom().randrange(1, 10**6)


@pytest.fixture
def arena(processes: Processes, tmp_path: Path, seed: int) -> Arena:
    """Where workers are killed, with a warm one that takes over."""
    made = Arena(processes, tmp_path, seed)
    made.warm_up()
    return made
