"""Queues, schedules and workers, to look at; how queues are changed is in test_queues."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.test import Client

from durable_workflows import scheduled, workflow
from durable_workflows.admin import register
from durable_workflows.models import Dashboard, QueueState, Schedule, Worker, WorkflowRun
from tests.admin.html import read
from tests.admin.rows import ago, dumps, make_queue, make_schedule, make_worker

pytestmark = pytest.mark.django_db

QUEUES, SCHEDULES, WORKERS = (f"/admin/durable_workflows/{name}/" for name in ("queuestate", "schedule", "worker"))


def test_queues(admin_client: Client) -> None:
    make_queue("mail", declared={"concurrency": 10, "limiter": {"limit": 50, "period": 30}}, overrides={"concurrency": 4})
    make_queue("slow", paused=True)
    response = admin_client.get(QUEUES)
    text = read(response).text
    assert "mail open at most 4 at once overridden at most 50 started in any 30 s" in text
    assert "slow paused none" in text
    assert "workflowrun/?queue=mail&amp;status__exact=ENQUEUED" in response.content.decode()


def test_schedules(admin_client: Client) -> None:
    tick = ago(minutes=-30)
    make_schedule("hourly", timezone="Europe/Berlin", next_fire_at=tick)
    make_schedule("feed", cron=None, interval_seconds=90.0, workflow_name="hooks.workflows.poll")
    response = admin_client.get(SCHEDULES)
    text = read(response).text
    assert f"0 * * * * Europe/Berlin {tick:%Y-%m-%d %H:%M:%S}" in text
    assert "poll hooks every 90 s UTC" in text
    assert "workflowrun/?schedule_name__exact=hourly" in response.content.decode()


def test_a_schedule_that_the_code_no_longer_declares_is_shown_as_not_active(admin_client: Client) -> None:
    @scheduled("0 0 1 1 *")
    @workflow(name="tests.admin.yearly")
    def yearly(scheduled_time: datetime, actual_time: datetime) -> None:
        pass

    make_schedule("tests.admin.yearly", in_code=True)
    make_schedule("removed", in_code=True)
    make_schedule("by hand")
    icons = [
        "icon-no" in admin_client.get(SCHEDULES, {"q": name}).content.decode() for name in ("yearly", "removed", "by hand")
    ]
    assert icons == [False, True, False]
    page = read(admin_client.get(f"{SCHEDULES}removed/change/")).text
    assert "declared in the code" in page.lower()


def test_the_context_of_a_schedule_is_clipped_and_escaped(admin_client: Client) -> None:
    make_schedule("feed", context=dumps("<script>alert(1)</script>" + "x" * 5000))
    html = admin_client.get(f"{SCHEDULES}feed/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert" not in html
    assert "x" * 4000 not in html


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "alive"),
        ({"heartbeat_at": ago(minutes=5)}, "silent"),
        ({"heartbeat_at": ago(minutes=5), "lost_at": ago(minutes=4)}, "lost"),
        ({"heartbeat_at": ago(minutes=5), "stopped_at": ago(minutes=5)}, "stopped"),
    ],
)
def test_workers(admin_client: Client, fields: dict[str, Any], state: str) -> None:
    # A margin for the time between the collection of the tests and this one.
    make_worker("web-1-aa", lease_seconds=30.0, queues=["mail", "slow"], app_version="2.1", **fields)
    text = read(admin_client.get(WORKERS)).text
    assert re.search(rf"{state} [\w. ]+ ago 0 of 16 web-1:4711 mail, slow 2\.1", text), text


def test_a_worker_for_direct_calls(admin_client: Client) -> None:
    make_worker("web-1-direct", direct=True)
    assert "direct calls only" in read(admin_client.get(WORKERS)).text


@pytest.mark.parametrize("address", [QUEUES, SCHEDULES, WORKERS])
def test_they_cost_the_same_for_few_and_for_many(
    admin_client: Client, django_assert_num_queries: Callable[[int], Any], address: str
) -> None:
    for number in range(20):
        make_queue(f"queue-{number}")
        make_schedule(f"schedule-{number}")
        make_worker(f"worker-{number}")
    own = {QUEUES: 5, WORKERS: 1}.get(address, 0)  # what goes on in them: now, depths, leased, kept, put off; runs
    with django_assert_num_queries(4 + own):  # session, user, count, rows
        assert read(admin_client.get(address)).blocked == []


@pytest.mark.parametrize("address", [WORKERS])
def test_they_are_not_changed(admin_client: Client, address: str) -> None:
    make_worker("x")
    assert read(admin_client.get(f"{address}x/change/")).blocked == []
    for place in ("add/", "x/delete/", "x/change/"):
        assert admin_client.post(address + place, {"post": "yes", "name": "y"}).status_code == 403
    assert Worker.objects.filter(pk="x").count() == 1


def test_they_need_the_permission_to_view(client_with: Callable[..., Client]) -> None:
    client = client_with("view")  # runs only
    assert [client.get(address).status_code for address in (QUEUES, SCHEDULES, WORKERS)] == [403, 403, 403]


def test_a_site_of_ones_own() -> None:
    site = AdminSite("other")
    register(site)
    assert all(site.is_registered(model) for model in (WorkflowRun, QueueState, Schedule, Worker, Dashboard))
