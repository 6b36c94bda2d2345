"""The thin value that stands for a run: an id, whose methods go through the door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from durable_workflows import runtime
from durable_workflows.exceptions import WorkflowNotFound

if TYPE_CHECKING:
    from durable_workflows.models import WorkflowRun
    from durable_workflows.status import WorkflowStatus

R = TypeVar("R")


@dataclass(frozen=True)  # with slots, WorkflowHandle[int](id) fails in Python 3.11
class WorkflowHandle(Generic[R]):
    """
    A run, by its id; equal handles stand for the same run.

    :param workflow_id: the run's id.
    """

    workflow_id: str

    def get_workflow_id(self) -> str:
        """The run's id, under the name that DBOS users know."""
        return self.workflow_id

    def get_result(self, timeout: float | None = None) -> R:
        """
        What the run returned, waited for if need be; in a workflow a recorded step.

        :param timeout: seconds to wait at most; None waits for ever.
        :raises TimeoutError: if the run did not end in time.
        :raises AwaitedWorkflowCancelled: if it was cancelled.
        :raises AwaitedWorkflowMaxRecoveryAttemptsExceeded: if it was given up.
        :raises WorkflowNotFound: if no run has this id.
        :raises Exception: what the run itself raised, or ``WorkflowFailed`` when that class is not loaded here.
        """
        return cast(R, runtime.here().result(self.workflow_id, timeout))

    def get_status(self) -> WorkflowStatus:
        """
        The run as it stands; in a workflow a recorded step.

        :raises WorkflowNotFound: if no run has this id.
        """
        status = runtime.here().keep("status", {"run_id": self.workflow_id})
        if status is None:
            raise WorkflowNotFound(self.workflow_id)
        return cast("WorkflowStatus", status)

    def cancel(self) -> None:
        """Cancel the run; see ``cancel_workflow``."""
        runtime.here().manage("cancel", [self.workflow_id], {})

    @property
    def run(self) -> WorkflowRun:
        """The run's row."""
        return runtime.engine().row(self.workflow_id)
