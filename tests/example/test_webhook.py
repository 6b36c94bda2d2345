"""The webhook: only what the sender signed, lately; each event one run, however often it is delivered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from durable_workflows import SetWorkflowID
from example_project.hooks.models import Delivery, HandledEvent
from example_project.hooks.sender import HEADER
from example_project.hooks.views import SIGNATURE
from example_project.hooks.workflows import handle_event
from tests.example.conftest import WEBHOOK_SECRET

EVENT = {"id": "evt-1", "type": "ping"}
RunIds = Callable[[], list[str]]


def deliver(client: Client, event: Any = EVENT, **changes: Any) -> Any:
    """Post an event as the sender does; ``changes``: another ``secret``, ``at``, ``header`` or ``body`` than signed."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    header = SIGNATURE.sign(body, changes.get("secret", WEBHOOK_SECRET), changes.get("at"))
    headers = {HEADER: changes.get("header", header)}
    return client.post("/hooks/in/", changes.get("body", body), content_type="application/json", headers=headers)


@pytest.fixture
def sender() -> Client:
    """A client without cookies, for whom CSRF is checked as it would be for a stranger."""
    return Client(enforce_csrf_checks=True)


@pytest.mark.django_db
def test_a_signed_event_is_accepted_at_once(sender: Client, run_ids: RunIds) -> None:
    response = deliver(sender)
    assert response.status_code == 202
    assert response.json() == {"accepted": "evt-1"}
    assert run_ids() == ["hook-evt-1"]


@pytest.mark.django_db
def test_a_duplicate_is_answered_alike_and_starts_nothing(sender: Client, run_ids: RunIds) -> None:
    answers: list[HttpResponse] = [deliver(sender) for _ in range(3)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b'{"accepted": "evt-1"}')}
    assert run_ids() == ["hook-evt-1"]
    assert Delivery.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_replay_after_the_event_was_handled_handles_nothing(sender: Client) -> None:
    body = json.dumps(EVENT).encode()
    at = int(time.time())
    assert deliver(sender, body, at=at).status_code == 202
    with SetWorkflowID("hook-evt-2"):
        handle_event(EVENT | {"id": "evt-2"})
    assert deliver(sender, EVENT | {"id": "evt-2"}, at=at).status_code == 202
    assert HandledEvent.objects.filter(event_id="evt-2").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"body": b'{"id": "evt-1", "type": "pong"}'},
        {"secret": "another secret"},
        {"header": ""},
        {"header": "v1=00"},
        {"header": "t=1,v1="},
        {"header": "t=²,v1=00"},
        {"header": "t=999999999999999999999,v1=00"},
        {"header": "t=1,v1=é"},
    ],
)
def test_what_the_sender_did_not_sign_is_refused(sender: Client, run_ids: RunIds, wrong: dict[str, Any]) -> None:
    assert deliver(sender, **wrong).status_code == 401
    assert run_ids() == []
    assert not Delivery.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("away", [-360, 360])
def test_a_signature_outside_of_the_window_is_refused(sender: Client, run_ids: RunIds, away: int) -> None:
    assert deliver(sender, at=int(time.time()) + away).status_code == 401
    assert run_ids() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "event",
    [b"no json", b"[]", b'"text"', b"\xff\xfe", {}, {"id": "evt-1"}, {"id": "", "type": "ping"}, {"id": 7, "type": "ping"},
     {"id": "a b", "type": "ping"}, {"id": "x" * 201, "type": "ping"}, {"id": "evt-1", "type": "ping", "parcel": "<b>"},
     b"[" * 60000],
)  # fmt: skip
def test_a_signed_body_that_is_no_event_is_a_400(sender: Client, run_ids: RunIds, event: Any) -> None:
    response = deliver(sender, event)
    assert response.status_code == 400
    assert response.json()["error"]
    assert run_ids() == []


@pytest.mark.django_db
def test_too_much_is_a_413_and_a_get_a_405(sender: Client) -> None:
    assert deliver(sender, b"x" * 70_000).status_code == 413
    assert sender.get("/hooks/in/").status_code == 405


@pytest.mark.django_db(transaction=True)
def test_the_form_posts_signed_events_over_http(settings: Settings, live_server: LiveServer) -> None:
    settings.DEBUG = True
    answers = send_by_form(live_server, times="2")
    assert answers == ['The webhook answered: 202 {"accepted": "%s"}' % Delivery.objects.first()] * 2  # noqa: UP031 - the very form under test
    assert Delivery.objects.count() == 2
    assert "401" in send_by_form(live_server, alteration="tampered")[0]
    assert "401" in send_by_form(live_server, alteration="late")[0]
    assert Delivery.objects.count() == 2


def send_by_form(live_server: LiveServer, **changes: str) -> list[str]:
    """Fill in the form that plays the sender; returns the messages that the page shows."""
    data = {"kind": "parcel.sent", "parcel": "P-1", "times": "1", "alteration": ""} | changes
    host = live_server.url.removeprefix("http://")
    response = Client(headers={"host": host}).post("/hooks/send/", data, follow=True)
    return [str(message) for message in response.context["messages"]]


@pytest.mark.django_db
def test_the_form_is_for_debug_only(client: Client, settings: Settings) -> None:
    data = {"kind": "ping", "parcel": "P-1", "times": "1", "alteration": ""}
    assert client.post("/hooks/send/", data).status_code == 404
    assert "Send me an event" not in client.get("/hooks/").content.decode()
    settings.DEBUG = True
    assert "Send me an event" in client.get("/hooks/").content.decode()
    assert client.post("/hooks/send/", data | {"times": "100"}).status_code == 400
