"""The records of runs: looked at, kept, put aside; as a workflow, a step and the world outside carry it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine.operations import Effect, database
from durable_workflows.engine.status import status_of, statuses_of, steps_of
from durable_workflows.exceptions import DurableError, WorkflowNotFound
from durable_workflows.filtering import RunFilter
from durable_workflows.models import archive, erasing, filtering, importing, keeping, pausing, reading
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Kind
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.serializers import dumps
from durable_workflows.status import StepInfo, WorkflowStatus

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

NAMES = {
    "status": "get_workflow_status",
    "list": "list_workflows", "steps": "list_workflow_steps", "export": "export_workflow", "import": "import_workflow",
    "pause": "pause_workflow", "unpause": "unpause_workflow", "delete": "delete_workflow", "describe": "update_attributes",
    "put_off": "set_delay", "erase": "erase_payloads", "erase_fitting": "erase_payloads_where",
}  # fmt: skip
READING = ("status", "list", "steps", "export")


def perform(execution: Execution, verb: str, arguments: Mapping[str, Any]) -> Any:
    """One of the verbs, called in a workflow: a recorded step."""
    name = f"durable.{NAMES[verb]}"
    operation = execution.operation(name, Kind.MANAGE)
    if operation.recorded:
        return operation.answer()
    deed = Deed(verb, arguments)
    if not deed.reads:
        return operation.commit(lambda connection: Effect(output=dumps(deed(connection), what=f"result of {name}")))
    try:
        effect = Effect(output=dumps(execution.persistently(deed.carried_out), what=f"result of {name}"))
    except DurableError as error:
        operation.fail(error)
    return operation.value(operation.record(effect))


class Deed:
    """
    One call of one verb. It may be carried out again, after a lock error or a lost reply: what is gone or there by then may be
    its own doing.
    """

    def __init__(self, verb: str, arguments: Mapping[str, Any]) -> None:
        self.reads = verb in READING
        self.touches: Sequence[str] = arguments.get("run_ids", ())
        self._act = getattr(self, f"_{verb}")
        self._arguments = arguments
        self._begun = 0

    def carried_out(self) -> Any:
        """In a transaction of its own, or in the caller's."""
        return self(database()) if self.reads else in_write_transaction(self)

    def __call__(self, connection: BaseDatabaseWrapper) -> Any:
        self._begun += 1
        return self._act(connection, **self._arguments)

    def _list(self, connection: BaseDatabaseWrapper, wanted: RunFilter) -> list[WorkflowStatus]:
        runs = list(filtering.listed(connection.alias, wanted))
        return statuses_of(runs, load_input=wanted.load_input, load_output=wanted.load_output)

    def _status(self, connection: BaseDatabaseWrapper, run_id: str) -> WorkflowStatus | None:
        run = WorkflowRun.objects.using(connection.alias).filter(pk=run_id).first()
        return None if run is None else status_of(run)

    def _steps(self, connection: BaseDatabaseWrapper, run_id: str, limit: int | None, offset: int) -> list[StepInfo]:
        return steps_of(reading.steps(connection, run_id, limit, offset))

    def _export(self, connection: BaseDatabaseWrapper, run_id: str, children: bool) -> dict[str, Any]:
        return archive.export(connection, run_id, children=children)

    def _import(self, connection: BaseDatabaseWrapper, document: Any, paused: bool) -> str:
        incoming = importing.checked(document, paused=paused)
        if self._begun == 1 or not importing.is_there(connection, incoming):
            importing.insert(connection, incoming)
        return incoming.root

    def _pause(self, connection: BaseDatabaseWrapper, run_ids: Sequence[str]) -> None:
        pausing.pause(connection, run_ids)

    def _unpause(self, connection: BaseDatabaseWrapper, run_ids: Sequence[str]) -> None:
        pausing.unpause(connection, run_ids)

    def _delete(self, connection: BaseDatabaseWrapper, run_ids: Sequence[str], children: bool) -> None:
        try:
            keeping.delete(connection, run_ids, children=children)
        except WorkflowNotFound:
            if self._begun == 1 or WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids).exists():
                raise

    def _describe(
        self, connection: BaseDatabaseWrapper, run_ids: Sequence[str], attributes: Mapping[str, Any] | None, merge: bool
    ) -> None:
        keeping.describe(connection, run_ids, attributes=attributes, merge=merge)

    def _put_off(self, connection: BaseDatabaseWrapper, run_ids: Sequence[str], seconds: float, until: datetime | None) -> None:
        keeping.put_off(connection, run_ids, seconds=seconds, until=until)

    def _erase(self, connection: BaseDatabaseWrapper, run_ids: Sequence[str], copies: bool) -> list[str]:
        return erasing.erase(connection, run_ids, copies=copies)

    def _erase_fitting(self, connection: BaseDatabaseWrapper, wanted: RunFilter, copies: bool) -> list[str]:
        return erasing.erase_fitting(connection, wanted, copies=copies)
