"""A start is part of its caller's transaction; what would have to wait inside one is refused."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, TestCase
from django.urls import path

import durable_workflows as durable
from durable_workflows import InvalidUse
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import drain
from tests.behaviour import programs


def start_and_fail(request: HttpRequest) -> HttpResponse:
    programs.greet.start("view")
    raise RuntimeError("after the start")


def start(request: HttpRequest) -> HttpResponse:
    return HttpResponse(programs.greet.start("view").workflow_id)


def call(request: HttpRequest) -> HttpResponse:
    return HttpResponse(programs.greet("view"))


urlpatterns = [path("start/", start), path("fail/", start_and_fail), path("call/", call)]


@pytest.fixture
def atomic_requests(settings: object) -> object:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    settings.ROOT_URLCONF = __name__  # type: ignore[attr-defined] - pytest-django's settings take any name
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("atomic_requests")
class TestViewsUnderAtomicRequests:
    def test_a_view_that_fails_leaves_no_run(self) -> None:
        with pytest.raises(RuntimeError):
            Client().get("/fail/")
        assert not WorkflowRun.objects.exists()

    def test_a_view_that_returns_leaves_one(self) -> None:
        workflow_id = Client().get("/start/").content.decode()
        drain()
        assert durable.get_result(workflow_id, 1) == "hello view"

    def test_a_direct_call_is_refused_and_says_what_to_do(self) -> None:
        with pytest.raises(InvalidUse, match=r"start_workflow\(\).*non_atomic_requests"):
            Client().get("/call/")
        assert not WorkflowRun.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestAtomicBlocks:
    def test_a_rollback_takes_the_run_with_it(self) -> None:
        with transaction.atomic():
            programs.greet.start("nobody")
            transaction.set_rollback(True)
        assert not WorkflowRun.objects.exists()

    def test_waiting_for_a_result_inside_a_block_is_refused(self) -> None:
        with transaction.atomic():
            handle = programs.greet.start("you")
            with pytest.raises(InvalidUse, match="atomic"):
                handle.get_result(timeout=5)
        drain()
        assert handle.get_result(timeout=1) == "hello you"

    def test_a_message_sent_in_a_block_that_is_rolled_back_was_never_sent(self) -> None:
        handle = programs.listens.start(0)
        with transaction.atomic():
            durable.send(handle.workflow_id, "hello", "topic")
            transaction.set_rollback(True)
        drain()
        assert handle.get_result(timeout=1) == "nothing"


class TestInATestCase(TestCase):
    def test_a_direct_call_works_in_a_test_cases_own_transaction(self) -> None:
        assert programs.greet("you") == "hello you"
        assert programs.written("write") == 1

    def test_drain_runs_what_was_started(self) -> None:
        handle = programs.greet.start("you")
        drain()
        assert handle.get_result(timeout=0) == "hello you"
