"""A place where another owner's record stands: the attempt that comes second goes on with that, as any replay will."""

from __future__ import annotations

import pytest

from durable_workflows import current, step, workflow
from durable_workflows.models import StepRun, WorkflowRun
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.steps import Kind
from durable_workflows.serializers import dump_error
from durable_workflows.testing import drain
from tests.engine.born import execute, leased

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("unparked")]
CALLED: list[str] = []


@pytest.fixture(autouse=True)
def none_called() -> None:
    CALLED.clear()


def another_owner_records(name: str, position: int = 1, **outcome: str) -> None:
    """As its transaction does that was past its fence when it lost the run."""
    now = current()
    assert now is not None
    moment = {"started_at": DatabaseNow(), "completed_at": DatabaseNow()}
    StepRun.objects.create(run_id=now.workflow_id, position=position, name=name, kind=Kind.STEP, **moment, **outcome)


@step(atomic=False)
def charges(theirs: str) -> str:
    CALLED.append("charges")
    name = "tests.engine.test_adopted_records.charges"
    another_owner_records(
        name, **({"error": dump_error(KeyError(theirs))} if theirs == "refused" else {"output": f'"{theirs}"'})
    )
    return "mine"


@step(atomic=False, max_attempts=2, interval_seconds=0, should_retry=lambda error: not isinstance(error, ArithmeticError))
def fails(theirs: str) -> str:
    CALLED.append("fails")
    if len(CALLED) == 1:
        name = "tests.engine.test_adopted_records.fails"
        another_owner_records(
            name, **({"error": dump_error(KeyError(theirs))} if theirs == "refused" else {"output": '"paid"'})
        )
    raise ArithmeticError("mine")


@step(atomic=False)
def refunds(charge: str) -> str:
    CALLED.append(f"refunds {charge}")
    return charge


STEPS = {"charges": charges, "fails": fails}


@workflow
def pays(which: str, theirs: str) -> str:
    try:
        return refunds(STEPS[which](theirs))
    except (KeyError, ArithmeticError) as error:
        return f"{type(error).__name__} {error.args[0]}"


@pytest.mark.parametrize(
    ("which", "theirs", "called", "output"),
    [
        ("charges", "theirs", ["charges", "refunds theirs"], '"theirs"'),
        ("charges", "refused", ["charges"], '"KeyError refused"'),
        ("fails", "refused", ["fails"], '"KeyError refused"'),
        ("fails", "paid", ["fails", "refunds paid"], '"paid"'),
    ],
)
def test_the_body_goes_on_with_what_another_owner_recorded(which: str, theirs: str, called: list[str], output: str) -> None:
    run = leased(pays, which, theirs)
    execute(run)
    drain()
    row = WorkflowRun.objects.get(pk=run.id)
    assert (CALLED, row.status, row.output) == (called, "SUCCESS", output)
