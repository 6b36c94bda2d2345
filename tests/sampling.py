"""
Of tests that go through many similar cases, each of which takes long, a run of the whole suite draws a part.

``@pytest.mark.sampled(3)`` draws a third of the cases in its file, by the seed that pytest-randomly prints: each run on each
database draws others. Whoever names files or tests, or sets ``DURABLE_TEST_SAMPLES=all``, gets all of them. With
``DURABLE_TEST_SAMPLES=2`` a run draws a half of every test's cases, too.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Iterable

import pytest


def left_out(config: pytest.Config, items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """The cases that this run does not draw."""
    samples = os.environ.get("DURABLE_TEST_SAMPLES", "")
    if samples == "all" or config.args_source is config.ArgsSource.ARGS:
        return set()
    seed = config.getoption("randomly_seed", 0)  # the same in each of the processes among which tests are dealt out
    families: dict[tuple[str, int], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if marker := item.get_closest_marker("sampled"):
            families[item.nodeid.partition("::")[0], marker.args[0]].append(item)
        elif samples:
            families[item.nodeid.partition("[")[0], int(samples)].append(item)
    return {item for (name, of), cases in families.items() for item in _left_out(f"{seed} {name}", cases, of)}


def _left_out(seed: str, cases: list[pytest.Item], of: int) -> list[pytest.Item]:
    cases.sort(key=lambda case: case.nodeid)  # whatever order they come in
    return random.Random(seed).sample(cases, len(cases) - -(-len(cases) // of))
