"""What is done over HTTP is done once, whole, by who may, and is in the log."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client
from pytest_django import Settings

from durable_workflows import Queue, get_result, get_workflow_status, start_workflow
from durable_workflows.models import Message, WorkflowRun
from durable_workflows.testing import drain
from tests.api import site
from tests.api.conftest import Asker, problem
from tests.api.requests import SHOP, make_rows

db = pytest.mark.django_db
START = {"workflow": SHOP, "workflow_id": "order-7", "args": [7], "kwargs": {"note": {"deep": [1.5, None]}}}


@db
class TestStarting:
    def test_an_id_stands_for_one_start(self, root: Asker) -> None:
        first = root.post("runs", START)
        assert (first.status_code, first.headers["Location"]) == (201, "/durable/api/runs/order-7")
        assert first.json() == {"workflow_id": "order-7", "name": SHOP, "status": "ENQUEUED"}
        drain()
        again = root.post("runs", START | {"args": ["something else"]})
        assert (again.status_code, again.json()["status"]) == (200, "SUCCESS")
        assert "Location" not in again.headers
        assert get_result("order-7", 1) == [{"order": 7}, {"deep": [1.5, None]}]
        other = START | {"workflow": "tests.api.site.waits", "args": [], "kwargs": {}}
        assert "order-7" in problem(root.post("runs", other), 409, "conflict")["detail"]
        assert LogEntry.objects.count() == 1  # of the start that started something

    def test_what_is_said_of_a_run_holds(self, root: Asker) -> None:
        said = {
            "queue": "parcels", "priority": 3, "delay": 60, "deduplication_id": "d", "app_version": "v2", "timeout": 5,
            "attributes": {"of": ["x"]},
        }  # fmt: skip
        run_id = root.post("runs", {"workflow": SHOP, **said}).json()["workflow_id"]
        run = get_workflow_status(run_id)
        assert run is not None
        told = {name: getattr(run, "queue_name" if name == "queue" else name) for name in said if name != "delay"}
        assert told == {name: value for name, value in said.items() if name != "delay"}
        assert (run.status, run.user) == ("DELAYED", "root")

    def test_a_deduplication_id_is_held_once(self, root: Asker) -> None:
        asked = {"workflow": SHOP, "queue": "parcels", "deduplication_id": "d"}
        holder = root.post("runs", asked).json()["workflow_id"]
        assert problem(root.post("runs", asked), 409, "deduplicated")["workflow_id"] == holder
        same = root.post("runs", asked | {"duplication_policy": "return-existing"})
        assert (same.status_code, same.json()["workflow_id"]) == (200, holder)
        assert WorkflowRun.objects.count() == 1

    def test_only_a_registered_workflow_is_started(self, root: Asker) -> None:
        Queue("parted", partition_queue=True)
        for name in ("no.such", "tests.api.site.look", "os.system"):
            problem(root.post("runs", {"workflow": name}), 404, "not-found")
        for more in (
            {"priority": 1},
            {"queue": "parted"},
            {"queue": "plain\n"},
            {"workflow": ""},
            {"timeout": 0},
            {"args": {}},
        ):
            problem(root.post("runs", {"workflow": SHOP, **more}), 400, "bad-request")
        tagged = {"args": [{"deep": [{"$": "type", "name": "os.system", "v": 1}]}]}
        assert problem(root.post("runs", {"workflow": SHOP, **tagged}), 400, "bad-request")["parameter"] == "args"
        assert WorkflowRun.objects.count() == 0

    def test_an_id_may_be_any_text(self, root: Asker) -> None:
        for run_id in (
            "a/b/c",
            "a b",
            "100%25",
            "line\nbreak",
            "über",
            "?x=1#y",
            "a/steps",
            "openapi.json",
            "x;y",
            "\u202egnp",
            "a//b/",
        ):
            started = root.post("runs", START | {"workflow_id": run_id})
            assert started.status_code == 201, run_id
            if run_id != "a/steps":  # it is read as the steps of "a": that one is found by the list
                assert root.get(started.headers["Location"]).json()["workflow_id"] == run_id
            assert root.post(started.headers["Location"] + "/cancel").json() == {
                "workflow_id": run_id, "name": SHOP, "status": "CANCELLED",
            }  # fmt: skip
        assert root.get("runs?workflow_ids=a/steps").json()["runs"][0]["workflow_id"] == "a/steps"


@pytest.mark.django_db(transaction=True)
def test_of_many_starts_under_one_id_at_once_one_is_new(anybody_is_root: None) -> None:
    answers: list[int] = []

    def ask() -> None:
        try:
            answers.append(Asker().post("runs", START).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 5 + [201]


@db
class TestVerbs:
    def test_each_does_what_its_function_does(self, root: Asker) -> None:
        rows = make_rows()
        status = lambda run_id: WorkflowRun.objects.get(pk=run_id).status  # noqa: E731  read again each time
        assert root.post(f"runs/{rows.waiting}/pause").json()["status"] == status(rows.waiting) == "PAUSED"
        assert root.post(f"runs/{rows.waiting}/unpause").json()["status"] != "PAUSED"
        drain()
        sent = {"message": [1, "\0"], "topic": "paid", "idempotency_key": "k"}
        assert {root.post(f"runs/{rows.waiting}/send", sent).status_code for _ in range(3)} == {200}
        assert Message.objects.filter(run_id=rows.waiting).count() == 1
        drain()
        assert get_result(rows.waiting, 1) == [1, "\0"]
        fork = root.post(f"runs/{rows.done}/fork", {"start_step": 1, "args": ["new"], "workflow_id": "forked"})
        assert (fork.status_code, fork.headers["Location"]) == (201, "/durable/api/runs/forked")
        drain()
        assert get_result("forked", 1) == [{"order": "new"}, None]
        again = root.post(f"runs/{rows.done}/fork", {"start_step": 1, "workflow_id": "forked"})
        assert (again.status_code, again.json()["status"]) == (200, "SUCCESS")
        problem(root.post(f"runs/{rows.done}/fork", {"start_step": 1, "workflow_id": rows.failed}), 409, "conflict")
        assert root.post(f"runs/{rows.failed}/retry").json()["status"] == "ENQUEUED"
        assert root.post(f"runs/{rows.failed}/cancel").json()["status"] == "CANCELLED"
        assert root.post(f"runs/{rows.failed}/resume", {"queue": "other"}).json()["status"] == "ENQUEUED"
        problem(root("DELETE", f"runs/{rows.failed}"), 409, "conflict")
        assert root("DELETE", f"runs/{rows.done}").status_code == 204
        problem(root.get(f"runs/{rows.done}"), 404, "not-found")
        assert LogEntry.objects.filter(change_message="Sent a message by the API.").count() == 1  # of three
        logged = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
        assert logged[:2] == ["Paused by the API.", "Unpaused by the API."]
        assert logged[-1] == "Deleted by the API."
        assert {entry.user.get_username() for entry in LogEntry.objects.all()} == {"root"}

    def test_several_at_once_are_all_or_nothing(self, root: Asker) -> None:
        rows = make_rows()
        ids = [rows.waiting, rows.done, rows.failed]
        before = sorted(WorkflowRun.objects.values_list("pk", "status"))
        problem(root.post("bulk/cancel", {"workflow_ids": [*ids, "unknown"]}), 404, "not-found")
        problem(root.post("bulk/delete", {"workflow_ids": ids}), 409, "conflict")
        problem(root.post("bulk/cancel", {"workflow_ids": ids * 200}), 400, "bad-request")
        assert sorted(WorkflowRun.objects.values_list("pk", "status")) == before
        assert not LogEntry.objects.exists()
        told = root.post("bulk/cancel", {"workflow_ids": [*ids, *ids]}).json()["runs"]
        assert [run["status"] for run in told] == ["CANCELLED", "SUCCESS", "ERROR"]
        assert root.post("bulk/delete", {"workflow_ids": ids}).status_code == 204
        assert not WorkflowRun.objects.filter(pk__in=ids).exists()

    def test_a_rewinding_is_not_repeated(self, root: Asker) -> None:
        run_id = make_rows().done
        asked = {"start_step": 2, "expected_generation": root.get(f"runs/{run_id}").json()["generation"]}
        assert root.post(f"runs/{run_id}/rewind", asked).status_code == 200
        drain()
        assert "begun anew" in problem(root.post(f"runs/{run_id}/rewind", asked), 409, "conflict")["detail"]
        assert WorkflowRun.objects.get(pk=run_id).status == "SUCCESS"

    def test_queues_and_schedules(self, root: Asker) -> None:
        rows = make_rows()
        assert root.post(f"queues/{rows.queue}/pause").json()["paused"] is True
        assert root.get(f"queues/{rows.queue}").json()["limits"] == {"concurrency": 3}
        assert root.post(f"queues/{rows.queue}/resume").json()["paused"] is False
        assert root.post(f"schedules/{rows.schedule}/pause").json()["status"] == "PAUSED"
        assert root.post(f"schedules/{rows.schedule}/resume").json()["status"] == "ACTIVE"
        started = root.post(f"schedules/{rows.schedule}/trigger")
        assert root.get(started.headers["Location"]).json()["schedule_name"] == rows.schedule
        assert root.get("schedules").json()["schedules"][0]["context"] == {"deep": [1, [2, 3]]}
        assert LogEntry.objects.count() == 5


@db
class TestWhoAsks:
    def test_a_session_needs_the_csrf_token(self, by_token: None) -> None:
        user = User.objects.create_superuser("root")
        client = Client(enforce_csrf_checks=True)
        client.force_login(user)
        ask = lambda **headers: client.post("/durable/api/runs", START, "application/json", headers=headers)  # noqa: E731  asked four times, in four ways
        problem(ask(), 403, "csrf")
        client.cookies["csrftoken"] = "t" * 32
        problem(ask(**{"X-CSRFToken": "u" * 32}), 403, "csrf")
        problem(client.delete("/durable/api/runs/x"), 403, "csrf")
        problem(ask(Authorization="Bearer wrong"), 403, "csrf")
        assert WorkflowRun.objects.count() == 0
        assert ask(**{"X-CSRFToken": "t" * 32}).status_code == 201
        assert ask(Authorization="Bearer token-of-root").status_code == 200
        assert client.get("/durable/api/runs").status_code == 200

    def test_a_token_makes_known_without_a_session(self, by_token: None, staff: Callable[..., Asker]) -> None:
        User.objects.create_user("guest")
        User.objects.create_superuser("service", is_active=False)
        problem(Asker(Authorization="Bearer token-of-guest").get("runs"), 403, "forbidden")
        problem(Asker(Authorization="Bearer token-of-service").get("runs"), 403, "forbidden")
        for wrong in ("Bearer", "Bearer token-of-nobody", "Basic eDp5", "Bearer \xff"):
            problem(Asker(Authorization=wrong).get("runs"), 401, "unauthenticated")

    def test_what_is_no_user_is_the_programs_fault(self, settings: Settings) -> None:
        for path in ("tests.api.site.nonsense", "tests.api.site.API", "no.such.thing", "nothing"):
            settings.DURABLE_WORKFLOWS = {"API_AUTHENTICATE": path}
            with pytest.raises(ImproperlyConfigured, match="API_AUTHENTICATE"):
                Asker().get("runs")

    def test_without_tokens_the_answer_says_session(self) -> None:
        assert problem(Asker().get("nothing/here"), 401, "unauthenticated")
        assert Asker().get("runs").headers["WWW-Authenticate"] == "Session"


@db(transaction=True)
def test_a_database_that_is_away_is_said_so(settings: Settings) -> None:
    run_id = start_workflow(site.shop).workflow_id
    settings.DURABLE_WORKFLOWS = {**settings.DURABLE_WORKFLOWS, "API_AUTHENTICATE": "tests.api.site.breaking"}
    try:
        for method, path, body, again in (
            ("POST", "runs", START, True), ("POST", f"runs/{run_id}/cancel", None, False), ("POST", "runs", {"workflow": SHOP}, False),
            ("POST", f"runs/{run_id}/send", {"message": 1, "idempotency_key": "k"}, True),
            ("POST", f"runs/{run_id}/send", {"message": 1}, False), ("POST", f"runs/{run_id}/fork", {"start_step": 1}, False),
        ):  # fmt: skip
            response = Asker()(method, path, body)
            told = problem(response, 503, "unavailable")["detail"]
            assert ("Send the request again." in told, "Look before" in told) == (again, not again), path
            assert int(response.headers["Retry-After"]) > 0
            connection.close()
    finally:
        connection.close()
    settings.DURABLE_WORKFLOWS = {**settings.DURABLE_WORKFLOWS, "API_AUTHENTICATE": "tests.api.site.always_root"}
    assert Asker().post("runs", START).status_code == 201


@db
def test_a_view_is_in_no_transaction_of_the_project(anybody_is_root: None) -> None:
    """So the answer is given after the commit."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        depth: list[int] = []
        with connection.execute_wrapper(
            lambda execute, *rest: (depth.append(len(connection.savepoint_ids)), execute(*rest))[1]
        ):
            Asker().get("runs")
        assert set(depth) == {len(connection.savepoint_ids)}
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
