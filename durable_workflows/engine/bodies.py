"""ORM writes in a workflow's body, outside of any step, happen again at each replay: notice them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from durable_workflows import context, signals
from durable_workflows.conf import config
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models.transactions import engine_writes

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE")


def watching_writes(execution: Execution) -> AbstractContextManager[Any]:
    """Warn of, or refuse, the body's own writes in this block, as the setting ``BODY_WRITES`` says."""
    return nullcontext() if config().body_writes == "allow" else _Watch(execution)


class _Watch:
    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.wrappers = execution.connection.execute_wrappers

    def __enter__(self) -> None:
        self.wrappers.append(self)

    def __exit__(self, *raised: object) -> None:
        self.wrappers.remove(self)

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, extra: Any) -> Any:
        is_own = context.caller() is self.execution and not engine_writes.under_way()
        if is_own and sql.lstrip()[:7].upper().startswith(WRITES):
            _notice(self.execution, sql)
        return execute(sql, params, many, extra)


def _notice(execution: Execution, sql: str) -> None:
    if config().body_writes == "raise":
        raise InvalidUse(
            f"The body of workflow {execution.claim.name!r} writes to the database outside of a step, and would again at"
            f" each replay. Move it into a step. The statement: {sql[:200]}"
        )
    signals.send(signals.body_wrote, run_id=execution.claim.id, name=execution.claim.name, sql=sql[:200])
