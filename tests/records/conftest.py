"""What tests of the records of runs share."""

from __future__ import annotations

import pytest
from pytest_django import Settings


@pytest.fixture
def unparked(settings: Settings) -> None:
    """Waits never keep their thread: what is not there suspends."""
    settings.DURABLE_WORKFLOWS = {"PARK_SECONDS": 0, "LISTEN": False}
