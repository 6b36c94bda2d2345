"""Beginning anew: a run's execution ends, and the next one begins under the same id with a fresh history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from durable_workflows.engine.history import Diverged
from durable_workflows.engine.services import persistently
from durable_workflows.engine.starting import stored_arguments
from durable_workflows.exceptions import ContinuedAsNew, InvalidUse, LeaseLost
from durable_workflows.ids import new_token
from durable_workflows.models import generations
from durable_workflows.models.claims import Claim
from durable_workflows.models.transactions import in_write_transaction

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


def ask(execution: Execution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
    """End the body; its run begins anew once that is unwound."""
    execution.check()
    if execution.sagas.have_something_to_undo():
        raise InvalidUse(
            "continue_as_new() was called in a saga() that has something to undo, which would be forgotten. Call it after the"
            " block."
        )
    try:
        execution.history.check_used_up(execution.branch, execution.position)
    except Diverged as diverged:
        execution.stop(diverged)
    execution.new_inputs = stored_arguments(execution.claim.name, (args, kwargs))
    execution.stop(ContinuedAsNew(f"Run {execution.claim.id!r} begins anew."))


def begin_anew(execution: Execution) -> Claim | None:
    """
    Begin the next generation under a lease of its own; None if the run is no longer this attempt's, or was cancelled.

    The new token fences off what the old generation may yet send: a statement whose reply was lost, and which its session is
    still carrying out, would otherwise be recorded in the new history.
    """
    claim, token, inputs = execution.claim, new_token(), execution.new_inputs or ""

    def begin() -> bool:
        return in_write_transaction(lambda db: generations.begin(db, claim, inputs, token=token))

    try:
        begun = persistently(begin, execution.services, lambda: LeaseLost(claim.id))
    except LeaseLost:
        return None
    if not begun:
        return None
    return replace(
        claim, generation=claim.generation + 1, inputs=inputs, token=token, attempt=1, fan_in=0, saga="", retry_step=None
    )
