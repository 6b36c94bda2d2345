"""Steps that leave a row of what they did, and steps that undo them; and what a run has done by its rows."""

from __future__ import annotations

from durable_workflows import current, step
from tests.app.models import Ledger


def _note(what: str) -> None:
    now = current()
    assert now is not None
    Ledger.objects.create(run_id=now.workflow_id, step=what)


@step
def do(what: str) -> str:
    _note(what)
    return what


@step
def undo(what: str) -> None:
    _note(f"undo {what}")


def did(run_id: str) -> list[str]:
    return list(Ledger.objects.filter(run_id=run_id).order_by("pk").values_list("step", flat=True))
