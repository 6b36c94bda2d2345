"""A site with webhooks of several kinds and forms behind links, and the workflows that they speak to."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import BadRequest
from django.db import connection
from django.forms import BaseForm
from django.http import HttpRequest
from django.test import Client
from django.urls import path

import durable_workflows as durable
from durable_workflows.web.approvals import ApprovalView
from durable_workflows.web.webhooks import BodySignature, TimedSignature, WebhookEvent, from_header, webhook
from tests.app.models import Ledger

SECRET = "only the carrier and we know it"
TIMED = TimedSignature("Carrier-Signature")
BODY = BodySignature()


@durable.step
def enter(event: Any) -> Any:
    Ledger.objects.create(run_id=durable.current().workflow_id, step="handled")  # type: ignore[union-attr]
    return event


@durable.workflow
def handle(event: Any) -> Any:
    return enter(event)


@durable.workflow
def other(event: Any) -> Any:
    return event


@durable.workflow
def asks(topic: str, seconds: float | None) -> Any:
    return durable.recv(topic, timeout_seconds=seconds, default="nobody answered")


@webhook(handle, sender="carrier", secret="CARRIER_SECRET", signature=TIMED, max_bytes=10_000)
def carrier(request: HttpRequest, event: WebhookEvent) -> Any:
    """Notes each delivery, and does what its event asks for."""
    Ledger.objects.create(run_id=event.workflow_id, step="delivered")
    wish = event.data.get("wish")
    if wish == "refuse":
        raise BadRequest("<not wanted>")
    if wish == "fail":
        raise RuntimeError("the function fails")
    return "another argument" if wish == "other argument" else None


@webhook(handle, sender="git", secret="CARRIER_SECRET", signature=BODY, event_id=from_header("X-Delivery"))
def git(request: HttpRequest, event: WebhookEvent) -> None:
    assert request.body == event.body


@webhook(other, sender="carrier", secret="CARRIER_SECRET", signature=TIMED)
def confused(request: HttpRequest, event: WebhookEvent) -> None:
    Ledger.objects.create(run_id=event.workflow_id, step="delivered")


@webhook(handle, sender="breaking", secret="CARRIER_SECRET", signature=TIMED)
def breaking(request: HttpRequest, event: WebhookEvent) -> None:
    """Loses its database before it can commit."""
    Ledger.objects.create(run_id=event.workflow_id, step="delivered")
    if event.data.get("wish") == "break":
        break_session()


def break_session() -> None:
    """What a server that goes away does to a session; SQLite has none, but a file that cannot be written."""
    ends = {
        "postgresql": "SELECT pg_terminate_backend(pg_backend_pid())",
        "mysql": "KILL CONNECTION_ID()",
        "sqlite": "PRAGMA query_only = 1",  # the disk is mounted to be read only
    }
    with connection.cursor() as cursor:
        cursor.execute(ends[connection.vendor])
        cursor.executemany(
            f"INSERT INTO {Ledger._meta.db_table} (run_id, step, note, created) VALUES (%s, '', '', '2020-01-01')",
            [["x" * 200] for _ in range(10_000)],
        )


@webhook(handle, sender="depth", secret="CARRIER_SECRET", signature=TIMED)
def depth(request: HttpRequest, event: WebhookEvent) -> list[bool]:
    """Tells in how many transactions it was called."""
    return [connection.in_atomic_block, *(True for _ in connection.savepoint_ids)]


class Decide(ApprovalView):
    topic = "decision"

    def record(self, form: BaseForm) -> None:
        Ledger.objects.create(run_id=self.question.workflow_id, step=form.cleaned_data["decision"])
        if form.cleaned_data["note"] == "fail":
            raise RuntimeError("the function fails")


class Elsewhere(ApprovalView):
    topic = "other"
    success_url = "/thanks/"

    def answer_of(self, form: BaseForm) -> Any:
        return [self.question.about, form.cleaned_data["decision"]]


class Unfinished(ApprovalView):
    """Forgot its topic."""


urlpatterns = [
    path("carrier/", carrier),
    path("git/", git),
    path("confused/", confused),
    path("breaking/", breaking),
    path("depth/", depth),
    path("decide/<str:token>/", Decide.as_view(), name="decide"),
    path("elsewhere/<str:token>/", Elsewhere.as_view(), name="elsewhere"),
    path("unfinished/<str:token>/", Unfinished.as_view()),
]


def stranger() -> Client:
    """A client without cookies, for whom CSRF is checked."""
    return Client(enforce_csrf_checks=True)


def deliver(client: Client, event: Any, where: str = "/carrier/", **changes: Any) -> Any:
    """Post an event as the sender does; ``changes``: another ``secret``, ``at``, ``header``, ``body`` or ``kind`` than is right."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    header = TIMED.sign(body, changes.get("secret", SECRET), changes.get("at"))
    headers = {"Carrier-Signature": changes.get("header", header)}
    kind = changes.get("kind", "application/json")
    return client.post(where, changes.get("body", body), content_type=kind, headers=headers)
