"""Who looks at the admin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

RUNS = "/admin/durable_workflows/workflowrun/"


@pytest.fixture
def admin_client(db: None) -> Client:
    """A superuser's browser."""
    return _client(User.objects.create_superuser("root"))


@pytest.fixture
def client_with(db: None) -> Callable[..., Client]:
    """The browser of a member of the staff with some permissions, on runs by default: ``client_with("view", "cancel")``."""

    def make(*verbs: str, on: str = "workflowrun") -> Client:
        user = User.objects.create_user(f"staff-{on}-{'-'.join(verbs)}", is_staff=True)
        names = [f"{verb}_{on}" for verb in verbs]
        user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="durable_workflows"))
        return _client(user)

    return make


def _client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page_of(workflow_id: str) -> str:
    """The address of a run's page."""
    return reverse("admin:durable_workflows_workflowrun_change", args=[quote(workflow_id)])
