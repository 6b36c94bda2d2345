"""
The invariants of durable execution, checked for one family of runs after whatever happened to its workers.

The evidence is the rows as anybody may read them, and the ledger that was written outside of the engine. Each function
checks one invariant and returns what it found against it, as sentences that begin with its number. I7 (limits are never
exceeded by lease holders) is checked by ``tests.queues``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from django.db.models import Count

from durable_workflows import get_result, options, registry
from durable_workflows.context import calling
from durable_workflows.definitions import Workflow
from durable_workflows.engine.execution import Execution
from durable_workflows.engine.services import PlainServices
from durable_workflows.models import Event, Message, StepAttempt, StepRun, StreamEntry, Wait, Worker, WorkflowRun
from durable_workflows.models.claims import Claim
from durable_workflows.serializers import loads
from durable_workflows.states import TERMINAL, RunState
from tests.app.models import Account, Ledger
from tests.faults import ledger
from tests.faults.workflows import ATTEMPTS, EXTERNAL, ROWS, expected

STARTING_BALANCE = 100


@dataclass(frozen=True)
class Family:
    """
    A checkout with all the runs that it started, and what is known of it.

    :param order: its order, from which its run's id is made.
    :param facts: the ledger outside of the engine.
    :param pids: the processes that served it.
    :param injected: faults that cost no worker its lease: replies that were lost.
    :param strict: whether no process was stopped and continued. One that was may have been stopped right before a body
        that its successor has executed meanwhile.
    """

    order: str
    facts: Path
    pids: Sequence[int]
    injected: int = 0
    strict: bool = True

    @property
    def run_id(self) -> str:
        return f"checkout-{self.order}"

    @cached_property
    def runs(self) -> dict[str, WorkflowRun]:
        return {run.pk: run for run in WorkflowRun.objects.filter(pk__startswith=self.run_id)}

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        return ledger.read(self.facts, set(self.runs))

    @property
    def effects(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["fact"] == "effect"]

    @cached_property
    def faults(self) -> int:
        """How many workers were lost: the one that was killed, and any that this machine was too slow for."""
        return Worker.objects.filter(pid__in=self.pids, lost_at__isnull=False).count()

    def named(self, name: str) -> WorkflowRun | None:
        return next((run for run in self.runs.values() if run.name == f"faults.{name}"), None)


def violations(family: Family) -> list[str]:
    """Everything that is wrong with a family; empty when every invariant holds."""
    return [f"{family.order}: {found}" for check in CHECKS for found in check(family)]


def nothing_lost(family: Family) -> Iterator[str]:
    """I1: every acknowledged start has ended."""
    for name in ROWS:
        if family.named(name) is None:
            yield f"I1: no run of {name}"
    for run in family.runs.values():
        if run.status not in TERMINAL:
            yield f"I1: {run} is {run.status} {run.stranded} {run.note or ''}"
        elif run.status != RunState.SUCCESS:
            yield f"I1: {run} ended as {run.status}: {run.error} {run.note or ''}"


def one_outcome(family: Family) -> Iterator[str]:
    """I2: one outcome per run, and every reader got that one."""
    finished = Counter(line["run"] for line in family.lines if line["fact"] == "finished")
    yield from (f"I2: {run} was reported as ended {count} times" for run, count in finished.items() if count > 1)
    main, audit = family.named("checkout"), family.named("audit")
    if main is None or main.output is None:
        return
    wanted = expected(family.order, audit.pk if audit else "")
    for reader, got in (("its row", loads(main.output, what="outcome")), ("get_result", get_result(main.pk, timeout=5))):
        if got != wanted:
            yield f"I2: {reader} says {got}, not {wanted}"
    for child in (family.named("pack"), family.named("ship")):
        told = StepRun.objects.filter(run_id=main.pk, kind="result", child_id=child.pk if child else "")
        if child and [row.output for row in told] != [child.output]:
            yield f"I2: the parent got {[row.output for row in told]} of {child}, whose outcome is {child.output}"


def atomic_effects_once(family: Family) -> Iterator[str]:
    """I3: what an atomic step wrote exists exactly once, beside its record."""
    for name, steps in ROWS.items():
        run = family.named(name)
        written = Ledger.objects.filter(run_id=run.pk if run else "")
        counted = dict(written.values_list("step").annotate(count=Count("pk")))
        if counted != dict.fromkeys(steps, 1):
            yield f"I3: rows of {name}: {counted}, not one of each of {steps}"
    balance = Account.objects.get(name=family.order).balance
    if balance != STARTING_BALANCE:
        yield f"I3: the balance is {balance}, not {STARTING_BALANCE}"
    for message in Message.objects.filter(run_id__in=family.runs):
        if message.consumed_at is None:
            yield f"I3: {message} about {message.topic} was not received"
    main = family.run_id
    if (sent := Message.objects.filter(run_id=main).count()) != 2:
        yield f"I3: {sent} messages, not 2"
    if (keys := sorted(Event.objects.filter(run_id=main).values_list("key", flat=True))) != ["announced", "charged"]:
        yield f"I3: events {keys}"


def streams(family: Family) -> Iterator[str]:
    """I3, I4: what a body wrote to a stream is there once, what a step wrote at least once; offsets have no gaps."""
    entries = list(StreamEntry.objects.filter(run_id=family.run_id).order_by("offset"))
    if [entry.offset for entry in entries] != list(range(len(entries))):
        yield f"I3: the stream has gaps: {entries}"
    if not entries or [entry.closes for entry in entries] != [False] * (len(entries) - 1) + [True]:
        yield f"I3: the stream is not closed at its end: {entries}"
    values = Counter(entry.value for entry in entries if not entry.closes)
    most = 1 + family.faults + family.injected + LOCK_REPEATS
    if set(values) != {'"quoted"', '"announced"'} or values['"quoted"'] != 1 or values['"announced"'] > most:
        yield f"I4: the stream has {values} with {family.faults} lost workers"


def external_effects(family: Family) -> Iterator[str]:
    """I4: external effects happen once, and once more at most for each fault; never again after the checkpoint."""
    counted = Counter((line["run"], line["step"], line["attempt"]) for line in family.effects)
    for (run, step, attempt), count in counted.items():
        if count > 1 + family.faults + family.injected + LOCK_REPEATS:
            yield f"I4: {step} of {run}, attempt {attempt}, was executed {count} times with {family.faults} lost workers"
    for name, steps in EXTERNAL.items():
        run_row = family.named(name)
        done = {line["step"] for line in family.effects if run_row and line["run"] == run_row.pk}
        yield from (f"I4: {step} of {name} never happened" for step in steps if step not in done)
    if family.strict:
        yield from (f"I4: executed again after its checkpoint: {line}" for line in family.effects if line["itself"])


LOCK_REPEATS = 2  # bodies that the database rolled back because of another transaction


def in_order(family: Family) -> Iterator[str]:
    """I5: when a step had its effect, everything before it was recorded."""
    for line in family.effects:
        if line["earlier"] != line["position"] - 1:
            yield f"I5: only {line['earlier']} positions were recorded when this happened: {line}"


def nothing_after_the_lease(family: Family) -> Iterator[str]:
    """I6: each place of a history was written once, and each row of an atomic step by the execution that is recorded."""
    for run in family.runs.values():
        positions = sorted(StepRun.objects.filter(run_id=run.pk).values_list("position", flat=True))
        if positions != list(range(1, len(positions) + 1)):
            yield f"I6: the history of {run} has the positions {positions}"
    nonces = {line["nonce"] for line in family.effects}
    for row in Ledger.objects.filter(run_id__in=family.runs):
        if row.note not in nonces:
            yield f"I6: {row} was written by nobody's body"


def nobody_stuck(family: Family) -> Iterator[str]:
    """I8: nothing is held or owned any more, nor waited for, except by what may be resumed to go on waiting."""
    for run in family.runs.values():
        if run.status in (RunState.RUNNING, RunState.CANCELLING):
            yield f"I8: {run} is held by {run.worker_id}"
    resumable = [RunState.CANCELLED, RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED]
    if waits := list(Wait.objects.filter(run_id__in=family.runs).exclude(run__status__in=resumable)):
        yield f"I8: waits were left behind: {waits}"


def charged_when_started(family: Family) -> Iterator[str]:
    """I9: a lost worker is charged to what it had claimed, at most once each time; retries count what failed."""
    for run in family.runs.values():
        if not 1 <= run.recovery_attempts <= min(1 + family.faults, run.attempt):
            yield f"I9: {run} counts {run.recovery_attempts} recoveries, {run.attempt} claims, {family.faults} faults"
    failed = sorted(StepAttempt.objects.filter(run_id__in=family.runs).values_list("attempt", flat=True))
    if failed != list(range(1, ATTEMPTS)):
        yield f"I9: failed attempts {failed}"


def same_again(family: Family) -> Iterator[str]:
    """I10: the code, answered by the rows alone, comes to the recorded outcome."""
    for run in family.runs.values():
        if run.status != RunState.SUCCESS:
            continue
        try:
            outcome = replayed(run)
        except BaseException as error:  # noqa: BLE001  # whatever stops the replay is a finding
            yield f"I10: the replay of {run} stopped: {error!r}"
        else:
            if outcome != loads(run.output or "null", what="outcome"):
                yield f"I10: the replay of {run} came to {outcome}"


CHECKS = (
    nothing_lost, one_outcome, atomic_effects_once, streams, external_effects, in_order, nothing_after_the_lease, nobody_stuck,
    charged_when_started, same_again,
)  # fmt: skip


class _FromRowsAlone(PlainServices):
    """A replay of a finished run records nothing and waits for nothing."""

    def record(self, checkpoint: Any) -> NoReturn:
        raise AssertionError(f"the replay wants to record {checkpoint}")

    def may_park(self) -> bool:
        return False


def replayed(run: WorkflowRun) -> Any:
    """
    What the code returns, answered by the recorded history alone.

    :raises ControlFlow: if the code takes another path than the recorded one, or has to wait.
    """
    definition = registry.find(run.name)
    assert isinstance(definition, Workflow)
    execution = Execution(_claim(run), _FromRowsAlone(), direct=False, inline=_never)
    stored = loads(run.inputs or "", what="arguments")
    with options.none_set(), calling(execution):
        outcome = definition.func(*stored["args"], **stored["kwargs"])
    execution.history.check_used_up(execution.branch, execution.position)
    if execution.stopped is not None:
        raise execution.stopped
    return outcome


def _claim(run: WorkflowRun) -> Claim:
    """A second attempt's, with a token that no fence lets pass."""
    return Claim(
        id=run.pk, name=run.name, inputs=run.inputs, queue=run.queue, attempt=2, generation=run.generation,
        deadline=None, parent_id=run.parent_id, user=run.user, forked_from=None, fan_in=0, recovery_attempts=1,
        token="replay", worker_id="replay",
    )  # fmt: skip


def _never(*args: Any) -> NoReturn:
    raise AssertionError("a replay runs no child")
