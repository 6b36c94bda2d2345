"""ORM writes in a workflow's body, outside of any step, happen again at each replay: notice them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from durable_workflows import context, signals
from durable_workflows.conf import config
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import dialects
from durable_workflows.models.transactions import engine_is_writing

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE")


@contextmanager
def watching_writes(execution: Execution) -> Iterator[None]:
    """Warn of, or refuse, the body's own writes in this block, as the setting ``BODY_WRITES`` says."""
    if config().body_writes == "allow":
        yield
        return

    def watch(execute: Any, sql: str, params: Any, many: bool, extra: Any) -> Any:
        is_own = context.caller() is execution and not engine_is_writing()
        if is_own and sql.lstrip()[:7].upper().startswith(WRITES):
            _notice(execution, sql)
        return execute(sql, params, many, extra)

    with dialects.connection().execute_wrapper(watch):
        yield


def _notice(execution: Execution, sql: str) -> None:
    if config().body_writes == "raise":
        raise InvalidUse(
            f"The body of workflow {execution.claim.name!r} writes to the database outside of a step, and would again at"
            f" each replay. Move it into a step. The statement: {sql[:200]}"
        )
    signals.send(signals.body_wrote, run_id=execution.claim.id, name=execution.claim.name, sql=sql[:200])
