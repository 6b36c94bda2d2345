"""The page of a run: all that is recorded of it, clipped and escaped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_workflows.admin import display, history, sight
from durable_workflows.admin.timeline import reading
from durable_workflows.models import Kind, WorkflowRun
from tests.admin.conftest import RUNS, page_of
from tests.admin.html import Page, read
from tests.admin.rows import (
    ago,
    dumps,
    error_text,
    make_attempt,
    make_event,
    make_message,
    make_queue,
    make_run,
    make_step,
    make_stream_entry,
    make_wait,
)

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{ 7|add:7 }}"


def page(client: Client, run: WorkflowRun) -> Page:
    return read(client.get(page_of(run.pk)))


def test_the_summary(admin_client: Client) -> None:
    start = ago(hours=2)
    parent = make_run()
    run = make_run(
        status="SUCCESS", queue="mail", priority=7, created_at=start, started_at=start,
        completed_at=start + timedelta(seconds=90), parent=parent, user="asa", recovery_attempts=3, tries=2, stalled=1,
        deduplication_id="order-7", partition_key="eu", app_version="2.1", schedule_name="nightly", timeout_seconds=2.5,
        attributes={"tier": "gold"}, worker_id="web-1-aa",
    )  # fmt: skip
    shown = page(admin_client, run)
    assert "checkout succeeded shop.workflows.checkout" in shown.text
    for words in (
        "Queue mail", "Priority 7", "Duration 1 min 30 s", f"Started by run {parent.pk}", "User asa",
        "Started or recovered 3×", "Failed and tried again 2×", "Lost without progress 1×", "Deduplication id order-7",
        "Partition eu", "App version 2.1", "Schedule nightly", "Timeout 2.5 s", '"tier": "gold"', "Worker web-1-aa",
    ):  # fmt: skip
        assert words in shown.text
    assert f'href="{page_of(parent.pk)}"' in admin_client.get(page_of(run.pk)).content.decode()


def test_lines_without_a_value_are_left_out(admin_client: Client) -> None:
    text = page(admin_client, make_run()).text
    assert "Deadline" not in text
    assert "Worker" not in text.replace("Workers", "")


def test_inputs_output_and_error(admin_client: Client) -> None:
    run = make_run(
        status="ERROR", inputs=dumps([["Åsa"], {"n": 2}]), output=None, error=error_text(ValueError("no such tea")), note="why"
    )
    shown = page(admin_client, run)
    assert '[["Åsa"], {"n": 2}]' in shown.text
    assert "ValueError : no such tea Traceback" in shown.text.replace("ValueError:", "ValueError :")
    assert "raise error" in shown.text
    assert "Note why" in shown.text
    assert "details" in shown.tags


def test_steps_in_the_order_of_the_body(admin_client: Client) -> None:
    run = make_run(status="RUNNING")
    make_step(run, 2, name="shop.workflows.pay", attempts=3, output=dumps({"charge": "ch_1"}))
    make_step(run, 1, name="shop.workflows.order", output=dumps(1043))
    make_step(run, 1, branch="2.0", name="shop.workflows.ship", error=error_text(OSError("no road")), output=None)
    child = make_run(parent=run)
    make_step(run, 3, kind=Kind.START, child_id=child.pk, name="shop.workflows.mail")
    text = page(admin_client, run).text
    steps = text[text.index("Steps 4") :]
    places = [steps.index(words) for words in ("order", '{"charge": "ch_1"}', "start of a child", "2.0 / 1 ship", "OSError")]
    assert places == sorted(places)
    assert "Started runs 1" in text


def test_a_run_without_steps_says_so(admin_client: Client) -> None:
    assert "No step is recorded yet." in page(admin_client, make_run()).text


def test_failed_attempts(admin_client: Client) -> None:
    run = make_run(status="WAITING")
    make_attempt(run, 3, attempt=1, retry_at=ago(minutes=-1))
    make_attempt(run, 3, attempt=2, error=error_text(TimeoutError("too slow")))
    text = page(admin_client, run).text
    assert "Failed attempts 2" in text
    assert text.index("ConnectionError") < text.index("TimeoutError")


def test_waits_while_it_waits(admin_client: Client) -> None:
    run = make_run(status="WAITING")
    make_wait(run, Kind.GET_EVENT, key="status", source_id="order-1", due_at=ago(days=-1))
    shown = page(admin_client, run)
    assert "Waits for event “status” of run order-1" in shown.text
    assert "to that run" in shown.text
    WorkflowRun.objects.filter(pk=run.pk).update(status="RUNNING")
    assert "order-1" not in page(admin_client, run).text


def test_messages_events_and_streams(admin_client: Client) -> None:
    run = make_run()
    make_message(
        run, topic="paid", payload=dumps({"cents": 5}), consumed_at=ago(minutes=1), consumed_position=4, consumed_branch=""
    )
    make_message(run, topic="late", sender_id="order-9", idempotency_key="evt_1")
    make_event(run, key="status", value=dumps("reserved"))
    make_stream_entry(run, key="log", offset=0, value=dumps("begun"))
    make_stream_entry(run, key="log", offset=1, value=None, closes=True)
    text = page(admin_client, run).text
    for words in (
        '{"cents": 5}', "not yet", "order-9", "idempotency key evt_1", "Events 1", '"reserved"', "Streams 2", '"begun"',
        "end of the stream",
    ):  # fmt: skip
        assert words in text


def test_children_and_forks(admin_client: Client) -> None:
    run = make_run()
    make_run(parent=run, id="child-1", status="SUCCESS")
    make_run(forked_from=run, id="fork-1")
    text = page(admin_client, run).text
    assert "Started runs 1" in text
    assert "child-1" in text
    assert "Forks 1" in text
    assert "fork-1" in text


def test_only_the_current_generation_is_shown_and_the_rest_counted(admin_client: Client) -> None:
    run = make_run(generation=2)
    make_step(run, 1, name="now.step")
    make_step(run, 1, name="old.step", generation=1)
    make_step(run, 2, name="old.step", generation=1)
    text = page(admin_client, run).text
    assert "old" not in text[text.index("Steps 1") :].replace("earlier generations", "").replace("older", "")
    assert "2 steps of earlier generations of this run are kept, and not shown." in text


def test_large_values_are_clipped_by_the_database(admin_client: Client) -> None:
    run = make_run(output=dumps("x" * 9998))  # 10,000 characters with the quotes
    make_step(run, 1, output=dumps("y" * 4998))
    text = page(admin_client, run).text
    assert "x" * (display.CLIP - 1) in text
    assert "x" * display.CLIP not in text
    assert "… 6000 more characters" in text
    assert "… 1000 more characters" in text


def test_an_oversized_error_shows_its_beginning(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "ERROR_CLIP", 2_000)
    run = make_run(status="ERROR", error=error_text(ValueError("x" * 5_000)))
    text = page(admin_client, run).text
    assert '{"type":["builtins","ValueError"]' in text
    assert "more characters" in text


def test_a_long_history_is_paged(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 4)
    run = make_run()
    for branch in ("", "2.0", "2.1"):
        for position in (1, 2, 3):
            make_step(run, position, branch=branch)
    seen, query = [], ""
    while query is not None:
        response = admin_client.get(page_of(run.pk) + query)
        steps = response.context["steps"]
        assert "Steps 9" in read(response).text
        assert ("First page" in read(response).text) == bool(seen)
        seen.append([row["place"] for row in steps.rows])
        query = steps.next_url.removesuffix("#steps") or None
    assert seen == [["1", "2", "3", "2.0 / 1"], ["2.0 / 2", "2.0 / 3", "2.1 / 1", "2.1 / 2"], ["2.1 / 3"]]


@pytest.mark.parametrize("after", ["x", ":", ":x", "a:1:", "2.0:99999999999999", "a\0b:1", ":-1", "\u0663:\u0663"])
def test_what_is_no_place_is_the_beginning_or_the_end(admin_client: Client, after: str) -> None:
    run = make_run()
    make_step(run, 1, name="app.first")
    assert admin_client.get(page_of(run.pk), {"step_after": after, "open": after}).status_code == 200


@pytest.mark.parametrize("text", ["", "{", "gAAAA=", '{"$": "no such tag"}', "null", "\\u0000", "[" * 3000])
def test_damaged_payloads_are_shown_as_they_are(admin_client: Client, text: str) -> None:
    run = make_run(status="ERROR", inputs=text, output=text, error=text)
    make_step(run, 1, output=text)
    make_step(run, 2, output=None, error=text)
    assert "The recorded error cannot be read" in page(admin_client, run).text


def fill_with(hostile: str) -> WorkflowRun:
    """A run, and a row of every kind, with the text wherever a text can be."""
    value, failure = dumps(hostile), error_text(ValueError(hostile))
    run = make_run(
        id=f"run{hostile}", name=f"app.{hostile}", status="WAITING", queue=hostile, partition_key=hostile, user=hostile,
        deduplication_id=hostile, app_version=hostile, worker_id=hostile[:64], inputs=value, output=value, error=failure,
        note=hostile, attributes={hostile: hostile}, class_name=hostile, config_name=hostile, schedule_name=hostile,
        progress_text=hostile, progress_done=1, parent_id=hostile, forked_from_id=hostile,
    )  # fmt: skip
    make_step(run, 1, name=hostile, output=value, child_id=hostile, branch=hostile)
    make_step(run, 2, name=f"a.{hostile}.b", output=None, error=failure)
    make_attempt(run, 2, name=hostile, error=failure)
    make_wait(run, Kind.GET_EVENT, key=hostile, source_id=hostile)
    make_wait(run, Kind.RECV, key=hostile, branch=hostile)
    make_message(run, topic=hostile, payload=value, sender_id=hostile, idempotency_key=hostile)
    make_event(run, key=hostile, value=value)
    make_stream_entry(run, key=hostile, value=value)
    make_run(id=f"child{hostile}", name=hostile, parent=run, status=hostile[:32])
    make_run(id=f"fork{hostile}", name=hostile, forked_from=run)
    make_queue(hostile)
    return run


# The second is what a payload holds if its text was escaped as JSON allows; the page shows letters for escapes.
@pytest.mark.parametrize("hostile", [HOSTILE, HOSTILE.replace("<", r"\u003c").replace('"', r"\u0022")])
def test_nothing_stored_becomes_markup(admin_client: Client, hostile: str) -> None:
    run = fill_with(hostile)
    WorkflowRun.objects.filter(pk=run.pk).update(inputs=f'"{hostile}"', output=hostile)
    for address in (
        page_of(run.pk),
        RUNS,
        f"{RUNS}?{urlencode({'workflow': hostile})}",
        f"{RUNS}?{urlencode({'queue': hostile})}",
    ):
        html = admin_client.get(address).content.decode()
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "alert(1)" in html
        assert "{{ 7|add:7 }}" in html
        assert Page(html).blocked == []


def test_a_strict_content_security_policy_blocks_nothing(admin_client: Client) -> None:
    run = fill_with("harmless")
    asked = admin_client.post(RUNS, {"action": "cancel_runs", "index": "0", "_selected_action": run.pk})
    pages = [asked, *map(admin_client.get, (page_of(run.pk), RUNS, f"{page_of(run.pk)[:-7]}history/"))]
    assert [read(response).blocked for response in pages] == [[], [], [], []]


def test_the_page_costs_the_same_for_every_run(
    admin_client: Client, django_assert_max_num_queries: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, number in ((history, "SHOWN", 4), (history, "PAGE", 4), (reading, "WHOLE", 6), (reading, "ENDS", 2)):
        monkeypatch.setattr(module, name, number)
    costs = []
    for name, number in (("x", 12), ("y", 40)):
        run = fill_with(name)
        for position in range(3, number):
            make_step(run, position)
            make_message(run, topic=str(position))
            make_run(parent=run)
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(page_of(run.pk)).status_code == 200
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 32
    small = make_run(status="WAITING")
    make_wait(small, Kind.RECV)
    # session, user, run; 3 for its situation; the stamp; payloads, steps, attempts, waits, messages, events, streams; 2 for its
    # relatives; 4 for the timeline
    with django_assert_max_num_queries(20):
        admin_client.get(page_of(small.pk))


@pytest.mark.parametrize("workflow_id", ["a/b", "a b", "a_b", "ä?x=1#y", "a/change/", "x" * 255, "."])
def test_any_id_has_a_page(admin_client: Client, workflow_id: str) -> None:
    run = make_run(id=workflow_id)
    assert workflow_id in page(admin_client, run).text


@pytest.mark.parametrize("workflow_id", ["nobody", "a\0b"])
def test_a_run_that_is_not_there(admin_client: Client, workflow_id: str) -> None:
    response = admin_client.get(page_of(workflow_id), follow=True)
    assert response.redirect_chain == [(RUNS, 302)]
    assert "There is no workflow run with the id" in read(response).text
