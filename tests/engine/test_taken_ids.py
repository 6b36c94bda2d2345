"""An id that another session took after this transaction had begun to read: the start finds that run all the same."""

from __future__ import annotations

import pytest
from django.db import transaction

from durable_workflows import SetWorkflowID, WorkflowConflict, workflow
from durable_workflows.models import WorkflowRun
from tests.app.models import Account
from tests.engine.elsewhere import in_thread
from tests.engine.isolation import COMMITTED, DATABASE, LEVELS

# PostgreSQL refuses above READ COMMITTED, as it does with any row that such a transaction cannot see; SQLite has one writer.
FITTING = [level for level in LEVELS if DATABASE == "mariadb" or level == COMMITTED]
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("committing"),
    pytest.mark.skipif(not FITTING, reason="SQLite's one writer lets nobody in between"),
    pytest.mark.parametrize("level", FITTING or LEVELS, indirect=True),
]


@workflow
def greets(name: str) -> str:
    return f"hello {name}"


@workflow
def parts(name: str) -> str:
    return f"bye {name}"


def take(name: str) -> None:
    with SetWorkflowID("taken"):
        greets.start(name)


def test_the_same_workflow_gets_the_handle(level: str) -> None:
    with transaction.atomic():
        assert Account.objects.count() == 0  # the snapshot is taken
        in_thread(lambda: take("first"))
        with SetWorkflowID("taken"):
            assert greets.start("second").workflow_id == "taken"
    assert WorkflowRun.objects.get().inputs == '{"args":["first"],"kwargs":{}}'


def test_another_workflow_is_refused(level: str) -> None:
    with transaction.atomic():
        assert Account.objects.count() == 0
        in_thread(lambda: take("first"))
        with SetWorkflowID("taken"), pytest.raises(WorkflowConflict):
            parts.start("second")
