"""A worker is killed, or its replies are lost, at the n-th statement of a checkout: a sample; ``every_kill`` takes every n."""

from __future__ import annotations

import pytest

from tests.faults.arena import Arena
from tests.faults.killer import BESIDE, CLAIMING, Fault
from tests.faults.rounds import play, play_all
from tests.faults.sampling import sampled, tell

KILLS, LOST_REPLIES, LOST_CLAIMS = 4, 2, 1
CLAIMING_STATEMENTS = 20  # of a checkout, about
BESIDE_STATEMENTS = {"postgresql": 10, "mariadb": 20}
KILL, DROP, DROP_CLAIM = Fault(act="kill"), Fault(act="drop"), Fault(act="drop", threads=CLAIMING)
DROP_BESIDE = Fault(act="drop", threads=BESIDE)


def test_a_checkout_survives_kills_and_lost_replies_at_any_statement(
    arena: Arena, seed: int, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = play(arena, Fault())
    faults = sampled(KILL, whole.statements, KILLS, seed)
    if database != "sqlite":  # which has no connection to lose
        faults += sampled(DROP, whole.statements, LOST_REPLIES, seed)
        faults += sampled(DROP_CLAIM, CLAIMING_STATEMENTS, LOST_CLAIMS, seed)
        faults += sampled(DROP_BESIDE, BESIDE_STATEMENTS[database], LOST_CLAIMS, seed)
    rounds = [whole, *play_all(arena, faults)]
    tell(rounds, seed, capsys)
    assert [found for done in rounds for found in done.violations] == []
    assert [done.struck for done in rounds] == [False, *[True] * len(faults)]
