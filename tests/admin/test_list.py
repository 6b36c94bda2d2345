"""The list of runs: what it says, what it finds, what it costs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_workflows import registry
from durable_workflows.admin import looking
from durable_workflows.definitions import Workflow
from durable_workflows.models import Kind, WorkflowRun
from durable_workflows.states import TERMINAL, UNFINISHED, RunState
from tests.admin.conftest import RUNS
from tests.admin.html import Page, read
from tests.admin.rows import (
    ago,
    dumps,
    make_attempt,
    make_queue,
    make_run,
    make_runs,
    make_schedule,
    make_step,
    make_wait,
    make_worker,
)

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
    assert f"queue mail attempts 2 created {start:%Y-%m-%d %H:%M:%S} 3 h ago duration 2 min 5 s" in text


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
        ({"declared": {"concurrency": 1}, "overrides": {"concurrency": None}}, {}, "waits for a worker queue default"),
    ],
    ids=str,
)
def test_a_queue_that_holds_a_run_up(admin_client: Client, queue: dict[str, Any], fields: dict[str, Any], text: str) -> None:
    make_queue("default", **queue)
    assert text in row_of(admin_client, **fields).replace("&#x27;", "'")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("query", "least"), [("", 0), ("?status__exact=WAITING", 0), ("?retrying=yes", 2), ("?stuck=any", 2)])
def test_the_list_costs_the_same_for_few_and_for_many(admin_client: Client, query: str, least: int) -> None:
    make_queue("default")
    make_worker("worker")

    def cost(number: int) -> int:
        for run_id in make_runs(number - 2, status="WAITING"):
            run = WorkflowRun(pk=run_id, generation=0, created_at=ago(minutes=1))
            make_wait(run, Kind.RECV, key="paid")
            make_attempt(run, 1)
        make_runs(number, status="ENQUEUED", stranded="name")
        make_runs(2, status="RUNNING", worker_id="worker")
        with CaptureQueriesContext(connection) as queries:
            assert len(ids_in(admin_client, query)) == 50
        return len(queries)

    few, many = cost(60), cost(300)
    assert few == many
    # session, user; choices of 4 filters; edge, runs, count; waits, their numbers, paused queues, workers
    assert few <= 13 + least


def test_the_list_loads_no_payloads(admin_client: Client) -> None:
    make_run(output=dumps("fulfilled"), attributes={"a": 1})
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(RUNS)
    rows = [query["sql"] for query in queries if "recovery_attempts" in query["sql"]]
    assert len(rows) == 1
    assert not re.search(r"\W(inputs|output|error|attributes)\W", rows[0])


def test_counting_stops_at_the_cap(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "COUNTED", 52)
    make_runs(51)
    assert "51 workflow runs Older" in read(admin_client.get(RUNS)).text
    make_runs(2)
    text = read(admin_client.get(RUNS)).text
    assert "52+ workflow runs Older" in text
    assert "Select all runs " in text


def test_search_by_id(admin_client: Client) -> None:
    for workflow_id in ("order-1", "order-10", "Order-1", "reorder-1", "order%1"):
        make_run(id=workflow_id)
    assert ids_in(admin_client, "?q=order-1") == {"order-1", "order-10"}
    assert ids_in(admin_client, "?q=order%25") == {"order%1"}
    assert ids_in(admin_client, "?q=rder") == set()
    assert ids_in(admin_client, "?q=x%00y") == {"order-1", "order-10", "Order-1", "reorder-1", "order%1"}  # refused


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
    WorkflowRun.objects.filter(pk=old.pk).update(created_at=ago(days=3))
    make_wait(old, Kind.RECV, created_at=ago(days=2))
    make_wait(young, Kind.RECV, created_at=ago(minutes=2))
    make_wait(woken, Kind.RECV, created_at=ago(days=2))
    assert ids_in(admin_client, "?waiting=1d") == {old.pk}
    assert ids_in(admin_client, "?waiting=7d") == set()
    assert ids_in(admin_client, "?waiting=2d") == set()


def test_filter_by_being_stuck(admin_client: Client) -> None:
    unknown, changed = make_run(stranded="name"), make_run(stranded="history")
    make_run()
    make_worker("alive")
    make_worker("silent", heartbeat_at=ago(hours=1))
    make_run(status="RUNNING", worker_id="alive")
    forsaken = {
        make_run(status=status, worker_id=worker).pk for status, worker in (("RUNNING", "silent"), ("CANCELLING", "who?"))
    }
    make_run(status="SUCCESS", worker_id="silent")
    assert ids_in(admin_client, "?stuck=any") == {unknown.pk, changed.pk, *forsaken}
    assert ids_in(admin_client, "?stuck=history") == {changed.pk}
    assert ids_in(admin_client, "?stuck=worker") == forsaken
    assert "its worker is gone, and no other has taken it over yet" in read(admin_client.get(f"{RUNS}?stuck=worker")).text
    assert ids_in(admin_client, "?stuck=nonsense") == set()


def test_filter_by_a_step_that_is_tried_again(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    retrying, replayed, recovered, ended, bygone = (
        make_run(status=status) for status in ("WAITING", "RUNNING", "WAITING", "ERROR", "WAITING")
    )
    for run in (retrying, replayed, recovered, ended, bygone):
        make_attempt(run, 2)
    make_step(recovered, 2)
    make_step(replayed, 1)
    WorkflowRun.objects.filter(pk=bygone.pk).update(generation=1)
    make_run(status="WAITING")
    assert ids_in(admin_client, "?retrying=yes") == {retrying.pk, replayed.pk}
    monkeypatch.setattr("durable_workflows.admin.filters.LAST_FAILED", 3)
    assert ids_in(admin_client, "?retrying=yes") == set()  # of the failed attempts the last three are looked at
    assert ids_in(admin_client, "?retrying=1") == set()


def test_filter_by_what_a_run_belongs_to(admin_client: Client) -> None:
    make_schedule("nightly")
    make_worker("web-1")
    mine = make_run(app_version="v2", schedule_name="nightly", worker_id="web-1", status="RUNNING")
    child = make_run(parent=mine)
    for query in ("version=v2", "schedule_name__exact=nightly", "worker=web-1"):
        assert ids_in(admin_client, f"?{query}") == {mine.pk}
        assert ids_in(admin_client, f"?{query.partition('=')[0]}=nobody") == set()
        assert ids_in(admin_client, f"?{query.partition('=')[0]}=%00") == set()
    assert ids_in(admin_client, "?origin=top") == {mine.pk}
    assert ids_in(admin_client, "?origin=child") == {child.pk}
    html = admin_client.get(RUNS).content.decode()
    for choice in ("?worker=web-1", "?schedule_name__exact=nightly"):
        assert f'<a href="{choice}">' in html


def test_filter_by_status(admin_client: Client) -> None:
    runs = {status: make_run(status=status).pk for status in RunState.values}
    for status, pk in runs.items():
        assert ids_in(admin_client, f"?status__exact={status}") == {pk}
    assert ids_in(admin_client, "?status__exact=unfinished") == {runs[status] for status in UNFINISHED}
    assert ids_in(admin_client, "?status__exact=ended") == {runs[status] for status in TERMINAL}
    assert ids_in(admin_client, "?status__exact=nonsense") == set()


def test_filter_by_the_time_of_creation(admin_client: Client) -> None:
    make_run(created_at=ago(days=40))
    today = make_run(created_at=ago(seconds=1))
    assert ids_in(admin_client, f"?created_at__gte={ago(days=7):%Y-%m-%d}+00%3A00%3A00%2B00%3A00") == {today.pk}


def test_filter_by_a_span_of_time(admin_client: Client) -> None:
    old, day, now = (make_run(created_at=moment).pk for moment in (ago(days=40), ago(hours=20), ago(seconds=1)))
    assert ids_in(admin_client, "?created=1h") == {now}
    assert ids_in(admin_client, "?created=7d") == {day, now}
    assert ids_in(admin_client, "?created=2h") == set()
    assert ids_in(admin_client, "?origin=x") == set()
    first = f"{ago(days=41):%Y-%m-%dT%H:%M}"
    between = f"?created_at__gte={first}&created_at__lt={ago(hours=19):%Y-%m-%dT%H:%M:%S}"
    assert ids_in(admin_client, between) == {old, day}
    assert ids_in(admin_client, f"{between}&created=1d") == {day}
    html = admin_client.get(RUNS + between).content.decode()
    assert f'name="created_at__gte" value="{first}"' in html
    for nonsense in ("yesterday", "0001-01-01T00:00+14:00", "2024-02-31", "%00"):
        assert admin_client.get(f"{RUNS}?created_at__gte={nonsense}").headers["Location"] == f"{RUNS}?e=1", nonsense


def test_search_by_attribute_and_user(admin_client: Client) -> None:
    acme = make_run(
        attributes={"tenant": "acme", "order": 7, "gift": True, "note": "to my aunt", "odd__key": "x"}, user="alice"
    ).pk
    other = make_run(attributes={"tenant": "other", "order": "7"}, user="bob", id="order=7").pk
    make_run(attributes={"tenant": ["acme"]})
    both = {acme, other}
    found = {
        "tenant=acme": {acme}, "tenant=acm": set(), "order=7": both, "order=8": set(), "gift=true": {acme},
        "note=to my aunt": {acme}, "odd__key=x": {acme}, "user:alice": {acme}, "user: bob ": {other}, "user:carol": set(),
        "tenant=acme user:alice": {acme}, "tenant=acme user:bob": set(), "id:order=7": {other}, "id:order=": {other},
        "contains=x": set(), "x=1e999": set(), "x=" + "9" * 5000: set(), "'=\"": set(),
    }  # fmt: skip
    for query, ids in found.items():
        assert ids_in(admin_client, "?" + urlencode({"q": query})) == ids, query
    assert "Null characters are not allowed." in read(admin_client.get(RUNS + "?q=x%3D%00")).text


def test_an_empty_list(admin_client: Client) -> None:
    assert "No workflow run yet" in read(admin_client.get(RUNS)).text
    assert "No workflow run matches. Show all" in read(admin_client.get(RUNS + "?queue=mail")).text
    assert "No workflow run matches. Show all" in read(admin_client.get(RUNS + "?q=nobody")).text
