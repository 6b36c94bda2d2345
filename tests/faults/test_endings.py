"""A worker is killed at the n-th statement of a run that ends in each way: a sample; ``every_ending`` takes every n."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.faults.arena import Arena
from tests.faults.endings import play
from tests.faults.killer import Fault

KILLS = 3


def test_rows_new_beginnings_and_sagas_survive_kills_at_any_statement(arena: Arena, seed: int, database: str) -> None:
    whole = play(arena, Fault())
    choose = random.Random(seed)
    kills = [Fault(act="kill", when=choose.choice(["before", "after"])) for _ in range(KILLS)]
    lost = [Fault(act="drop", when="after")] if database != "sqlite" else []  # which has no connection to lose
    faults = [replace(fault, number=choose.randint(1, max(1, whole.statements - 10))) for fault in [*kills, *lost]]
    rounds = [whole, *(play(arena, fault) for fault in faults)]
    print(f"seed {seed}:", *rounds, sep="\n  ")
    assert [found for showed in rounds for found in showed.violations] == []
    assert not whole.struck
