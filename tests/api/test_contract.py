"""The table of endpoints keeps its word: its document is valid, its answers are as it describes them, its permissions hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from durable_workflows.api.openapi import document
from durable_workflows.api.table import ENDPOINTS
from durable_workflows.models import WorkflowRun
from tests.api.conftest import Asker, grant, problem
from tests.api.requests import SAMPLES, make_rows, sample

pytestmark = pytest.mark.django_db
DOCUMENT = json.loads(json.dumps(document(ENDPOINTS, "/durable/api")))


def test_the_document_is_valid_and_the_one_that_is_served(root: Asker) -> None:
    validate(DOCUMENT)
    served = root.get("openapi.json").json()
    assert served == DOCUMENT
    names = [endpoint.name for endpoint in ENDPOINTS]
    assert len(names) == len(set(names))
    assert set(names) == set(SAMPLES)


def test_each_answer_is_as_the_document_describes_it(root: Asker) -> None:
    told: dict[str, int] = {}
    for endpoint in ENDPOINTS:
        rows = make_rows()
        wanted = sample(endpoint, rows)
        response = root(endpoint.method, wanted.path, wanted.body)
        assert response.status_code in endpoint.statuses, (endpoint.name, response.content)
        assert_described(endpoint.path, endpoint.method, response)
        told[endpoint.name] = response.status_code
        if endpoint.method != "GET":
            continue
        again = root.get(wanted.path, **{"If-None-Match": response.headers["ETag"]})
        assert_described(endpoint.path, endpoint.method, again)
        assert (again.status_code, again.content) == (304, b""), endpoint.name
        assert root("HEAD", wanted.path).headers["ETag"] == response.headers["ETag"]
    assert len(told) == len(ENDPOINTS)


def test_each_problem_is_as_the_document_describes_it(root: Asker) -> None:
    rows = make_rows()
    for endpoint in ENDPOINTS:
        bad = [(endpoint.path.replace("{workflow_id}", rows.done).replace("{name}", "parcels") + "?no=such", None, 400)]
        if endpoint.parameter:
            bad.append((endpoint.path.replace(f"{{{endpoint.parameter}}}", "unknown"), sample(endpoint, rows).body, 404))
            bad.append((endpoint.path.replace(f"{{{endpoint.parameter}}}", "%00"), sample(endpoint, rows).body, 400))
        if endpoint.path.startswith("bulk/"):
            bad.append((endpoint.path, {**sample(endpoint, rows).body, "workflow_ids": [rows.done, "unknown"]}, 404))
            bad.append((endpoint.path, {**sample(endpoint, rows).body, "workflow_ids": []}, 400))
        if endpoint.method == "POST":
            bad.append((sample(endpoint, rows).path, b"<no json>", 400))
        for path, body, status in bad:
            response = root(endpoint.method, path, body)
            assert response.status_code == status, (endpoint.name, path, response.content)
            assert_described(endpoint.path, endpoint.method, response)


def assert_described(path: str, method: str, response: Any) -> None:
    """The status is one of the operation's, and the body, if there is one, of its schema."""
    operation = DOCUMENT["paths"][f"/{path}"][method.lower()]
    described = operation["responses"][str(response.status_code)]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if "content" not in described:
        assert response.content == b""
        return
    schema = described["content"][response.headers["Content-Type"]]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(response.json())


def test_the_matrix_of_permissions(staff: Callable[..., Asker], by_token: None) -> None:
    """Each endpoint, asked by each kind of visitor: one who may do it, and all others, who do nothing by it."""
    sets = {tuple(endpoint.permissions) for endpoint in ENDPOINTS}
    every = sorted({permission for needed in sets for permission in needed})
    bare, stranger = staff(), Asker()
    inactive, guest = staff(*every), staff(*every, is_staff=False)
    User.objects.filter(username=f"staff{User.objects.count() - 2}").update(is_active=False)
    everybody_else = {permission: staff(*(name for name in every if name != permission)) for permission in every}
    only = {needed: staff(*needed) for needed in sets}
    for needed in sets:
        grant(User.objects.create_user(f"service-{'-'.join(needed)}", is_staff=True), *needed)
    rows = make_rows()
    before = sorted(WorkflowRun.objects.values_list("pk", "status", "generation"))
    for endpoint in ENDPOINTS:
        wanted = sample(endpoint, rows)
        ask = (endpoint.method, wanted.path, wanted.body)
        for nobody in (stranger, inactive):
            told = nobody(*ask)
            problem(told, 401, "unauthenticated")
            assert told.headers["WWW-Authenticate"] == "Bearer"
            assert "Location" not in told.headers
        problem(guest(*ask), 403, "forbidden")
        for permission in endpoint.permissions:
            problem(bare(*ask), 403, "forbidden")
            refused = problem(everybody_else[permission](*ask), 403, "forbidden")
            assert refused["permission"] == f"durable_workflows.{permission}"
            assert refused["permission"] in refused["detail"]
    assert sorted(WorkflowRun.objects.values_list("pk", "status", "generation")) == before
    for endpoint in ENDPOINTS:
        needed = tuple(endpoint.permissions)
        for visitor in (only[needed], f"service-{'-'.join(needed)}"):
            rows = make_rows()
            wanted = sample(endpoint, rows)
            who = Asker(Authorization=f"Bearer token-of-{visitor}") if isinstance(visitor, str) else visitor
            assert who(endpoint.method, wanted.path, wanted.body).status_code in endpoint.statuses, endpoint.name


def test_deeds_need_what_the_admin_asks_for(staff: Callable[..., Asker]) -> None:
    needed = {endpoint.name: set(endpoint.permissions) for endpoint in ENDPOINTS}
    assert needed["pause_run"] == needed["unpause_runs"] == {"pause_workflowrun", "view_workflowrun"}
    assert needed["trigger_schedule"] == {"start_workflowrun", "view_schedule"}
    assert needed["delete_run"] == {"delete_workflowrun"}  # whose answer tells nothing
    run_id = make_rows().done
    clerk, seer = (staff("fork_workflowrun", "view_workflowrun", *more) for more in ((), ("view_payload_workflowrun",)))
    for other in ({"args": ["x"]}, {"args": []}, {"kwargs": {"order": "x"}}):
        refused = problem(clerk.post(f"runs/{run_id}/fork", {"start_step": 1, **other}), 403, "forbidden")
        assert refused["permission"] == "durable_workflows.view_payload_workflowrun"
        problem(clerk.post("bulk/fork", {"workflow_ids": [run_id], "start_step": 1, **other}), 403, "forbidden")
    assert clerk.post(f"runs/{run_id}/fork", {"start_step": 1}).status_code == 201
    assert seer.post(f"runs/{run_id}/fork", {"start_step": 1, "args": ["x"]}).status_code == 201
