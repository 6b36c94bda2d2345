"""A fleet, with the ledgers in the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import Processes
from tests.queues import effects, ledger
from tests.queues.fleet import Fleet


@pytest.fixture
def ledgers(transactional_db: None) -> Iterator[None]:
    """Made before the workers start, and removed after they were killed."""
    ledger.drop()
    effects.create()
    ledger.create()
    yield
    ledger.drop()
    effects.drop()


@pytest.fixture
def fleet(ledgers: None, processes: Processes) -> Fleet:
    """No worker as yet."""
    return Fleet(processes)
