"""Who asks the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from pytest_django import Settings

from durable_workflows.models import WorkflowRun
from tests.api.site import API


@pytest.fixture(autouse=True)
def site_settings(settings: Settings) -> Settings:
    """The site of these tests in the place of the project's."""
    settings.ROOT_URLCONF = "tests.api.site"
    return settings


@pytest.fixture
def by_token(settings: Settings) -> None:
    """Tokens are known."""
    settings.DURABLE_WORKFLOWS = {**settings.DURABLE_WORKFLOWS, "API_AUTHENTICATE": "tests.api.site.by_token"}


@pytest.fixture
def anybody_is_root(settings: Settings) -> None:
    """Whoever asks may do all, at no query's cost."""
    settings.DURABLE_WORKFLOWS = {**settings.DURABLE_WORKFLOWS, "API_AUTHENTICATE": "tests.api.site.always_root"}


class Asker:
    """A client that speaks JSON, for whom CSRF is checked as for any other."""

    def __init__(self, user: User | None = None, **headers: str) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.headers = headers
        if user is not None:
            self.client.force_login(user)
            token = "t" * 32
            self.client.cookies["csrftoken"] = token
            self.headers["X-CSRFToken"] = token

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {} if body is None else {"data": body if isinstance(body, bytes) else json.dumps(body)}
        kind = headers.pop("content_type", "application/json") if sent else ""
        where = path if path.startswith("/") else API + path
        return self.client.generic(method, where, content_type=kind, headers={**self.headers, **headers}, **sent)

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)


@pytest.fixture
def root(db: None) -> Asker:
    """A superuser's session."""
    return Asker(User.objects.create_superuser("root"))


@pytest.fixture
def staff(db: None) -> Callable[..., Asker]:
    """The session of a member of the staff with these permissions."""

    def make(*names: str, **fields: Any) -> Asker:
        user = User.objects.create_user(f"staff{User.objects.count()}", **{"is_staff": True, **fields})
        grant(user, *names)
        return Asker(user)

    return make


def grant(user: User, *names: str) -> None:
    """Give permissions of the app; one that no migration has made yet is made."""
    of_runs = ContentType.objects.get_for_model(WorkflowRun)
    for name in names:
        found = Permission.objects.filter(codename=name, content_type__app_label="durable_workflows").first()
        user.user_permissions.add(found or Permission.objects.create(codename=name, content_type=of_runs, name=name))


def problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    """The document of a problem, which is of this status and type, and tells nothing of the inside."""
    assert response.status_code == status, (response.status_code, response.content)
    assert response.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = response.json()
    assert told["type"] == f"urn:durable-workflows:problem:{kind}"
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert "Traceback" not in response.content.decode()
    return told
