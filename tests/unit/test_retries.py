"""A retry policy is a value: checked when it is made, and its pauses never leave their bounds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from durable_workflows import InvalidUse
from durable_workflows.retries import RetryPolicy

ATTEMPTS = 5000  # each rate overflows a float long before


@pytest.mark.parametrize("rate", [2, 2.0, 10.0, 1e300])
def test_pauses_grow_up_to_their_limit_however_many_attempts_there_are(rate: float) -> None:
    policy = RetryPolicy(max_attempts=ATTEMPTS, interval_seconds=1, backoff_rate=rate, max_interval_seconds=60, jitter=0)
    assert [policy.pause_after(attempt) for attempt in range(1, ATTEMPTS)][-1] == 60
    assert policy.pause_after(1) == 1


def test_no_pause_stays_none() -> None:
    policy = RetryPolicy(max_attempts=ATTEMPTS, interval_seconds=0)
    assert {policy.pause_after(attempt) for attempt in (1, 2, ATTEMPTS)} == {0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 2.5},
        {"max_attempts": True},
        {"max_attempts": "3"},
        {"interval_seconds": math.nan},
        {"interval_seconds": -1},
        {"interval_seconds": "1"},
        {"max_interval_seconds": math.inf},
        {"max_interval_seconds": math.nan},
        {"backoff_rate": 0.5},
        {"backoff_rate": math.nan},
        {"backoff_rate": math.inf},
        {"backoff_rate": None},
    ],
)
def test_a_number_that_cannot_work_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidUse, match=next(iter(wrong))):
        RetryPolicy(**wrong)
