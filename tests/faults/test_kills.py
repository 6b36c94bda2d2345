"""A worker is killed, stopped or cut off at the n-th statement of a checkout: a sample; ``every_kill`` takes every n."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.faults.arena import Arena
from tests.faults.killer import CLAIMING, KEEPING, Fault
from tests.faults.rounds import Round, play, play_all

SAMPLE = 6


def sampled(fault: Fault, statements: int, seed: int) -> list[Fault]:
    """As many faults as ``SAMPLE``, spread over a checkout of so many statements."""
    choose = random.Random(seed)
    slice_ = statements / SAMPLE
    numbers = [choose.randint(int(slice_ * place) + 1, max(1, int(slice_ * (place + 1)))) for place in range(SAMPLE)]
    return [_at(fault, number, choose.choice(["before", "after"])) for number in numbers]


def _at(fault: Fault, number: int, when: str) -> Fault:
    return Fault(act=fault.act, threads=fault.threads, number=number, when=when)


def test_a_checkout_survives_kills_at_any_statement(arena: Arena, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    whole = play(arena, Fault())
    assert not whole.struck
    rounds = [whole, *play_all(arena, sampled(Fault(act="kill"), whole.statements, seed))]
    _tell(rounds, seed, capsys)
    assert [found for done in rounds for found in done.violations] == []
    assert [done.struck for done in rounds[1:]] == [True] * SAMPLE


def _tell(rounds: Sequence[Round], seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nseed {seed}, {rounds[0].statements} statements:", *rounds[1:], sep="\n  ")
