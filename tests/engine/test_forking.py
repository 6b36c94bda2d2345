"""Another run with the first one's history up to a step, which goes on from there by itself."""

from __future__ import annotations

import pytest

from durable_workflows import fork_workflow
from durable_workflows.models import WorkflowRun
from tests.engine.deeds import did
from tests.engine.journeys import RESULT, STEPS, everything, finish, story, straight, tell

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]


def test_from_every_step_it_ends_as_a_straight_run() -> None:
    source = straight()
    told = story(source)
    assert [step[1] for step in told["steps"]] == list(range(1, STEPS + 1))
    assert everything.start and WorkflowRun.objects.get(pk=source).status == "SUCCESS"
    deeds = did(source)
    for step in range(1, STEPS + 3):
        handle = fork_workflow(source, step)
        tell(handle.workflow_id)
        finish()
        assert handle.get_result() == RESULT, step
        assert story(handle.workflow_id, source) == told, step
        assert story(source) == told, "the first run is as it was"
        assert did(source) == deeds
