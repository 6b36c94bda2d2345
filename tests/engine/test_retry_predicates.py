"""A ``should_retry`` that fails: the step's own error is recorded all the same, and its body is not executed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from durable_workflows import signals, sleep, step, workflow
from durable_workflows.models import StepRun
from durable_workflows.testing import drain, travel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
CALLS: Counter[str] = Counter()


@pytest.fixture
def failures() -> Iterator[list[tuple[str, type]]]:
    heard: list[tuple[str, type]] = []

    def hear(*, step: str, error: Exception, **kwargs: object) -> None:
        heard.append((step, type(error)))

    signals.should_retry_failed.connect(hear)
    CALLS.clear()
    yield heard
    signals.should_retry_failed.disconnect(hear)


class Declined(Exception):
    """What has no code, although the predicate asks for it."""


@step(name="pays", max_attempts=3, interval_seconds=0, should_retry=lambda error: error.code == 5)  # type: ignore[attr-defined] - wrong on purpose
def pays() -> None:
    CALLS["pays"] += 1
    raise Declined("no funds")


@workflow
def pays_and_sleeps() -> str:
    try:
        pays()
    except Exception as error:  # noqa: BLE001 - whatever comes is to come again in the replay
        met = f"{type(error).__name__}: {error}"
    sleep(60)
    return met


def test_the_steps_error_is_recorded_and_met_again(failures: list[tuple[str, type]]) -> None:
    handle = pays_and_sleeps.start()
    drain()
    travel(61)
    drain()
    assert handle.get_result() == "Declined: no funds"
    assert CALLS["pays"] == 1
    assert failures == [("pays", AttributeError)]
    recorded = StepRun.objects.get(run_id=handle.workflow_id, position=1)
    assert recorded.attempts == 1
    assert "no funds" in (recorded.error or "")
