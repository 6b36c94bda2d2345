"""Which statements of a checkout are taken when there is no time for all; chosen by a seed, which is printed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.faults.killer import Fault
from tests.faults.rounds import Round


def sampled(fault: Fault, statements: int, size: int, seed: int) -> list[Fault]:
    """This fault so many times, spread over a checkout of so many statements, before or after them as it may be."""
    choose = random.Random(f"{seed} {fault}")
    share = statements / size
    numbers = [choose.randint(int(share * place) + 1, max(1, int(share * (place + 1)))) for place in range(size)]
    return [replace(fault, number=number, when=choose.choice(fault.moments)) for number in numbers]


def tell(rounds: Sequence[Round], seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what was chosen, whether or not the test fails."""
    with capsys.disabled():
        print(f"\nseed {seed}:", *rounds, sep="\n  ")
