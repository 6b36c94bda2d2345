"""The part of a run's page that is fetched again while it is open, and the stamp that says whether it must be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from durable_workflows.models import Kind, Message, QueueState, StepAttempt, StepRun, Wait, Worker, WorkflowRun
from durable_workflows.testing import travel
from tests.admin.conftest import page_of
from tests.admin.html import Page
from tests.admin.rows import (
    ago,
    make_attempt,
    make_event,
    make_message,
    make_queue,
    make_run,
    make_step,
    make_stream_entry,
    make_wait,
    make_worker,
)

pytestmark = pytest.mark.django_db


def live(client: Client, run: WorkflowRun, tag: str = "", **query: Any) -> HttpResponse:
    address = page_of(run.pk).replace("/change/", "/live/")
    return client.get(address, query, headers={"If-None-Match": tag} if tag else {})  # type: ignore[return-value]


def long_ago() -> WorkflowRun:
    """A run so old that time alone does not change its page during a test."""
    start = ago(days=400)
    return make_run(status="RUNNING", created_at=start, started_at=start, claimed_at=start, worker_id="w")


def test_the_fragment_is_the_page_without_its_frame(admin_client: Client) -> None:
    run = long_ago()
    make_step(run, 1)
    page = admin_client.get(page_of(run.pk))
    fragment = live(admin_client, run)
    assert fragment.headers["ETag"] == page.context["etag"]
    assert "<html" not in fragment.content.decode()
    assert 'id="timeline"' in fragment.content.decode()
    assert Page(fragment.content.decode()).blocked == []
    unchanged = live(admin_client, run, fragment.headers["ETag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == fragment.headers["ETag"]
    for response in (fragment, unchanged):
        assert {"private", "no-store"} <= {part.strip() for part in response.headers["Cache-Control"].split(",")}
    # A proxy that compresses may weaken the tag, and more than one may be known.
    assert live(admin_client, run, f'"x", W/{fragment.headers["ETag"]}').status_code == 304
    assert live(admin_client, run, '"another"').status_code == 200


def test_each_thing_that_the_page_shows_changes_its_stamp(admin_client: Client) -> None:
    run = long_ago()
    make_worker("w")
    child, fork = make_run(parent=run, id="child"), make_run(forked_from=run, id="fork")
    rows = WorkflowRun.objects.filter(pk=run.pk)
    message = make_message(run)
    changes: list[Callable[[], object]] = [
        lambda: make_step(run, 1),
        lambda: make_attempt(run, 2),
        lambda: make_attempt(run, 2, attempt=2),
        lambda: make_message(run, topic="b"),
        lambda: Message.objects.filter(pk=message.pk).update(consumed_at=ago(seconds=1)),
        lambda: make_event(run),
        lambda: make_stream_entry(run),
        lambda: make_stream_entry(run, offset=1),
        lambda: WorkflowRun.objects.filter(pk=child.pk).update(status="RUNNING", attempt=1),
        lambda: WorkflowRun.objects.filter(pk=child.pk).update(status="SUCCESS"),
        lambda: WorkflowRun.objects.filter(pk=fork.pk).update(status="ERROR"),
        lambda: make_run(parent=run),
        lambda: rows.update(progress_done=3, progress_total=9),
        lambda: rows.update(progress_text="almost"),
        lambda: Worker.objects.update(heartbeat_at=ago(hours=1)),
        lambda: rows.update(status="WAITING"),
        lambda: make_wait(run, Kind.RESULT, source_id="child"),
        lambda: WorkflowRun.objects.filter(pk=child.pk).update(status="CANCELLED"),
        lambda: Wait.objects.all().delete(),
        lambda: rows.update(status="ENQUEUED", due_at=None),
        lambda: make_queue("default", paused=True),
        lambda: QueueState.objects.update(paused=False),
        lambda: make_worker("late", queues=["default"], names=[run.name]),
        lambda: rows.update(stranded="name", note="why"),
        lambda: rows.update(note="why else"),
        lambda: rows.update(generation=1),
        lambda: StepRun.objects.all().delete(),
        lambda: StepAttempt.objects.all().delete(),
        lambda: rows.update(status="SUCCESS", completed_at=ago(seconds=1), updated_at=ago(seconds=1)),
        lambda: rows.update(updated_at=ago(seconds=0)),
    ]
    tag = live(admin_client, run).headers["ETag"]
    for number, change in enumerate(changes):
        assert live(admin_client, run, tag).status_code == 304, number
        change()
        changed = live(admin_client, run, tag)
        assert changed.status_code == 200, f"change {number} is not seen"
        tag = changed.headers["ETag"]


def test_what_happens_in_an_opened_child_changes_the_stamp(admin_client: Client) -> None:
    run = long_ago()
    child = make_run(parent=run, id="child", status="RUNNING", started_at=ago(days=300))
    tag = live(admin_client, run, open="child").headers["ETag"]
    make_step(child, 1)
    assert live(admin_client, run, tag, open="child").status_code == 200
    tag = live(admin_client, run).headers["ETag"]
    make_step(child, 2)
    assert live(admin_client, run, tag).status_code == 304


def test_time_alone_changes_the_page_of_an_unfinished_run(admin_client: Client) -> None:
    ended = make_run(status="SUCCESS", started_at=ago(minutes=5), completed_at=ago(minutes=4))
    running = make_run(status="RUNNING", started_at=ago(minutes=5), claimed_at=ago(minutes=5))
    tags = [live(admin_client, run).headers["ETag"] for run in (ended, running)]
    with travel(timedelta(minutes=5)):
        assert [live(admin_client, run, tag).status_code for run, tag in zip((ended, running), tags, strict=True)] == [304, 200]


def test_it_asks_for_the_same_permissions_as_the_page(admin_client: Client, client_with: Callable[..., Client]) -> None:
    run = long_ago()
    viewer = client_with("view")
    assert live(viewer, run).status_code == 200
    assert live(client_with("cancel"), run).status_code == 403
    assert live(Client(), run).status_code == 302
    assert admin_client.post(page_of(run.pk).replace("/change/", "/live/")).status_code == 403
    assert live(admin_client, WorkflowRun(pk="nobody")).status_code == 404
    # The tag of one visitor is none of another's: they see different things.
    assert live(viewer, run, live(admin_client, run).headers["ETag"]).status_code == 200
    assert live(client_with("view", "cancel"), run, live(viewer, run).headers["ETag"]).status_code == 200


def test_asking_costs_little(admin_client: Client, django_assert_num_queries: Callable[[int], Any]) -> None:
    ended, waiting = make_run(status="SUCCESS"), make_run(status="WAITING", created_at=ago(days=400))
    make_wait(waiting, Kind.RECV)
    for run, queries in ((ended, 4), (waiting, 7)):  # session, user, run, counts; two for the wait, and one more
        tag = live(admin_client, run).headers["ETag"]
        for position in range(30):
            make_step(run, position, generation=9)
        tag = live(admin_client, run, tag).headers["ETag"]
        with django_assert_num_queries(queries):
            assert live(admin_client, run, tag).status_code == 304
