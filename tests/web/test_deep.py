"""However deep a signed body is nested, it is taken and can be handled, or it is refused."""

from __future__ import annotations

import pytest
from django.test import Client

from durable_workflows import get_result
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import drain
from tests.web.site import deliver

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depths(sender: Client, opening: bytes, closing: bytes) -> None:
    answers = {}
    for depth in [1, 10, 50, 90, 100, 110, 150, 190, 200, 210, *range(250, 1200, 50)]:
        inner = opening * depth + b"1" + closing * depth
        answers[depth] = deliver(sender, b'{"id": %d, "x": %s}' % (depth, inner)).status_code
    assert set(answers.values()) == {202, 400}
    taken = {f"carrier-{depth}" for depth, status in answers.items() if status == 202}
    assert set(WorkflowRun.objects.values_list("id", flat=True)) == taken
    drain()
    for run_id in taken:
        assert get_result(run_id, 1)["id"] == int(run_id.removeprefix("carrier-"))
