"""A stream as server-sent events: from where the browser was, with signs of life, to the end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from pytest_django.live_server_helper import LiveServer

from durable_workflows import WorkflowHandle, cancel_workflow
from durable_workflows.testing import drain, durable_worker
from example_project import sse
from example_project.library.models import Document
from example_project.library.workflows import opening, reading
from tests import browser
from tests.example.test_browser import browse

pytestmark = pytest.mark.django_db(transaction=True)


def follow(client: Client, run_id: str, last: str | None = None) -> Iterator[str]:
    headers = {} if last is None else {"Last-Event-ID": last}
    response = client.get(f"/library/aloud/{run_id}/stream/", headers=headers)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache"
    return (chunk.decode() for chunk in response.streaming_content)  # type: ignore[attr-defined] - of a streaming response


def parsed(chunks: Iterator[str]) -> tuple[dict[int, Any], str]:
    """Values by their ids, and the last event."""
    events = list(chunks)
    found = [re.fullmatch(r"id: (\d+)\ndata: (.*)\n\n", event) for event in events[:-1]]
    return {int(match[1]): json.loads(match[2]) for match in found if match}, events[-1]


@pytest.fixture
def read() -> WorkflowHandle[int]:
    handle = reading.start("alice.txt", 0)
    drain()
    return handle


def test_the_lines_come_in_order_with_their_offsets_and_then_the_end(client: Client, read: WorkflowHandle[int]) -> None:
    values, last = parsed(follow(client, read.workflow_id))
    assert list(values) == list(range(24))
    assert list(values.values()) == opening("alice.txt")
    assert last == "event: end\ndata:\n\n"


@pytest.mark.parametrize(("last", "offsets"), [("20", [21, 22, 23]), ("23", []), ("99", []), ("x", [*range(24)]),
                                               ("-1", [*range(24)]), ("9" * 30, [*range(24)]), ("²", [*range(24)])])  # fmt: skip
def test_a_browser_that_comes_again_goes_on(client: Client, read: WorkflowHandle[int], last: str, offsets: list[int]) -> None:
    values, end = parsed(iter(sse.events(read.workflow_id, "lines", sse.next_offset(asking(last)))))
    assert list(values) == offsets
    assert end.startswith("event: end")


def asking(last: str) -> Any:
    return RequestFactory().get("/", headers={"Last-Event-ID": last})


def test_a_header_says_where_to_go_on(client: Client, read: WorkflowHandle[int]) -> None:
    assert list(parsed(follow(client, read.workflow_id, "22"))[0]) == [23]


def test_it_ends_with_a_run_that_is_cancelled(client: Client) -> None:
    handle = reading.start("alice.txt", 3600)
    drain()
    cancel_workflow(handle.workflow_id)
    values, last = parsed(follow(client, handle.workflow_id))
    assert list(values) == [0]
    assert last.startswith("event: end")


def test_a_browser_that_has_gone_keeps_no_connection(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.02)
    handle = reading.start("alice.txt", 3600)
    drain()
    response: Any = client.get(f"/library/aloud/{handle.workflow_id}/stream/")
    chunks = iter(response.streaming_content)
    assert [next(chunks).decode()[:5] for _ in range(3)] == ["id: 0", ": not", ": not"]
    assert connection.connection is not None
    response.close()
    assert connection.connection is None


def test_only_readings_can_be_followed(client: Client) -> None:
    other = reading.start("alice.txt", 0)
    for address in ("/library/aloud/nobody/", "/library/aloud/nobody/stream/", "/library/texts/no.txt/aloud/"):
        assert client.get(address).status_code in (404, 405)
        assert client.post(address).status_code in (404, 405)
    page = client.get(f"/library/aloud/{other.workflow_id}/")
    assert page.status_code == 200
    assert f'data-stream="/library/aloud/{other.workflow_id}/stream/"' in page.content.decode()
    assert not re.search(r"<script(?![^>]* src=)", page.content.decode()), "its policy allows no inline script"


def test_the_button_starts_a_reading(client: Client) -> None:
    assert "/library/texts/alice.txt/aloud/" in client.get("/library/texts/alice.txt").content.decode()
    answer = client.post("/library/texts/alice.txt/aloud/")
    assert answer.status_code == 302
    assert "/library/aloud/" in answer.headers["Location"]
    assert client.get(answer.headers["Location"]).status_code == 200
    assert not Document.objects.exists()


@pytest.mark.once
@browser.needed
def test_a_browser_shows_the_lines_as_they_are_written(live_server: LiveServer) -> None:
    with durable_worker(threads=2):
        run_id = reading.start("alice.txt", 0.02).workflow_id

        def look(page: Any) -> None:
            page.goto(f"{live_server.url}/library/aloud/{run_id}/")
            page.wait_for_selector("[data-stream][data-finished]", timeout=30_000)
            assert page.locator("[data-stream] p").count() == 24

        browse(look, width=340, scheme="light")
