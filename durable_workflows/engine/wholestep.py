"""A step started like a workflow: one run named after it, whose outcome is the step's record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.definitions import Step
from durable_workflows.engine.operations import Effect, FencedOff, Operation
from durable_workflows.models import outcomes
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import forget

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


class WholeRun(Operation):
    """Writes the run's outcome where a step of a workflow writes its checkpoint; its place is 0."""

    def __init__(self, execution: Execution, step: Step) -> None:
        super().__init__(execution, step.name, Kind.STEP, (execution.branch, 0), None)

    def _ending(self, effect: Effect) -> Ending:
        claim = self.execution.claim
        return Ending(run_id=claim.id, token=claim.token, output=effect.output, error=effect.error, is_step=True)

    def write(self, connection: BaseDatabaseWrapper, effect: Effect, attempts: int = 1) -> None:
        if not outcomes.end_inside(connection, self._ending(effect)):
            raise FencedOff
        if self.pending():
            forget(connection, self.execution.claim, *self.place)
        self.execution.ended = True

    def record(self, effect: Effect, attempts: int = 1) -> Effect:
        if self.loose:
            stands: Effect = self.commit(lambda connection: effect, attempts, quietly=True)
            return stands
        execution = self.execution
        if not execution.persistently(lambda: execution.services.end(self._ending(effect))):
            execution.refused()
        execution.ended = True
        return effect
