"""The list of runs: what it says, what it finds, what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_workflows import registry
from durable_workflows.admin.base import CappedPaginator
from durable_workflows.definitions import Workflow
from durable_workflows.models import Kind, WorkflowRun
from tests.admin.conftest import RUNS
from tests.admin.html import Page, read
from tests.admin.rows import ago, dumps, make_queue, make_run, make_runs, make_wait

pytestmark = pytest.mark.django_db


def row_of(client: Client, **fields: Any) -> str:
    """The text of the list when it holds one run only."""
    make_run(**fields)
    return read(client.get(RUNS)).text


def ids_in(client: Client, query: str) -> set[str]:
    """The ids of the listed runs."""
    html = client.get(RUNS + query).content.decode()
    return set(re.findall(r'name="_selected_action" value="([^"]*)"', html))


def test_a_run_in_the_list(admin_client: Client) -> None:
    start = ago(hours=3)
    run = make_run(
        status="SUCCESS", queue="mail", recovery_attempts=2, created_at=start, started_at=start,
        completed_at=start + timedelta(minutes=2, seconds=5),
    )  # fmt: skip
    html = admin_client.get(RUNS).content.decode()
    assert '<span class="dw-pill dw-success">succeeded</span>' in html
    assert f'title="{run.pk}"' in html
    assert f'href="{RUNS}{run.pk.replace("_", "_5F")}/change/"' in html
    text = Page(html).text
    assert "checkout shop" in text
    assert f"queue mail attempts 2 created {start:%Y-%m-%d %H:%M:%S} 3 h 0 min ago duration 2 min 5 s" in text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"status": "ENQUEUED"}, "waits for a worker"),
        ({"status": "ENQUEUED", "suspect": True}, "waits to run alone"),
        ({"status": "ENQUEUED", "stranded": "name"}, "nobody knows this workflow"),
        ({"status": "ENQUEUED", "stranded": "history", "note": "step 3 is now b"}, "no longer fits its history (step 3 is now b)"),
        ({"status": "ENQUEUED", "stranded": "payload", "note": None}, "its stored data cannot be read"),
        ({"status": "ENQUEUED", "saga": "cancelled"}, "was cancelled, and waits for a worker to undo its steps"),
        ({"status": "RUNNING"}, "a worker runs it"),
        ({"status": "RUNNING", "progress_done": 3, "progress_total": 9, "progress_text": "pages"}, "3/9 pages · a worker runs it"),
        ({"status": "RUNNING", "progress_done": 3}, "3 · a worker runs it"),
        ({"status": "RUNNING", "progress_text": "warming up"}, "warming up · a worker runs it"),
        ({"status": "PAUSED"}, "paused by an operator"),
        ({"status": "CANCELLING"}, "undoes its steps"),
        ({"status": "WAITING"}, "waits"),
        ({"status": "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "note": "7 lost leases"}, "given up: its workers died too often (7 lost leases)"),
    ],
)  # fmt: skip
def test_what_a_run_is_doing(admin_client: Client, fields: dict[str, Any], text: str) -> None:
    assert text in row_of(admin_client, **fields)


def test_a_delayed_run_says_when_it_starts(admin_client: Client) -> None:
    due = ago(days=-2)
    assert f"starts at {due:%Y-%m-%d %H:%M}" in row_of(admin_client, status="DELAYED", due_at=due)


DUE = ago(days=-1)


@pytest.mark.parametrize(
    ("kind", "fields", "text"),
    [
        (Kind.SLEEP, {"due_at": DUE}, f"sleeps until {DUE:%Y-%m-%d %H:%M}"),
        (Kind.RETRY, {"due_at": DUE}, f"tries again at {DUE:%Y-%m-%d %H:%M}"),
        (Kind.RECV, {"key": "paid"}, "waits for message “paid”"),
        (Kind.RECV, {}, "waits for a message"),
        (Kind.RECV, {"key": "paid", "due_at": DUE}, f"waits for message “paid”, until {DUE:%Y-%m-%d %H:%M} at the latest"),
        (Kind.GET_EVENT, {"key": "status", "source_id": "order-1"}, "waits for event “status” of run order-1"),
        (Kind.RESULT, {"source_id": "order-1"}, "waits for the result of run order-1"),
        (Kind.STREAM, {"key": "log", "source_id": "order-1"}, "waits for stream “log” of run order-1"),
        (Kind.MANAGE, {}, "waits"),
    ],
)  # fmt: skip
def test_what_a_run_waits_for(admin_client: Client, kind: Kind, fields: dict[str, Any], text: str) -> None:
    make_wait(make_run(status="WAITING"), kind, **fields)
    assert text in read(admin_client.get(RUNS)).text


def test_several_waits_are_counted(admin_client: Client) -> None:
    run = make_run(status="WAITING")
    for position in range(3):
        make_wait(run, Kind.RESULT, source_id=f"child-{position}", position=position)
    assert "waits for the result of run child-0, and 2 more" in read(admin_client.get(RUNS)).text


def test_the_first_of_several(admin_client: Client) -> None:
    run = make_run(status="WAITING")
    for position in range(3):
        make_wait(run, Kind.FIRST, source_id=f"child-{position}")
    assert "waits for the first of 3" in read(admin_client.get(RUNS)).text


def test_waits_of_an_earlier_generation_are_past(admin_client: Client) -> None:
    make_wait(make_run(status="WAITING", generation=1), Kind.RECV, key="bygone-key", generation=0)
    assert "bygone-key" not in read(admin_client.get(RUNS)).text


def test_a_paused_queue_is_the_reason(admin_client: Client) -> None:
    make_queue("slow", paused=True)
    assert "its queue is paused" in row_of(admin_client, queue="slow")


@pytest.mark.parametrize(
    ("queue", "fields", "text"),
    [
        ({"paused": True}, {"turn": -1}, "waits for a worker"),  # resumed by hand, so it is run all the same
        ({"overrides": {"concurrency": 0}}, {}, "its queue's limits cannot be read"),
        ({"declared": {"concurrency": 1}}, {}, "waits for a worker, and its queue has limits"),
        ({"declared": {"concurrency": 1}, "overrides": {"concurrency": None}}, {}, "waits for a worker default"),
    ],
    ids=str,
)
def test_a_queue_that_holds_a_run_up(admin_client: Client, queue: dict[str, Any], fields: dict[str, Any], text: str) -> None:
    make_queue("default", **queue)
    assert text in row_of(admin_client, **fields).replace("&#x27;", "'")


@pytest.mark.parametrize("number", [5, 200])
def test_the_list_costs_the_same_for_few_and_for_many(
    admin_client: Client, django_assert_num_queries: Callable[[int], Any], number: int
) -> None:
    make_queue("default")
    for run_id in make_runs(number - 2, status="WAITING"):
        make_wait(WorkflowRun(pk=run_id, generation=0), Kind.RECV, key="paid")
    make_runs(2, status="ENQUEUED")
    with django_assert_num_queries(8):  # session, user, count, queues, runs, waits, their numbers, paused queues
        assert len(ids_in(admin_client, "?all=")) == number


def test_the_list_loads_no_payloads(admin_client: Client) -> None:
    make_run(output=dumps("fulfilled"), attributes={"a": 1})
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(RUNS)
    rows = [query["sql"] for query in queries if "recovery_attempts" in query["sql"]]
    assert len(rows) == 1
    assert not re.search(r"\W(inputs|output|error|attributes)\W", rows[0])


def test_counting_stops_at_the_cap(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CappedPaginator, "cap", 3)
    make_runs(3)
    assert "There are more than" not in read(admin_client.get(RUNS)).text
    make_runs(2)
    assert "There are more than 3;" in read(admin_client.get(RUNS)).text


def test_search_by_id(admin_client: Client) -> None:
    for workflow_id in ("order-1", "order-10", "Order-1", "reorder-1", "order%1"):
        make_run(id=workflow_id)
    assert ids_in(admin_client, "?q=order-1") == {"order-1", "order-10"}
    assert ids_in(admin_client, "?q=order%25") == {"order%1"}
    assert ids_in(admin_client, "?q=rder") == set()
    assert ids_in(admin_client, "?q=x%00y") == {"order-1", "order-10", "Order-1", "reorder-1", "order%1"}  # refused


def test_filter_by_status(admin_client: Client) -> None:
    waiting = make_run(status="WAITING")
    make_run(status="SUCCESS")
    assert ids_in(admin_client, "?status__exact=WAITING") == {waiting.pk}


def test_filter_by_queue(admin_client: Client) -> None:
    mail = make_run(queue="mail")
    make_run()
    assert ids_in(admin_client, "?queue=mail") == {mail.pk}
    assert ids_in(admin_client, "?queue=%00") == set()


def test_filter_by_a_known_workflow_and_by_a_part_of_a_name(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Workflow(name="shop.workflows.checkout", func=test_filter_by_queue)
    monkeypatch.setattr(registry, "_definitions", {known.name: known})
    checkout = make_run(name="shop.workflows.checkout")
    fast = make_run(name="shop.workflows.checkout_fast")
    make_run(name="library.workflows.index")
    assert ids_in(admin_client, "?workflow=shop.workflows.checkout") == {checkout.pk}
    assert ids_in(admin_client, "?workflow=checkout") == {checkout.pk, fast.pk}
    assert ids_in(admin_client, "?workflow=%00") == set()
    html = admin_client.get(RUNS + "?workflow=out_fa&status__exact=ENQUEUED").content.decode()
    assert 'name="workflow" value="out_fa"' in html
    assert '<input type="hidden" name="status__exact" value="ENQUEUED">' in html
    assert "?status__exact=ENQUEUED&amp;workflow=shop.workflows.checkout" in html


def test_filter_by_time_waited(admin_client: Client) -> None:
    old, young, woken = (make_run(status=status) for status in ("WAITING", "WAITING", "ENQUEUED"))
    make_wait(old, Kind.RECV, created_at=ago(days=2))
    make_wait(young, Kind.RECV, created_at=ago(minutes=2))
    make_wait(woken, Kind.RECV, created_at=ago(days=2))
    assert ids_in(admin_client, "?waiting=1d") == {old.pk}
    assert ids_in(admin_client, "?waiting=7d") == set()
    assert ids_in(admin_client, "?waiting=nonsense") == {old.pk, young.pk, woken.pk}


def test_filter_by_being_stuck(admin_client: Client) -> None:
    unknown, changed = make_run(stranded="name"), make_run(stranded="history")
    make_run()
    assert ids_in(admin_client, "?stuck=any") == {unknown.pk, changed.pk}
    assert ids_in(admin_client, "?stuck=history") == {changed.pk}


def test_filter_by_the_time_of_creation(admin_client: Client) -> None:
    make_run(created_at=ago(days=40))
    today = make_run(created_at=ago(seconds=1))
    assert ids_in(admin_client, f"?created_at__gte={ago(days=7):%Y-%m-%d}+00%3A00%3A00%2B00%3A00") == {today.pk}


def test_an_empty_list(admin_client: Client) -> None:
    assert "0 workflow runs" in read(admin_client.get(RUNS)).text
