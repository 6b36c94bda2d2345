"""
One attempt of one run: what the workflow's body finds when it makes a durable call.

A call takes the next position. If the history has it, it answers; else it happens, and its checkpoint says so. Once the
attempt is stopped, because it suspends, lost its lease or took another path, each further call only raises the same
again and records nothing: ``finally`` blocks and ``except BaseException`` cannot undo a suspension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from threading import get_ident
from typing import Any, NoReturn, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import clock
from durable_workflows.context import Caller, Current
from durable_workflows.debouncing import Debounce
from durable_workflows.definitions import Step, Workflow
from durable_workflows.engine import (
    awaiting,
    children,
    continuing,
    debouncing,
    each,
    keeping,
    managing,
    messaging,
    pauses,
    sagas,
    scheduling,
    selecting,
    steps,
    streaming,
)
from durable_workflows.engine.failures import Failures
from durable_workflows.engine.history import Diverged, History, Place, Unreadable, answer, is_cancellation
from durable_workflows.engine.operations import Operation
from durable_workflows.engine.services import HandedBack, Services, persistently, remembered
from durable_workflows.exceptions import ControlFlow, InvalidUse, LeaseLost, Suspended, WorkflowCancelled
from durable_workflows.models import checkpoints, claims, dialects, leftovers, reading, sweeps
from durable_workflows.models.claims import Claim
from durable_workflows.models.reading import Recorded, Waiting
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.models.waking import WaitFor
from durable_workflows.options import StartOptions
from durable_workflows.states import RunState
from durable_workflows.talk import Alternatives, Selected, SendMessage

T = TypeVar("T")
LOOK_AFTER = 0.1  # seconds for which what an attempt last heard of its run is taken for true
RunInline = Callable[[Workflow, Claim, Services, bool], Any]


class _Attributes(Mapping[str, Any]):
    """A run's attributes, read when first asked for."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    @cached_property
    def _stored(self) -> dict[str, Any]:
        return reading.attributes(dialects.connection(), self._run_id)

    def __getitem__(self, key: str) -> Any:
        return self._stored[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


class Execution(Caller):
    """
    One attempt of one run.

    :param claim: the right to execute it.
    :param direct: whether somebody called it and waits: it then never unwinds its caller, its waits keep the thread.
    :param inline: runs a child in this thread.
    """

    def __init__(self, claim: Claim, services: Services, *, direct: bool, inline: RunInline) -> None:
        self.claim = claim
        self.services = services
        self.direct = direct
        self._inline = inline
        self.branch = ""
        self.position = 0
        self.stopped: ControlFlow | None = None
        self.ended = False  # by the step that is the whole run
        self.waiting_for: list[WaitFor] = []
        self.fan_in = 0
        self.sagas = sagas.Standing(claim.saga)
        self.failures = Failures()
        self.undoing = False  # undo steps are being called: they may run although the run is cancelled
        self.loops: list[each.Loop] = []  # over many rows
        self.left: each.Left | None = None  # one that was left before its end
        self.repeats = 0  # how often this attempt may yet begin again because of another transaction
        self.new_inputs: str | None = None  # the arguments with which to begin anew
        self.started_here: set[str] = set()
        self._waits: Mapping[Place, Waiting] | None = None if claim.has_history else {}
        self._waits_read_at = self.heard = clock.monotonic()
        self._connection, self._thread = dialects.connection(), get_ident()
        self._depth = len(self._connection.atomic_blocks)
        self.history = History(self._load_history() if claim.has_history else {})

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """This thread's connection to the runs; an attempt's own thread need not look it up at each turn."""
        return self._connection if get_ident() == self._thread else dialects.connection()

    def others_see_it(self) -> bool:
        """Whether this attempt's writes can be seen on other connections: not in a ``TestCase``'s transaction."""
        return not self._depth

    @property
    def is_at_home(self) -> bool:
        """Whether this is the thread that executes the attempt, and not one that only writes its outcome."""
        return get_ident() == self._thread

    def _load_history(self) -> Mapping[Place, Recorded]:
        return self.persistently(lambda: reading.history(dialects.connection(), self.claim))

    @property
    def waits(self) -> Mapping[Place, Waiting]:
        """What earlier attempts have begun to wait for; read when first asked for."""
        if self._waits is None:
            self._waits = self.persistently(lambda: reading.waits(dialects.connection(), self.claim))
            self._waits_read_at = clock.monotonic()
        return self._waits

    def seconds_since_waits_were_read(self) -> float:
        """How much less than it said is left of a wait that an earlier attempt had begun."""
        return clock.monotonic() - self._waits_read_at

    # -- the frame of every durable call

    def operation(self, name: str, kind: str) -> Operation:
        """Take the next position for a durable call, which must be allowed here and now."""
        self.check()
        if self.left is not None:
            each.account_for(self, self.left)
        self.position += 1
        place = (self.branch, self.position)
        try:
            recorded = self.history.at(place, name)
        except Diverged as diverged:
            self.stop(diverged)
        if recorded is None:
            sagas.before_new(self)
        elif is_cancellation(recorded):
            sagas.meet_cancellation(self)
        return Operation(self, name, kind, place, recorded)

    def check(self) -> None:
        """Raise whatever stops this attempt, before anything happens."""
        if self.stopped is not None:
            raise self.stopped
        connection = self.connection
        if len(connection.atomic_blocks) > self._depth or leftovers.has_no_autocommit(connection):
            raise InvalidUse(
                "A durable call was made inside the workflow body's own transaction, atomic() or without autocommit, whose"
                " rollback would undo its record. Move the transaction into a step."
            )
        if not self.services.holds_lease():
            self.stop(LeaseLost(self.claim.id))
        if self.services.stopping():
            self.stop(HandedBack(self.claim.id))

    def look(self, after: float | None = None) -> None:
        """
        Stop this attempt if its run is cancelled, overdue or another's: no fence takes back what a body does elsewhere.

        :param after: seconds since the attempt last heard of its run, before which its row is not asked; None: a moment,
            so that quick steps cost nothing more.
        """
        if self._is_overdue() and not self.undoing:
            self.persistently(lambda: in_write_transaction(sweeps.cancel_overdue))
        elif clock.monotonic() - self.heard < (LOOK_AFTER if after is None else after):
            return
        holds = reading.may_undo if self.undoing else reading.holds
        if not self.persistently(lambda: holds(dialects.connection(), self.claim.id, self.claim.token)):
            self.refused()
        self.heard = clock.monotonic()

    def _is_overdue(self) -> bool:
        """By this machine's clock, which only says that the database is to be asked."""
        return self.claim.deadline is not None and clock.real_now() >= self.claim.deadline

    def stop(self, reason: ControlFlow) -> NoReturn:
        """End this attempt for ``reason``, whatever the body makes of the exception."""
        self.stopped = self.stopped or reason
        raise self.stopped

    def suspend(self, waits: Sequence[WaitFor], fan_in: int = 0) -> NoReturn:
        """Give up the thread until one of these comes about; the runner does it once the body is unwound."""
        self.waiting_for, self.fan_in = list(waits), fan_in
        self.stop(Suspended(f"Run {self.claim.id!r} waits."))

    def refused(self) -> NoReturn:
        """The fence let nothing pass: find out why, and stop."""
        found = self.persistently(lambda: reading.owner(dialects.connection(), self.claim.id))
        self.sagas.cancelling = found == (RunState.CANCELLING, self.claim.token)
        if found is not None and found[0] in (RunState.PAUSED, RunState.RUNNING) and found[1] == self.claim.token:
            # It is paused, or was until now: nobody need wait for this attempt any more.
            self.persistently(lambda: in_autocommit(claims.hand_back, [self.claim]))
        if self.sagas.cancelling or (found is not None and found[0] == RunState.CANCELLED):
            self.stop(WorkflowCancelled(self.claim.id))
        self.stop(LeaseLost(self.claim.id))

    def persistently(self, work: Callable[[], T]) -> T:
        """Do engine work again while the database is away; stop when the lease runs out meanwhile."""
        try:
            return persistently(work, self.services, lambda: LeaseLost(self.claim.id))
        except LeaseLost as lost:
            self.stop(lost)

    def answer(self, recorded: Recorded, place: Place) -> Any:
        """Return or raise what is recorded at a place."""
        try:
            return answer(recorded, f"step {place[1]}, {recorded.name!r}, of run {self.claim.id!r}")
        except Unreadable as unreadable:
            self.stop(unreadable)
        except Exception as error:
            self.failures.note(place, error)
            raise

    def adopt(self, name: str, place: Place) -> Any:
        """Return or raise what stands where this attempt wanted to write."""
        return self.answer(self.adopted(name, place), place)

    def adopted(self, name: str, place: Place) -> Recorded:
        """A row stands where this attempt wanted to write: its own, after a lost reply, or another owner's. Take it."""
        generation = self.claim.generation
        row = self.persistently(lambda: checkpoints.recorded(dialects.connection(), self.claim.id, generation, place))
        if row is None:
            self.stop(LeaseLost(self.claim.id))
        recorded = Recorded(row.name, row.kind, row.output, row.error, row.child_id)
        if is_cancellation(recorded) and name != recorded.name:  # another owner undoes what was done
            self.refused()
        try:
            History({place: recorded}).at(place, name)
        except Diverged as diverged:
            self.look(0)  # whoever rewound the run left something there, so that its former owner cannot write it any more
            self.stop(diverged)
        return recorded

    def is_recorded(self, place: Place) -> bool:
        """Whether a place has a row by now."""
        claim = self.claim
        return checkpoints.recorded(dialects.connection(), claim.id, claim.generation, place) is not None

    def forget_wait(self, place: Place) -> None:
        """A wait that an earlier attempt had begun is over."""
        self._waits = {known: waiting for known, waiting in self.waits.items() if known != place}

    def run_inline(self, workflow: Workflow, claim: Claim) -> None:
        """Run a child in this thread, as far as it goes without a long wait."""
        with remembered(self.services, claim.id):
            self._inline(workflow, claim, self.services, self.direct)

    # -- the verbs of the door

    def current(self) -> Current:
        return self.describe(None, 1, 1)

    def describe(self, step_id: int | None, attempt: int, max_attempts: int) -> Current:
        claim = self.claim
        return Current(
            workflow_id=claim.id, step_id=step_id, attempt=attempt, max_attempts=max_attempts,
            idempotency_key=claim.key(step_id or self.position, step_id or self.position), deadline=claim.deadline,
            queue=claim.queue, user=claim.user, parent_id=claim.parent_id,
            attributes=_Attributes(claim.id),
        )  # fmt: skip

    def call_step(self, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return steps.call(self, step, args, kwargs)

    def call_workflow(self, workflow: Workflow, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return children.call_child(self, workflow, (args, kwargs))

    def start(self, target: Workflow | Step | str, call: Any, options: StartOptions) -> str:
        return children.start(self, target, call, options)

    def start_many(self, target: Workflow | Step | str, calls: Sequence[Any], options: StartOptions) -> list[str]:
        return children.start_many(self, target, calls, options)

    def debounce(self, target: Workflow | Step | str, call: Any, options: StartOptions, wish: Debounce) -> str:
        return debouncing.debounce(self, target, call, options, wish)

    def result(self, workflow_id: str, timeout: float | None) -> Any:
        return awaiting.result(self, workflow_id, timeout)

    def wait_first(self, workflow_ids: Sequence[str], timeout: float | None) -> str:
        return awaiting.first(self, workflow_ids, timeout)

    def send(self, workflow_id: str, message: Any, topic: str | None, key: str | None) -> None:
        messaging.send(self, workflow_id, message, (topic, key))

    def recv(self, topic: str | None, timeout: float | None, default: Any) -> Any:
        return messaging.recv(self, topic, timeout, default)

    def set_event(self, key: str, value: Any) -> None:
        messaging.set_event(self, key, value)

    def get_event(self, workflow_id: str, key: str, timeout: float | None, default: Any) -> Any:
        return messaging.get_event(self, (workflow_id, key), timeout, default)

    def send_many(self, messages: Sequence[SendMessage]) -> None:
        messaging.send_many(self, messages)

    def get_all_events(self, workflow_id: str) -> dict[str, Any]:
        return messaging.get_all_events(self, workflow_id)

    def write_stream(self, key: str, value: Any) -> None:
        streaming.write(self, key, value)

    def close_stream(self, key: str) -> None:
        streaming.close(self, key)

    def read_stream(self, workflow_id: str, key: str, offset: int, timeout: float | None) -> Iterator[Any]:
        awaiting.check_timeout(timeout)
        return streaming.read(self, (workflow_id, key), offset, timeout)

    def select(self, wanted: Alternatives, timeout: float | None) -> Selected | None:
        return selecting.select(self, wanted, timeout)

    def sleep(self, seconds: float) -> None:
        pauses.sleep(self, seconds)

    def sleep_until(self, moment: datetime) -> None:
        pauses.sleep_until(self, moment)

    def saga(self) -> sagas.Saga:
        return sagas.Saga(self)

    def continue_as_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        continuing.ask(self, args, kwargs)

    def each(self, rows: Iterable[Any], batch: int) -> Iterable[Any]:
        return each.through(self, rows, batch)

    def manage(self, verb: str, workflow_ids: Sequence[str], options: Mapping[str, Any]) -> Any:
        return managing.manage(self, verb, workflow_ids, options)

    def keep(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        return keeping.perform(self, verb, arguments)

    def schedule(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        return scheduling.perform(self, verb, arguments)
