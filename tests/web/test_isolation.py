"""Crowds at every isolation level that the product is run at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from durable_workflows.models import Message, WorkflowRun
from tests.app.models import Ledger
from tests.engine.isolation import LEVELS, at_level
from tests.web import test_approvals, test_webhook_crowds
from tests.web.crowd import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=LEVELS, autouse=True)
def level(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[str]:
    """The isolation level of each connection."""
    with at_level(request.param):
        yield request.param


def test_of_fifty_answers_one_counts() -> None:
    address = test_approvals.link(test_approvals.asking())
    answers = at_once([partial(test_approvals.post, address, number) for number in range(50)], threads=25)
    assert Counter(status for status, _ in answers) == {200: 1, 410: 49}
    assert Message.objects.count() == Ledger.objects.count() == 1


def test_two_hundred_deliveries_of_one_event() -> None:
    posts = [partial(post_until_taken, {"id": "evt-1", "n": number}) for number in range(200)]
    assert Counter(at_once(posts, threads=20)) == {(202, b'{"accepted": "evt-1"}'): 200}
    assert WorkflowRun.objects.count() == 1
    assert Ledger.objects.count() == 200


def post_until_taken(event: dict[str, Any]) -> tuple[int, bytes]:
    """Post as a sender does, who comes again after a 503: at these levels the database may refuse many times in a row."""
    answer = test_webhook_crowds.post(event)
    return post_until_taken(event) if answer[0] == 503 else answer
