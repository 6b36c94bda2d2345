"""
One durable call: the frame that all primitives share.

``recorded`` answers a replay. Otherwise the call looks, parks or suspends, and in the end commits one checkpoint, in one
transaction with its effect. Each way that commit can go is handled here once: fenced off, recorded already (by another
owner, or by oneself in a transaction whose COMMIT reply was lost), refused with an error that is recorded in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import clock
from durable_workflows.conf import config
from durable_workflows.engine.history import Place
from durable_workflows.engine.loose import Loose
from durable_workflows.engine.raising import as_recorded
from durable_workflows.engine.services import HandedBack
from durable_workflows.exceptions import DurableError
from durable_workflows.models import checkpoints, dialects
from durable_workflows.models.checkpoints import AlreadyRecorded, Checkpoint, RecordedLast
from durable_workflows.models.reading import Recorded
from durable_workflows.models.steps import Kind
from durable_workflows.models.transactions import in_write_transaction, on_commit
from durable_workflows.models.waking import WaitFor, forget
from durable_workflows.serializers import dump_error, dumps, loads

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

FIRST_POLL, LONGEST_POLL = 0.002, 0.25  # seconds
LOOK_AFTER = 1.0  # seconds after which a call that waits looks whether its run is to go on at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a durable call did, as it goes into its checkpoint."""

    output: str | None = None
    error: str | None = None
    child_id: str | None = None


class FencedOff(Exception):
    """Rolls an effect back whose checkpoint the fence did not let pass."""


class Operation:
    """A durable call at its place in the run's history."""

    def __init__(self, execution: Execution, name: str, kind: str, place: Place, recorded: Recorded | None) -> None:
        self.execution = execution
        self.name = name
        self.kind = kind
        self.place = place
        self.recorded = recorded
        self.began = self.waits_since = clock.monotonic()
        self.loose = Loose()

    @property
    def here(self) -> Any:
        """This call's place, as a ``WaitFor`` is told it."""
        branch, position = self.place
        return {"branch": branch, "position": position}

    def payload(self, value: Any, what: str) -> str:
        """A value as it is stored; one that cannot be makes the call fail."""
        try:
            return dumps(value, what=f"{what} of {self.name}")
        except Exception as error:  # noqa: BLE001  # encoding runs users' code; whatever it raises is recorded
            self.fail(error)

    def answer(self) -> Any:
        """Return or raise what is recorded."""
        assert self.recorded is not None
        return self.execution.answer(self.recorded, self.place)

    def checkpoint(self, effect: Effect, attempts: int = 1) -> Checkpoint:
        claim = self.execution.claim
        branch, position = self.place
        kind = Kind.UNDO if self.kind == Kind.STEP and self.execution.undoing else self.kind
        return Checkpoint(
            run_id=claim.id, token=claim.token, branch=branch, position=position, name=self.name, kind=kind,
            output=effect.output, error=effect.error, child_id=effect.child_id, attempts=attempts,
            seconds=self._seconds(), undoing=self.execution.undoing,
        )  # fmt: skip

    def _seconds(self) -> float:
        """How long it has taken: with what it waited suspended, but for a step, whose last attempt counts."""
        here, waiting = clock.monotonic() - self.began, self.execution.waits.get(self.place)
        if waiting is None or self.kind == Kind.STEP:
            return here
        return max(here, waiting.since + self.execution.seconds_since_waits_were_read())

    def commit(
        self,
        work: Callable[[BaseDatabaseWrapper], Effect],
        attempts: int = 1,
        then: Callable[[BaseDatabaseWrapper], Effect | None] = lambda connection: None,
        *,
        quietly: bool = False,
    ) -> Any:
        """
        Do ``work``, write its checkpoint and do ``then`` in one transaction; return or raise what was recorded.

        An error of ours that is raised there is recorded in its place, so that a replay meets it again.

        :param then: may return what was done in the end; it has written that to the record itself.
        :param quietly: neither return nor raise it; give the effect that is recorded, which may be another owner's.
        """

        def once(connection: BaseDatabaseWrapper) -> Effect:
            effect = work(connection)
            self.settle(connection)
            self.write(connection, effect, attempts)
            return then(connection) or effect

        try:
            effect = self.execution.persistently(lambda: in_write_transaction(once))
        except AlreadyRecorded:
            effect = self._adopted()
        except FencedOff:
            self.execution.refused()
        except DurableError as error:
            self.fail(error)
        return effect if quietly else self.value(effect)

    def _adopted(self) -> Effect:
        stands = self.execution.adopted(self.name, self.place)
        return Effect(output=stands.output, error=stands.error, child_id=stands.child_id)

    def fail(self, error: BaseException) -> NoReturn:
        """Record that the call failed, and raise it."""
        record = dump_error(error)
        self.check_failed(record, self.record(Effect(error=record)))
        self.raise_as_recorded(error, record)

    def check_failed(self, record: str, stands: Effect) -> None:
        """
        See that a failure is what stands recorded here, and not what another owner's call came to.

        The other error is raised. What the other returned cannot be, where the caller has only an error to expect: a replay
        goes on with it.
        """
        if stands.error == record:
            return
        if stands.error is not None:
            self.value(stands)
        self.execution.stop(HandedBack(self.execution.claim.id))

    def raise_as_recorded(self, error: BaseException, record: str) -> NoReturn:
        """Raise an exception as a replay will."""
        met = as_recorded(error, record, self.execution.claim.id, self.name)
        self.execution.failures.note(self.place, met)
        if met is error:
            raise error
        raise met from met.__cause__  # and not from the original, which is being handled

    def record(self, effect: Effect, attempts: int = 1) -> Effect:
        """
        Write a checkpoint that has no other effect: one statement, which may join a group commit.

        :returns: what is recorded: this effect, or another one if another owner's record stands here.
        """
        if self.execution.undoing or self.loose or self.pending():  # a group knows the common fence only
            stands: Effect = self.commit(lambda connection: effect, attempts, quietly=True)
            return stands
        checkpoint = self.checkpoint(effect, attempts)
        execution = self.execution
        try:
            written = execution.persistently(lambda: execution.services.record(checkpoint))
        except AlreadyRecorded:
            return self._adopted()
        except RecordedLast:
            execution.heard = -math.inf
            return effect
        if not written:
            execution.refused()
        execution.heard = clock.monotonic()
        return effect

    def write(self, connection: BaseDatabaseWrapper, effect: Effect, attempts: int = 1) -> None:
        """
        Write the checkpoint in the open transaction.

        :raises FencedOff: if the run is no longer this attempt's; the transaction must then be rolled back.
        :raises AlreadyRecorded: if the place has a row.
        """
        try:
            if not checkpoints.record(connection, self.checkpoint(effect, attempts)):
                raise FencedOff
            self.execution.heard = clock.monotonic()
        except RecordedLast:
            self.execution.heard = -math.inf  # so that the next step asks before it does anything
        if self.pending():
            forget(connection, self.execution.claim, *self.place)

    def settle(self, connection: BaseDatabaseWrapper) -> None:
        """In the open transaction, do what a step's streams still need; once it is committed they need nothing."""
        if self.loose:
            self.loose.settle(connection, self.execution.claim, self.place)
            on_commit(partial(self.execution.services.ring, self.execution.claim.id), using=connection.alias)

    def value(self, effect: Effect) -> Any:
        """Return or raise what an effect recorded."""
        recorded = Recorded(self.name, self.kind, effect.output, effect.error, effect.child_id)
        if effect.error is None and effect.output is not None:
            return loads(effect.output, what=self.name)
        return self.execution.answer(recorded, self.place)

    def pending(self) -> bool:
        """Whether an earlier attempt has begun to wait here."""
        return self.place in self.execution.waits

    # -- waiting

    def left(self, timeout: float | None) -> float | None:
        """Seconds until the wait is over: counted from when it was begun, in whichever attempt; None: for ever."""
        waiting = self.execution.waits.get(self.place)
        if waiting is not None:
            return None if waiting.left is None else waiting.left - self.execution.seconds_since_waits_were_read()
        return None if timeout is None else timeout - (clock.monotonic() - self.waits_since)

    def wait(self, waits: Sequence[WaitFor], there: Callable[[], bool], *, timeout: float | None, fan_in: int = 0) -> bool:
        """
        Wait until ``there()``, parked or suspended; false when the time is over.

        Does not return when the run is suspended: the replay comes here again.
        """
        left = self.left(timeout)
        if left is not None and left <= 0:
            return False
        if self.execution.direct:
            return self._park(waits, there, left)
        parked = self._parking_time(left, waits)
        if parked and self._park(waits, there, parked):
            return True
        left = self.left(timeout)
        if left is not None and left <= 0:
            return False
        # What parking took of the time is not to be waited for again.
        return self.execution.suspend([replace(wait, seconds=left) if wait.seconds else wait for wait in waits], fan_in)

    def _parking_time(self, left: float | None, waits: Sequence[WaitFor]) -> float:
        longest = config().park_seconds
        only_time_ends_it = left is not None and not any(wait.source_id for wait in waits)
        if not longest or not self.execution.services.may_park() or (only_time_ends_it and (left or 0) > longest):
            return 0.0
        return min(left, longest) if left is not None else longest

    def _park(self, waits: Sequence[WaitFor], there: Callable[[], bool], seconds: float | None) -> bool:
        execution, until = self.execution, math.inf if seconds is None else clock.monotonic() + seconds
        keys = [wait.source_id for wait in waits if wait.source_id]
        rings = [*keys, execution.claim.id]  # whoever cancels the run in this process rings, too
        pause = FIRST_POLL
        while (now := clock.monotonic()) < until:
            longest = min(pause if keys else LOOK_AFTER, until - now)
            execution.services.park(rings, longest)
            if there():
                return True
            execution.check()
            if execution.direct:
                execution.look(LOOK_AFTER if clock.monotonic() - now >= longest else 0)
            pause = min(LONGEST_POLL, pause * 1.1 + FIRST_POLL)
        return False


def database() -> BaseDatabaseWrapper:
    """This thread's connection to the runs."""
    return dialects.connection()
