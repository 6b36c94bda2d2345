"""
Every error of the package, in one tree.

::

    DurableError                                  catch-all for users
    ├── WorkflowNotFound            (.workflow_id)
    ├── WorkflowConflict            (.workflow_id)
    ├── WorkflowNotRegistered       (.name)
    ├── RegistrationConflict        (.name)
    ├── ScheduleNotFound            (.schedule_name)
    ├── ScheduleConflict            (.schedule_name)
    ├── InvalidUse                  an argument or a place of call that cannot work
    │   └── NotInWorkflow
    ├── NotSerializable             (also TypeError)
    │   └── PayloadTooLarge
    ├── PayloadCorrupted
    │   └── PayloadErased
    ├── Deduplicated                (.workflow_id .queue_name .deduplication_id)
    ├── NondeterminismError
    ├── WorkflowFailed              (.workflow_id .error_type .error_message .traceback)
    ├── AwaitedWorkflowCancelled    (.workflow_id)
    ├── AwaitedWorkflowMaxRecoveryAttemptsExceeded (.workflow_id)
    ├── StepRetriesExceeded         (.step_name .attempts .errors)
    ├── StepTimeout                 (.step_name .timeout_seconds; also TimeoutError)
    ├── StepRolledBack              (.step_name)
    ├── StreamTimeout               (.workflow_id .key .offset .timeout_seconds; also TimeoutError)
    ├── BadLink
    └── ExpiredLink

    ControlFlow (a BaseException)                 never to be caught by user code
    ├── Suspended
    ├── WorkflowCancelled           (.workflow_id)
    ├── LeaseLost                   (.workflow_id)
    └── ContinuedAsNew

The second tree derives from ``BaseException``, as ``asyncio.CancelledError`` does, so that
``except Exception`` in a workflow's body does not swallow it.
"""

from __future__ import annotations

from collections.abc import Sequence


class DurableError(Exception):
    """Base of all errors that this package raises for its users."""


class WorkflowNotFound(DurableError):
    """No run has this id."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"There is no workflow run with the id {workflow_id!r}. Check the id, or start the run first.")
        self.workflow_id = workflow_id


class WorkflowConflict(DurableError):
    """The id belongs to a run of another workflow."""

    def __init__(self, workflow_id: str, recorded: str, requested: str, deed: str = "started", cure: str = "") -> None:
        super().__init__(
            f"The id {workflow_id!r} already belongs to a run of {recorded!r}, so {requested!r} cannot be {deed} under it."
            f" {cure or 'Use another id.'}"
        )
        self.workflow_id = workflow_id


class WorkflowNotRegistered(DurableError):
    """No definition of this name is known to this process."""

    def __init__(self, name: str, known: Sequence[str] = ()) -> None:
        hint = f" Known names: {', '.join(sorted(known)[:20])}." if known else ""
        super().__init__(
            f"No workflow or step named {name!r} is registered in this process. Define it in a `workflows.py` of an installed"
            f" app, or import its module before.{hint}"
        )
        self.name = name


class RegistrationConflict(DurableError):
    """Two different functions claim one name."""

    def __init__(self, name: str, first: str, second: str) -> None:
        super().__init__(
            f"The name {name!r} is claimed by {first} and by {second}. Runs are found by this name: give one of them another"
            " `name=`."
        )
        self.name = name


class ScheduleNotFound(DurableError):
    """There is no schedule of this name."""

    def __init__(self, schedule_name: str) -> None:
        super().__init__(f"There is no schedule named {schedule_name!r}. list_schedules() tells which there are.")
        self.schedule_name = schedule_name


class ScheduleConflict(DurableError):
    """The name belongs to another schedule."""

    def __init__(self, schedule_name: str, cure: str) -> None:
        super().__init__(f"There is already a schedule named {schedule_name!r}. {cure}")
        self.schedule_name = schedule_name


class InvalidUse(DurableError):
    """A call that cannot work where, or with what, it was made; the message says what to do."""


class NotInWorkflow(InvalidUse):
    """A primitive that belongs in a workflow's body was called outside of one."""

    def __init__(self, primitive: str, where: str = "outside a workflow") -> None:
        super().__init__(f"{primitive}() was called {where}. Call it in the body of a function decorated with @workflow.")


class NotSerializable(DurableError, TypeError):
    """A value cannot be stored as JSON and read back as what it was."""


class PayloadTooLarge(NotSerializable):
    """A value's JSON is larger than the setting ``PAYLOAD_MAX_BYTES``."""


class PayloadCorrupted(DurableError):
    """A stored payload cannot be read back; the run waits, nothing is lost."""


class PayloadErased(PayloadCorrupted):
    """A stored payload was erased, as somebody had asked; nothing can bring it back."""


class Deduplicated(DurableError):
    """Another unfinished run of the queue holds this deduplication id."""

    def __init__(self, workflow_id: str, queue_name: str, deduplication_id: str) -> None:
        super().__init__(
            f"Run {workflow_id!r} was not enqueued: an unfinished run of queue {queue_name!r} holds the deduplication id"
            f" {deduplication_id!r}. Wait for it, or use duplication_policy='return-existing'."
        )
        self.workflow_id = workflow_id
        self.queue_name = queue_name
        self.deduplication_id = deduplication_id


class NondeterminismError(DurableError):
    """The body took another path than the recorded one; the run waits until its code fits again."""


class WorkflowFailed(DurableError):
    """A run failed with an exception whose class is not loaded in this process."""

    def __init__(self, workflow_id: str, error_type: str, error_message: str, traceback: str = "") -> None:
        super().__init__(f"Run {workflow_id!r} failed with {error_type}: {error_message}")
        self.workflow_id = workflow_id
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback


class AwaitedWorkflowCancelled(DurableError):
    """The awaited run was cancelled and has no result."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Run {workflow_id!r} was cancelled, so it has no result. Resume it to get one.")
        self.workflow_id = workflow_id


class AwaitedWorkflowMaxRecoveryAttemptsExceeded(DurableError):
    """The awaited run was given up after too many recoveries without progress."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(
            f"Run {workflow_id!r} was given up: its workers died too often without progress. Find out why, then resume it."
        )
        self.workflow_id = workflow_id


class StepRetriesExceeded(DurableError):
    """All attempts of a step failed; ``__cause__`` is the last error."""

    def __init__(self, step_name: str, attempts: int, errors: Sequence[BaseException] = ()) -> None:
        last = f" Last error: {type(errors[-1]).__name__}: {errors[-1]}" if errors else ""
        super().__init__(f"Step {step_name!r} failed {attempts} times and has no attempts left.{last}")
        self.step_name = step_name
        self.attempts = attempts
        self.errors = list(errors)


class StepTimeout(DurableError, TimeoutError):
    """A step took longer than its ``timeout``; what it wrote was rolled back."""

    def __init__(self, step_name: str, timeout_seconds: float) -> None:
        super().__init__(f"Step {step_name!r} took longer than its timeout of {timeout_seconds} seconds; it was rolled back.")
        self.step_name = step_name
        self.timeout_seconds = timeout_seconds


class StepRolledBack(DurableError):
    """A step's body returned, but its transaction had been rolled back, so the step is not done."""

    def __init__(self, step_name: str, why: str) -> None:
        super().__init__(
            f"Step {step_name!r} returned, but its transaction is rolled back ({why}), so nothing it wrote exists and the"
            " step is not done. Let database errors leave the body, or wrap them in an inner atomic() block."
        )
        self.step_name = step_name


class StreamTimeout(DurableError, TimeoutError):
    """No further value of a stream came in time; reading on from ``offset`` misses none."""

    def __init__(self, workflow_id: str, key: str, offset: int, timeout_seconds: float) -> None:
        super().__init__(
            f"Value {offset} of the stream {key!r} of run {workflow_id!r} did not come within {timeout_seconds} seconds. Read"
            f" on with offset={offset}."
        )
        self.workflow_id = workflow_id
        self.key = key
        self.offset = offset
        self.timeout_seconds = timeout_seconds


class BadLink(DurableError):
    """A link that was not made here, was changed, or is for something else."""

    def __init__(self) -> None:
        super().__init__("This link was not made here, or it was changed. Use the whole link, as it was sent.")


class ExpiredLink(DurableError):
    """A link whose time is over."""

    def __init__(self) -> None:
        super().__init__("This link is no longer valid. Ask for a new one.")


class ControlFlow(BaseException):
    """Unwinds an attempt of a run; derives from ``BaseException`` so that user code lets it pass."""


class Suspended(ControlFlow):
    """The run waits without a thread; it is replayed when what it waits for is there."""


class WorkflowCancelled(ControlFlow):
    """The run was cancelled, or its deadline passed, while this attempt was under way."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Run {workflow_id!r} was cancelled.")
        self.workflow_id = workflow_id


class ContinuedAsNew(ControlFlow):
    """This execution is over: its run begins anew, under the same id and with a fresh history."""


class LeaseLost(ControlFlow):
    """Another worker owns the run now; this attempt must stop."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Run {workflow_id!r} is owned by another worker now.")
        self.workflow_id = workflow_id
