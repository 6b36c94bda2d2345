"""A database that has no room left is waited for, as one that is away: the body never takes it for its own failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection

from durable_workflows import clock, send, set_event, step, workflow
from durable_workflows.models import StepAttempt, StepRun, WorkflowRun
from durable_workflows.models.transactions import is_out_of_room
from durable_workflows.states import RunState
from tests.app.models import Ledger
from tests.engine.born import execute, leased
from tests.engine.isolation import DATABASE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]
CALLS: Counter[str] = Counter()
LARGE = "x" * 3_000_000  # more than the pages that the file has free after VACUUM


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Have the file grow no further, until the engine has waited for it twice."""
    pauses: list[float] = []

    def set_limit(pages: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count = {pages}")

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            set_limit(2**30)

    CALLS.clear()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
    monkeypatch.setattr(clock, "pause", pause)
    yield lambda: set_limit(1)
    set_limit(2**30)
    assert len(pauses) >= 2, "it was never full"


fill: list[Callable[[], None]] = []


@step(atomic=False)
def fills_the_disk() -> str:
    CALLS["fills"] += 1
    fill.pop()()
    return LARGE


@step
def writes_to_a_full_disk() -> None:
    CALLS["writes"] += 1
    if fill:
        fill.pop()()
    Ledger.objects.create(run_id="room", step="written", note=LARGE)


@workflow
def records() -> int:
    try:
        return len(fills_the_disk())
    except Exception:  # noqa: BLE001 - a body that compensates
        return -1


@workflow
def writes() -> str:
    try:
        writes_to_a_full_disk()
    except Exception:  # noqa: BLE001 - a body that compensates
        return "compensated"
    return "written"


@workflow
def publishes() -> str:
    fill.pop()()
    set_event("large", LARGE)
    return "published"


@workflow
def ends() -> str:
    fill.pop()()
    return LARGE


@pytest.mark.skipif(DATABASE != "sqlite", reason="only its disk can be filled by a statement")
@pytest.mark.parametrize("function", [records, publishes, ends], ids=lambda function: function.__name__)
def test_the_engines_own_writes_wait_for_room(full_disk: Callable[[], None], function: Any) -> None:
    fill[:] = [full_disk]
    claim = leased(function)
    execute(claim)
    run = WorkflowRun.objects.get(pk=claim.id)
    assert (run.status, run.error) == (RunState.SUCCESS, None)
    assert run.output != "-1"
    assert CALLS["fills"] <= 1, "the step was not executed again"
    assert not StepAttempt.objects.exists()


@pytest.mark.skipif(DATABASE != "sqlite", reason="only its disk can be filled by a statement")
def test_a_steps_own_writes_are_repeated_whole(full_disk: Callable[[], None]) -> None:
    fill[:] = [full_disk]
    claim = leased(writes)
    execute(claim)
    assert WorkflowRun.objects.get(pk=claim.id).output == '"written"'
    assert CALLS["writes"] == 3
    assert Ledger.objects.filter(run_id="room").count() == 1
    assert (StepRun.objects.get(run_id=claim.id).attempts, StepAttempt.objects.exists()) == (1, False)


@pytest.mark.skipif(DATABASE != "sqlite", reason="only its disk can be filled by a statement")
def test_a_sender_outside_waits_for_room(full_disk: Callable[[], None]) -> None:
    claim = leased(records)
    full_disk()
    send(claim.id, LARGE)


class _Refusal(Exception):
    def __init__(self, sqlstate: str | None = None, *args: Any) -> None:
        super().__init__(*args)
        self.sqlstate = sqlstate


def refused(kind: type[Exception], cause: Exception) -> Exception:
    error = kind(*cause.args)
    error.__cause__ = cause
    return error


@pytest.mark.once
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refused(OperationalError, _Refusal("53100")), True), (refused(OperationalError, _Refusal("53200")), True),
        (refused(OperationalError, _Refusal("40001")), False), (refused(OperationalError, _Refusal("08006")), False),
        (refused(OperationalError, _Refusal(None, 1114, "The table is full")), True),
        (refused(OperationalError, _Refusal(None, 1021, "Disk full")), True),
        (refused(OperationalError, _Refusal(None, 1213, "Deadlock")), False),
        (refused(DataError, _Refusal("22001")), False), (OSError(28, "No space left on device"), False),
    ],
    ids=str,
)  # fmt: skip
def test_what_says_that_there_is_no_room(error: Exception, expected: bool) -> None:
    assert is_out_of_room(error) is expected
