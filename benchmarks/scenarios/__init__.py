"""What is measured, a file for each scenario."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.scenarios import b0_floors, b1_steps, b1a_row_steps, b2_calls, b3_enqueue, b4_drain, b5_latency, b11_narrow

CASES: tuple[Case, ...] = (
    *b0_floors.CASES,
    *b1_steps.CASES,
    *b1a_row_steps.CASES,
    *b2_calls.CASES,
    *b3_enqueue.CASES,
    *b4_drain.CASES,
    *b5_latency.CASES,
    *b11_narrow.CASES,
)


def chosen(keys: list[str]) -> list[Case]:
    """
    The cases with these keys, case-insensitively; ``B3`` takes ``B3 one by one`` with it.

    :raises KeyError: naming the keys there are.
    """
    found = [case for case in CASES if not keys or any(_fits(case, key) for key in keys)]
    unknown = [key for key in keys if not any(_fits(case, key) for case in CASES)]
    if unknown:
        raise KeyError(f"No scenario {', '.join(unknown)}; there are {', '.join(sorted({case.key for case in CASES}))}.")
    return found


def _fits(case: Case, key: str) -> bool:
    return case.key.lower() == key.lower()
