"""What can go wrong, made to happen."""

from __future__ import annotations

from durable_workflows.models import rehearsal
from durable_workflows.models.transactions import in_write_transaction


def lose(workflow_id: str) -> None:
    """
    Have a run stand as if its worker had died after its last checkpoint: it is replayed by whoever comes next.

    A finished run reopens, its outcome forgotten. A thread that is still executing the run is refused at its next
    checkpoint, as a worker is whose lease was taken over.

    :raises WorkflowNotFound: if there is no such run.
    """
    in_write_transaction(rehearsal.lose, workflow_id)
