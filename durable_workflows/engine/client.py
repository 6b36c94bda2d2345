"""
The world outside of any workflow: starting, calling, sending, waiting.

What is written here joins the caller's transaction, and exists if and only if it commits. What waits would wait for ever
inside one, and is refused there with an error that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from durable_workflows import clock, runtime
from durable_workflows import options as start_options
from durable_workflows.context import Caller, Current
from durable_workflows.debouncing import Debounce
from durable_workflows.definitions import Step, Workflow
from durable_workflows.engine import awaiting, children, following, keeping, managing, messaging, scheduling, selecting
from durable_workflows.engine.debouncing import debounced_run
from durable_workflows.engine.operations import FIRST_POLL, LONGEST_POLL
from durable_workflows.engine.runner import run
from durable_workflows.engine.services import PlainServices, persistently, remembered
from durable_workflows.engine.starting import Lease, begun, inserted, new_run, new_runs
from durable_workflows.exceptions import InvalidUse, NotInWorkflow, WorkflowNotFound
from durable_workflows.ids import new_run_id, new_token
from durable_workflows.models import correspondence, dialects, reading, starts
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.putting_off import put_off
from durable_workflows.models.reading import Outcome
from durable_workflows.models.transactions import in_autocommit, in_write_transaction, on_commit, refuse_atomic
from durable_workflows.options import StartOptions
from durable_workflows.serializers import dumps, loads
from durable_workflows.talk import Alternatives, Selected, SendMessage

T = TypeVar("T")


class Outside(Caller):
    """The caller of the door outside of any workflow."""

    def current(self) -> Current | None:
        return None

    # -- starting

    def start(self, target: Workflow | Step | str, call: Any, options: StartOptions) -> str:
        run = new_run(target, call, options)
        runtime.local()  # hears of what becomes claimable, and hints to the workers
        connection = dialects.connection()
        if connection.in_atomic_block:
            return inserted(connection, run, options)
        return self._persistently(lambda: in_autocommit(inserted, run, options))

    def start_many(self, target: Workflow | Step | str, calls: Sequence[Any], options: StartOptions) -> list[str]:
        runs = new_runs(target, calls, options, lambda number: None)
        runtime.local()
        self._persistently(lambda: in_write_transaction(starts.insert, runs))
        return [run.id for run in runs]

    def debounce(self, target: Workflow | Step | str, call: Any, options: StartOptions, wish: Debounce) -> str:
        run = debounced_run(target, call, options, wish)
        runtime.local()
        return self._persistently(lambda: in_write_transaction(put_off, run, wish.period, wish.timeout))

    def call_workflow(self, workflow: Workflow, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        connection = dialects.connection()
        refuse_atomic(connection, f"{workflow.name} was called", _inside_atomic)
        services = runtime.local().services()
        lease = Lease(worker_id=services.worker_id or new_token(), token=new_token(), session=services.session)
        leased = new_run(workflow, (args, kwargs), start_options.taken(), lease=lease)
        leased = begun(leased, lambda: self._persistently(lambda: reading.database_now(dialects.connection())))
        came = None
        if self._persistently(lambda: in_autocommit(_insert_leased, leased)) or self._is_there(leased):
            with remembered(services, leased.id):
                came = run(workflow, children.claim_of(leased), services, True)
        if came is None:
            return self.result(leased.id, None)
        if came.error is not None:
            raise came.error
        return came.value

    def _is_there(self, leased: NewRun) -> bool:
        """Whether what has taken the id is this very call, inserted by a statement whose reply was lost."""
        return self._persistently(lambda: reading.holds(dialects.connection(), leased.id, leased.token or ""))

    def call_step(self, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return step.func(*args, **kwargs)

    # -- waiting

    def result(self, workflow_id: str, timeout: float | None) -> Any:
        outcome = self._wait_for([workflow_id], timeout, "waiting for a result").get(workflow_id)
        if outcome is None:
            raise WorkflowNotFound(workflow_id)
        return awaiting.answer_of(workflow_id, outcome)

    def wait_first(self, workflow_ids: Sequence[str], timeout: float | None) -> str:
        return awaiting.first_ended(workflow_ids, self._wait_for(workflow_ids, timeout, "waiting for a run"))

    def _wait_for(self, ids: Sequence[str], timeout: float | None, doing: str) -> Mapping[str, Outcome]:
        awaiting.check_timeout(timeout)

        def look() -> Mapping[str, Outcome] | None:
            found = reading.outcomes(dialects.connection(), ids)
            if awaiting.settled(ids, found):
                return found
            refuse_atomic(dialects.connection(), doing, _inside_atomic)
            return None

        found = self._poll(look, ids, timeout)
        if found is None:
            raise TimeoutError(f"None of the runs {', '.join(map(repr, ids[:5]))} ended within {timeout} seconds.")
        return found

    def get_event(self, workflow_id: str, key: str, timeout: float | None, default: Any) -> Any:
        awaiting.check_timeout(timeout)

        def look() -> str | None:
            found = correspondence.latest(dialects.connection(), workflow_id, messaging.check_key(key))
            if found is None and timeout != 0:
                refuse_atomic(dialects.connection(), "waiting for an event", _inside_atomic)
            return found

        payload = self._poll(look, [workflow_id], timeout)
        return default if payload is None else loads(payload, what=f"event {key!r} of {workflow_id!r}")

    def get_all_events(self, workflow_id: str) -> dict[str, Any]:
        stored = self._persistently(lambda: correspondence.all_latest(dialects.connection(), workflow_id))
        return messaging.all_events(stored, workflow_id)

    def read_stream(self, workflow_id: str, key: str, offset: int, timeout: float | None) -> Iterator[Any]:
        awaiting.check_timeout(timeout)

        def refuse() -> None:
            refuse_atomic(dialects.connection(), "waiting for a stream", _inside_atomic)

        return following.follow((workflow_id, key), offset, timeout, refuse, self._persistently)

    def select(self, wanted: Alternatives, timeout: float | None) -> Selected | None:
        awaiting.check_timeout(timeout)
        if wanted.topics:
            raise NotInWorkflow("select(recv=...)")

        def look() -> selecting.Came | None:
            came = selecting.first(dialects.connection(), wanted, None)
            if came is None and timeout != 0:
                refuse_atomic(dialects.connection(), "waiting for the first of several", _inside_atomic)
            return came

        keys = [*(run_id for run_id, _ in wanted.events), *wanted.workflow_ids]
        came = self._poll(look, keys, timeout)
        if came is None:
            return None
        kind, key, payload = came
        return selecting.selected(kind, key, loads(payload or "null", what=f"{kind} {key!r}"))

    def _poll(self, look: Callable[[], T | None], keys: Sequence[str], timeout: float | None) -> T | None:
        """Look, less often the longer it takes: at a tenth of the elapsed time, and at once when a hint comes."""
        began = clock.monotonic()
        while True:
            found = self._persistently(look)
            elapsed = clock.monotonic() - began
            if found is not None or (timeout is not None and elapsed >= timeout):
                return found
            pause = min(max(elapsed / 10, FIRST_POLL), LONGEST_POLL)
            runtime.local().park(keys, pause if timeout is None else min(pause, timeout - elapsed))

    # -- telling

    def send(self, workflow_id: str, message: Any, topic: str | None, key: str | None) -> None:
        payload = dumps(message, what=f"message to {workflow_id!r}")
        self._persistently(
            lambda: in_write_transaction(
                lambda connection: correspondence.deliver(connection, workflow_id, topic or "", payload=payload, key=key)
            )
        )
        _ring(workflow_id)

    def send_many(self, messages: Sequence[SendMessage]) -> None:
        letters = messaging.letters(messages, "")
        self._persistently(lambda: in_write_transaction(correspondence.deliver_many, letters))
        for workflow_id in {letter.run_id for letter in letters}:
            _ring(workflow_id)

    def manage(self, verb: str, workflow_ids: Sequence[str], options: Mapping[str, Any]) -> Any:
        runtime.local()  # hears of what becomes claimable, and hints to the workers
        deed = managing.Deed(verb, workflow_ids, options, lambda number: new_run_id())
        came = self._persistently(lambda: in_write_transaction(deed))
        for workflow_id in workflow_ids:
            _ring(workflow_id)
        return came

    def keep(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        runtime.local()
        deed = keeping.Deed(verb, arguments)
        kept = self._persistently(deed.carried_out)
        for workflow_id in deed.touches:
            _ring(workflow_id)
        return kept

    def schedule(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        runtime.local()  # hears of what becomes claimable, and hints to the workers
        deed = scheduling.Deed(verb, arguments)
        self._persistently(lambda: deed.look_ahead(dialects.connection()))
        return self._persistently(lambda: (in_autocommit if deed.reads else in_write_transaction)(deed))

    # -- what only a workflow can do

    def recv(self, topic: str | None, timeout: float | None, default: Any) -> NoReturn:
        raise NotInWorkflow("recv")

    def set_event(self, key: str, value: Any) -> NoReturn:
        raise NotInWorkflow("set_event")

    def write_stream(self, key: str, value: Any) -> NoReturn:
        raise NotInWorkflow("write_stream")

    def close_stream(self, key: str) -> NoReturn:
        raise NotInWorkflow("close_stream")

    def sleep(self, seconds: float) -> NoReturn:
        raise NotInWorkflow("sleep")

    def sleep_until(self, moment: datetime) -> NoReturn:
        raise NotInWorkflow("sleep_until")

    def saga(self) -> NoReturn:
        raise NotInWorkflow("saga")

    def continue_as_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        raise NotInWorkflow("continue_as_new")

    def each(self, rows: Iterable[Any], batch: int) -> NoReturn:
        raise NotInWorkflow("durable_each")

    def _persistently(self, work: Callable[[], T]) -> T:
        return persistently(work, PlainServices())


def _inside_atomic(doing: str) -> InvalidUse:
    return InvalidUse(
        f"{doing} inside atomic(), whose transaction would hold its locks for as long, and hide from the workers what they"
        " are to do. Start the workflow with start_workflow() here, which commits with your own writes, and wait outside of"
        " the block. (A view under ATOMIC_REQUESTS: decorate it with transaction.non_atomic_requests.)"
    )


def _insert_leased(connection: Any, run: NewRun) -> bool:
    return bool(starts.insert(connection, [run]))


def _ring(run_id: str) -> None:
    on_commit(lambda: runtime.local().ring(run_id), using=dialects.alias())
