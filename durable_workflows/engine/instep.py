"""
What a step's body finds when it makes a durable call: what it does is part of the step.

``send``, ``set_event`` and ``start_workflow`` join the step's transaction, so they happen if and only if it commits.
Waiting would hold that transaction, and is an error. Only what is written to a stream can be read before the step is done:
tokens must not wait for the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.context import Caller, Current
from durable_workflows.debouncing import Debounce
from durable_workflows.definitions import Step, Workflow
from durable_workflows.engine import keeping, managing, messaging, outpouring, scheduling
from durable_workflows.engine.debouncing import debounced_run
from durable_workflows.engine.operations import Operation, database
from durable_workflows.engine.starting import Parent, child_id, inserted, new_run, new_runs
from durable_workflows.exceptions import InvalidUse, NotInWorkflow
from durable_workflows.models import correspondence, reading, starts
from durable_workflows.models.putting_off import put_off
from durable_workflows.models.transactions import in_write_transaction, on_commit
from durable_workflows.options import StartOptions
from durable_workflows.serializers import dumps, loads
from durable_workflows.states import RunState
from durable_workflows.talk import Alternatives, SendMessage


class InStep(Caller):
    """One attempt of one step."""

    def __init__(self, operation: Operation, step: Step, attempt: int) -> None:
        self.execution = operation.execution
        self.operation = operation
        self.atomic = step.atomic
        self.attempt = attempt
        self.max_attempts = step.retry.max_attempts
        self._started = 0

    def current(self) -> Current:
        return self.execution.describe(self.operation.place[1], self.attempt, self.max_attempts)

    def call_step(self, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return step.func(*args, **kwargs)

    def call_workflow(self, workflow: Workflow, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        raise InvalidUse(
            f"The workflow {workflow.name!r} was called inside the step {self.operation.name!r}, which would have to wait for"
            " it. Start it with start_workflow(), or call it from the workflow's body."
        )

    def start(self, target: Workflow | Step | str, call: Any, options: StartOptions) -> str:
        self._started += 1
        run = new_run(target, call, options, self._parent(self._started))
        return in_write_transaction(inserted, run, options)

    def start_many(self, target: Workflow | Step | str, calls: Sequence[Any], options: StartOptions) -> list[str]:
        runs = new_runs(target, calls, options, lambda number: self._parent(self._started + number))
        self._started += len(runs)
        in_write_transaction(starts.insert, runs)
        return [run.id for run in runs]

    def debounce(self, target: Workflow | Step | str, call: Any, options: StartOptions, wish: Debounce) -> str:
        self._started += 1
        run = debounced_run(target, call, options, wish, replace(self._parent(self._started), deadline=None))
        return in_write_transaction(put_off, run, wish.period, wish.timeout)

    def _parent(self, number: int) -> Parent:
        """The same child id in each attempt of the step, so that one that is repeated does not start a second child."""
        claim = self.execution.claim
        own_id = child_id(claim, *self.operation.place, number)
        return Parent(id=claim.id, child_id=own_id, deadline=claim.deadline, user=claim.user)

    def send(self, workflow_id: str, message: Any, topic: str | None, key: str | None) -> None:
        payload = dumps(message, what=f"message in step {self.operation.name!r}")
        sender = self.execution.claim.id
        in_write_transaction(
            lambda connection: correspondence.deliver(
                connection, workflow_id, topic or "", payload=payload, key=key, sender_id=sender
            )
        )
        self._ring(workflow_id)

    def send_many(self, messages: Sequence[SendMessage]) -> None:
        letters = messaging.letters(messages, f"in step {self.operation.name!r}")
        in_write_transaction(correspondence.deliver_many, letters, self.execution.claim.id)
        for workflow_id in {letter.run_id for letter in letters}:
            self._ring(workflow_id)

    def set_event(self, key: str, value: Any) -> None:
        payload = dumps(value, what=f"event {key!r} in step {self.operation.name!r}")
        claim, place = self.execution.claim, self.operation.place
        messaging.check_key(key)
        in_write_transaction(lambda connection: correspondence.publish(connection, claim, key, value=payload, place=place))
        self._ring(claim.id)

    def get_event(self, workflow_id: str, key: str, timeout: float | None, default: Any) -> Any:
        if timeout != 0:
            self._refuse("get_event")
        payload = correspondence.latest(database(), workflow_id, key)
        return default if payload is None else loads(payload, what=f"event {key!r} of {workflow_id!r}")

    def get_all_events(self, workflow_id: str) -> dict[str, Any]:
        return messaging.all_events(correspondence.all_latest(database(), workflow_id), workflow_id)

    def write_stream(self, key: str, value: Any) -> None:
        outpouring.write(self.operation, key, dumps(value, what=f"value of stream {key!r} in step {self.operation.name!r}"))

    def close_stream(self, key: str) -> None:
        if key not in self.operation.loose.closing:
            self.operation.loose.closing.append(key)

    def read_stream(self, workflow_id: str, key: str, offset: int, timeout: float | None) -> Iterator[Any]:
        if timeout != 0:
            self._refuse("read_stream")
        return outpouring.there_now((workflow_id, key), offset)

    def select(self, wanted: Alternatives, timeout: float | None) -> NoReturn:
        self._refuse("select")

    def recv(self, topic: str | None, timeout: float | None, default: Any) -> NoReturn:
        self._refuse("recv")

    def result(self, workflow_id: str, timeout: float | None) -> NoReturn:
        self._refuse("get_result")

    def wait_first(self, workflow_ids: Sequence[str], timeout: float | None) -> NoReturn:
        self._refuse("wait_first")

    def sleep(self, seconds: float) -> NoReturn:
        self._refuse("sleep")

    def sleep_until(self, moment: datetime) -> NoReturn:
        self._refuse("sleep_until")

    def saga(self) -> NoReturn:
        raise NotInWorkflow("saga", self._where)

    def continue_as_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        raise NotInWorkflow("continue_as_new", self._where)

    def each(self, rows: Iterable[Any], batch: int) -> NoReturn:
        raise NotInWorkflow("durable_each", self._where)

    def manage(self, verb: str, workflow_ids: Sequence[str], options: Mapping[str, Any]) -> Any:
        begun = self._started
        deed = managing.Deed(verb, workflow_ids, options, lambda number: self._parent(begun + number).child_id)
        self._started += len(deed.new_ids)

        def act(connection: BaseDatabaseWrapper) -> Any:
            came = deed(connection)
            self._refuse_to_end_itself(connection, verb)
            return came

        return in_write_transaction(act)

    def keep(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        return keeping.Deed(verb, arguments).carried_out()

    def schedule(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        deed = scheduling.Deed(verb, arguments)
        return deed(database()) if deed.reads else in_write_transaction(deed)

    def _refuse_to_end_itself(self, connection: BaseDatabaseWrapper, verb: str) -> None:
        claim = self.execution.claim
        if (
            self.atomic
            and not self.execution.undoing
            and reading.owner(connection, claim.id) != (RunState.RUNNING, claim.token)
        ):
            raise InvalidUse(
                f"The step {self.operation.name!r} took its own run away from itself, so that what it does is rolled back,"
                f" and that with it. Call {verb}_workflow() in the workflow's body, after the step."
            )

    @property
    def _where(self) -> str:
        return f"inside the step {self.operation.name!r}"

    def _refuse(self, primitive: str) -> NoReturn:
        raise NotInWorkflow(primitive, f"{self._where}, where waiting would hold its transaction")

    def _ring(self, run_id: str) -> None:
        on_commit(lambda: self.execution.services.ring(run_id), using=database().alias)
