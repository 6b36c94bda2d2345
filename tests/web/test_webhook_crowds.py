"""A thousand deliveries at once: of one event one run and equal answers, of a thousand events a thousand runs."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import pytest
from django.db import connection

from durable_workflows import get_result
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import drain
from tests.app.models import Ledger
from tests.web.crowd import at_once
from tests.web.site import deliver, stranger

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 1000


def post(event: dict[str, Any]) -> tuple[int, bytes]:
    response = deliver(stranger(), event)
    return response.status_code, response.content


def test_a_thousand_deliveries_of_one_event() -> None:
    answers = Counter(at_once([partial(post, {"id": "evt-1", "n": number}) for number in range(MANY)]))
    assert answers == {(202, b'{"accepted": "evt-1"}'): MANY}
    assert list(WorkflowRun.objects.values_list("id", flat=True)) == ["carrier-evt-1"]
    assert Ledger.objects.filter(step="delivered").count() == MANY
    drain()
    assert Ledger.objects.filter(step="handled").count() == 1
    assert get_result("carrier-evt-1", 1)["n"] in range(MANY)


def test_a_thousand_events() -> None:
    answers = at_once([partial(post, {"id": f"evt-{number}"}) for number in range(MANY)])
    assert {status for status, _ in answers} == {202}
    assert len(set(answers)) == MANY
    assert set(WorkflowRun.objects.values_list("id", flat=True)) == {f"carrier-evt-{number}" for number in range(MANY)}
    assert Ledger.objects.filter(step="delivered").count() == MANY


def test_deliveries_of_a_few_events_while_a_few_are_handled() -> None:
    few = [{"id": f"evt-{number % 5}"} for number in range(200)]
    answers = at_once([partial(post, event) for event in few] + [drain_here] * 2)
    assert {answer[0] for answer in answers if isinstance(answer, tuple)} == {202}
    drain()
    assert WorkflowRun.objects.count() == 5
    assert Ledger.objects.filter(step="handled").count() == 5


def drain_here() -> int:
    """Be a worker among the senders, on this thread's connection."""
    assert not connection.in_atomic_block
    return drain()
