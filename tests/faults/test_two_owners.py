"""
Two workers hold one run: the first was stopped (SIGSTOP) past its lease, and is continued when the other has finished.

On SQLite a process that is stopped inside a transaction keeps the file's write lock. It is the kernel's, ends only with
that process, and no other can take it: nobody writes until then, and there is nothing to hold a test against. What can
hold there, and is tested, is a worker that is stopped outside of its transactions, right before it begins one: its
threads queue for their turn to write, so that none of the others is inside of one at that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.app.models import Ledger
from tests.faults import ledger
from tests.faults.arena import Arena
from tests.faults.killer import CLAIMING, KEEPING, Fault
from tests.faults.rounds import Round, play_all
from tests.faults.sampling import sampled, tell
from tests.faults.settings import LEASE_SECONDS

SAMPLE = 2
FINISHES_WITHIN = 10.0  # seconds past the lease, on a machine that has time for it
FIRST_STEP = "reserve"  # which writes two rows

# With how many statements of a checkout it may be, about: in a round that sends fewer, it is the last one's turn.
ANYWHERE = {
    "sqlite": (Fault(act="stop", when="before", matching="BEGIN IMMEDIATE"), 30),
    "postgresql": (Fault(act="stop"), 210),
    "mariadb": (Fault(act="stop"), 240),
}
AFTER_A_WRITE = Fault(act="stop", when="after", number=1, matching="UPDATE .tests_app_account")
PAST_THE_FENCE = Fault(act="stop", when="after", number=1, matching="INSERT INTO durable_workflows_steprun")
COMMITTED = Fault(act="stop", when="after", number=1, matching="COMMIT")
# What is locked then are rows of runs that are nobody's as yet.
KEEPING_HOUSE = Fault(act="stop", when="after", number=1, threads=KEEPING, matching="UPDATE .durable_workflows_workflowrun")
CLAIMING_A_RUN = Fault(act="stop", when="after", number=1, threads=CLAIMING, matching=r"(WITH picked|UPDATE durable)")


@pytest.fixture
def ends_sessions(database: str) -> None:
    """Only a database with sessions can end one that belongs to a stopped process."""
    if database == "sqlite":
        pytest.skip("A process stopped inside a transaction keeps the file's write lock; nobody can take it from it.")


def test_a_run_whose_worker_is_stopped_anywhere_is_finished_by_another(
    arena: Arena, seed: int, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    anywhere, statements = ANYWHERE[database]
    rounds = play_all(arena, sampled(anywhere, statements, SAMPLE, seed))
    tell(rounds, seed, capsys)
    assert_finished_by_the_other(arena, rounds)


@pytest.mark.usefixtures("ends_sessions")
def test_a_steps_open_transaction_is_rolled_back_when_its_worker_is_stopped_past_its_lease(arena: Arena) -> None:
    rounds = play_all(arena, [AFTER_A_WRITE, PAST_THE_FENCE, COMMITTED])
    assert_finished_by_the_other(arena, rounds)
    rolled_back, fenced, landed = (Evidence.of(arena, done) for done in rounds)
    # Executed by both, and what stands there is the other one's; or, if it was committed before the takeover, once.
    assert rolled_back == fenced == Evidence(executed_by=["stopped", "other"], row_of="other")
    assert landed == Evidence(executed_by=["stopped"], row_of="stopped")


@pytest.mark.usefixtures("ends_sessions")
def test_rows_that_a_stopped_worker_has_locked_are_free_again_though_it_held_no_run(arena: Arena) -> None:
    assert_finished_by_the_other(arena, play_all(arena, [KEEPING_HOUSE, CLAIMING_A_RUN]))


def assert_finished_by_the_other(arena: Arena, rounds: Sequence[Round]) -> None:
    """Every invariant holds, soon enough, and the stopped workers (see ``rounds``) have worked on under new ids."""
    assert [found for done in rounds for found in done.violations] == []
    assert all(done.struck for done in rounds)
    allowed = LEASE_SECONDS + FINISHES_WITHIN * arena.slowness
    assert [str(done) for done in rounds if done.recovered > allowed] == []


@dataclass(frozen=True)
class Evidence:
    """Who executed the first step's body, in order, and whose row of it stands in the database."""

    executed_by: list[str]
    row_of: str

    @classmethod
    def of(cls, arena: Arena, done: Round) -> Evidence:
        run_id = f"checkout-{done.order}"
        facts = [fact for fact in ledger.read(arena.ledger, {run_id}) if fact.get("step") == FIRST_STEP]
        who = {fact["nonce"]: "stopped" if fact["pid"] == done.pid else "other" for fact in facts}
        return cls(list(who.values()), who[Ledger.objects.get(run_id=run_id, step=FIRST_STEP).note])
