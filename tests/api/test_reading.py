"""What readers get to see: values, of those who may; pages that miss nothing; as many queries as ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from durable_workflows import erase_payloads, start_workflow
from durable_workflows.ids import new_worker_id
from durable_workflows.models import Kind, WorkflowRun
from durable_workflows.testing import drain
from tests.admin.rows import ago, dumps, make_event, make_queue, make_run, make_runs, make_step, make_wait
from tests.api import site
from tests.api.conftest import Asker, problem

pytestmark = pytest.mark.django_db
PAYLOADS = "view_payload_workflowrun"


def finished(workflow: Any, *args: Any) -> str:
    handle = start_workflow(workflow, *args)
    drain()
    return str(handle.workflow_id)


def pages(ask: Asker, path: str, key: str) -> Iterator[dict[str, Any]]:
    """All items, page by page."""
    joint, cursor = "&" if "?" in path else "?", None
    for _ in range(100):
        told = ask.get(path + (f"{joint}cursor={cursor}" if cursor else "")).json()
        yield from told[key]
        cursor = told["next"]
        if cursor is None:
            return
    raise AssertionError("the pages have no end")


class TestPayloads:
    def test_typed_values_are_plain_json_or_as_they_are_stored(self, root: Asker) -> None:
        run_id = finished(site.typed)
        assert root.get(f"runs/{run_id}").json()["output"] == {
            "total": "1.10", "at": "2030-01-31T09:00:00+00:00", "pair": [1, 2], "took": 90.0, "raw": "aGk=", "$": "dollar",
        }  # fmt: skip
        stored = root.get(f"runs/{run_id}?raw=1").json()["output"]
        assert stored["$"] == "dict"
        assert stored["v"]["total"] == {"$": "decimal", "v": "1.10"}

    def test_an_error_is_told_in_its_parts(self, root: Asker) -> None:
        run_id = finished(site.fails, 7)
        run = root.get(f"runs/{run_id}").json()
        assert (run["status"], run["error"]["type"], run["error"]["message"]) == ("ERROR", "ValueError", "order 7 is refused")
        assert "in refuse" in run["error"]["traceback"]
        assert run["input"] == {"args": [7], "kwargs": {}}
        [look, refuse] = root.get(f"runs/{run_id}/steps").json()["steps"]
        assert (look["step_id"], look["output"], look["error"]) == (1, {"order": 7}, None)
        assert (refuse["output"], refuse["error"]["message"]) == (None, "order 7 is refused")

    def test_without_the_permission_values_are_hidden_everywhere(self, staff: Callable[..., Asker]) -> None:
        viewer = staff("view_workflowrun", "view_schedule")
        run_id = finished(site.fails, "a secret")
        WorkflowRun.objects.filter(pk=run_id).update(attributes={"of": "a secret"}, note="a secret")
        make_event(WorkflowRun.objects.get(pk=run_id), value=dumps("a secret"))
        answers = [
            viewer.get(path)
            for path in (
                "runs?load_input=true&load_output=true", f"runs/{run_id}", f"runs/{run_id}?raw=true", f"runs/{run_id}/steps",
                f"runs/{run_id}/steps?step_id=2&raw=true", f"runs/{run_id}/events", f"runs/{run_id}/events?key=status",
            )
        ]  # fmt: skip
        assert {answer.status_code for answer in answers} == {200}
        assert not [answer.content for answer in answers if b"secret" in answer.content]
        run = answers[1].json()
        hidden = dict.fromkeys(("input", "error", "attributes", "note"), "hidden")
        assert run["withheld"] == hidden
        assert run["error"] == {"type": "ValueError", "message": None, "traceback": None}
        refused = problem(viewer.get('runs?attributes={"of":"a secret"}'), 403, "forbidden")
        assert refused["permission"] == f"durable_workflows.{PAYLOADS}"
        reader = staff("view_workflowrun", PAYLOADS)
        assert [run["workflow_id"] for run in reader.get('runs?attributes={"of":"a secret"}').json()["runs"]] == [run_id]

    def test_a_page_has_no_room_for_long_values_but_their_own_answer_has(self, root: Asker) -> None:
        run = make_run(inputs=dumps({"args": ["x" * 70_000], "kwargs": {}}), output=dumps("short"), status="SUCCESS")
        make_step(run, 1, output=dumps("y" * 70_000))
        make_event(run, key="long", value=dumps("z" * 70_000))
        [listed] = root.get("runs?load_input=true&load_output=true").json()["runs"]
        assert (listed["input"], listed["output"], listed["withheld"]) == (None, "short", {"input": "too_large"})
        assert root.get("runs").json()["runs"][0]["withheld"] == {}
        assert len(root.get(f"runs/{run.pk}").json()["input"]["args"][0]) == 70_000
        [step] = root.get(f"runs/{run.pk}/steps").json()["steps"]
        assert step["withheld"] == {"output": "too_large"}
        assert len(root.get(f"runs/{run.pk}/steps?step_id=1&branch=").json()["steps"][0]["output"]) == 70_000
        assert root.get(f"runs/{run.pk}/events").json()["events"][0]["withheld"] == {"value": "too_large"}
        assert len(root.get(f"runs/{run.pk}/events?key=long").json()["events"][0]["value"]) == 70_000

    def test_what_is_erased_or_damaged_says_so(self, root: Asker) -> None:
        run_id = finished(site.shop, 1)
        erase_payloads(run_id)
        assert root.get(f"runs/{run_id}").json()["withheld"] == {"input": "erased", "output": "erased"}
        deep = "[" * 50_000
        damaged = (
            '{"$": "decimal"}',
            '{"$": "nothing"}',
            "no json",
            deep,
            deep + "]" * 50_000,
            '{"$":"timedelta","v":[1]}',
            "NaN",
        )
        for text in damaged:
            run = make_run(inputs=text, output=text, error=text, status="ERROR")
            for raw in ("", "?raw=1"):
                told = root.get(f"runs/{run.pk}{raw}")
                assert told.status_code == 200, text[:40]
                assert set(told.json()["withheld"]) <= {"input", "output", "error"}
            assert root.get(f"runs/{run.pk}").json()["withheld"].get("input") == "unreadable", text[:40]

    def test_values_that_only_the_codec_knows(self, root: Asker) -> None:
        stored = {
            '{"$":"datetime","v":["2030-10-27T02:30:00",1,"Europe/Berlin"]}': "2030-10-27T02:30:00+01:00",
            '{"$":"datetime","v":["2030-10-27T02:30:00",1,"No/Where"]}': "2030-10-27T02:30:00",
            '{"$":"datetime","v":["2030-10-27T02:30:00",1,"/etc"]}': "2030-10-27T02:30:00",
            '{"$":"model","name":"app.account","v":7,"db":"other"}': {"model": "app.account", "pk": 7, "database": "other"},
            '{"$":"type","name":"not.loaded.Here","v":{"a":{"$":"set","v":[1]}}}': {"a": [1]},
            '{"$":"uuid","v":"00000000-0000-0000-0000-000000000000"}': "00000000-0000-0000-0000-000000000000",
            '{"$":"int","v":"0xff"}': "0xff",
        }
        for text, shown in stored.items():
            assert root.get(f"runs/{make_run(output=text).pk}").json()["output"] == shown


class TestWhy:
    def test_a_waiting_run_tells_for_what(self, root: Asker) -> None:
        run_id = finished(site.waits, "paid")
        [wait] = root.get(f"runs/{run_id}").json()["waits_for"]
        assert wait == {"kind": "recv", "key": "paid", "workflow_id": run_id, "until": None}
        held = make_run(status="WAITING", progress_done=1, progress_total=2, progress_text="half")
        make_wait(held, Kind.SLEEP, due_at=ago(hours=-1))
        told = root.get(f"runs/{held.pk}").json()
        assert told["progress"] == {"done": 1, "total": 2, "text": "half"}
        assert told["waits_for"][0]["until"] is not None

    def test_an_enqueued_run_tells_of_its_queue(self, root: Asker) -> None:
        make_queue("halted", paused=True)
        stuck = make_run(queue="halted", stranded="name", note="nobody knows it")
        told = root.get(f"runs/{stuck.pk}").json()
        assert (told["queue_paused"], told["stranded"], told["note"]) == (True, "name", "nobody knows it")
        assert root.get(f"runs/{make_run(queue='unknown').pk}").json()["queue_paused"] is None


class TestPages:
    def test_every_run_is_on_one_page_also_when_many_are_of_one_moment(self, root: Asker) -> None:
        made = make_runs(7, created_at=ago(minutes=5)) + make_runs(4, created_at=ago(minutes=4)) + make_runs(1)
        for sort, wanted in (("false", sorted), ("true", lambda ids: sorted(ids, reverse=True))):
            found = [run["workflow_id"] for run in pages(root, f"runs?limit=3&sort_desc={sort}", "runs")]
            assert sorted(found) == sorted(made)
            assert found[:7] == wanted(made[:7]) if sort == "false" else found[-7:] == wanted(made[:7])
        assert root.get("runs?limit=12").json()["next"] is None

    def test_every_step_event_queue_and_schedule_is_on_one_page(self, root: Asker) -> None:
        run = make_run()
        for branch in ("", "b"):
            for position in range(1, 5):
                make_step(run, position, branch=branch)
        for key in "cabd":
            make_event(run, key=key, value=dumps("old"))
            make_event(run, key=key, value=dumps(key))
            make_queue(f"q-{key}")
        steps = [(step["branch"], step["step_id"]) for step in pages(root, f"runs/{run.pk}/steps?limit=3", "steps")]
        assert steps == [(branch, position) for branch in ("", "b") for position in range(1, 5)]
        assert [event["value"] for event in pages(root, f"runs/{run.pk}/events?limit=1", "events")] == list("abcd")
        assert [queue["name"] for queue in pages(root, "queues?limit=3", "queues")] == [f"q-{key}" for key in "abcd"]
        assert [step["step_id"] for step in pages(root, f"runs/{run.pk}/steps?branch=b&limit=2", "steps")] == [1, 2, 3, 4]

    def test_a_cursor_of_another_list_is_refused(self, root: Asker) -> None:
        make_runs(3)
        run = make_run()
        for position in (1, 2):
            make_step(run, position)
        of_runs = root.get("runs?limit=1").json()["next"]
        of_steps = root.get(f"runs/{run.pk}/steps?limit=1").json()["next"]
        for cursor in (of_runs, "x", "bnVsbA", "W10", "WyJhIiwiYiJd", "W251bGwsbnVsbF0", "%00", "é", "a" * 3999):
            problem(root.get(f"runs/{run.pk}/steps?cursor={cursor}"), 400, "bad-request")
        problem(root.get(f"runs?cursor={of_steps}"), 400, "bad-request")

    def test_filters_are_those_of_list_workflows(self, root: Asker) -> None:
        old = make_run(id="old-1", created_at=ago(days=9), completed_at=ago(days=8), status="SUCCESS", queue="q", user="ann")
        made = make_run(
            id="new/2", name="other", attributes={"a": {"b": 1}}, worker_id=new_worker_id("host"), parent_id="old-1"
        )
        by = {
            "workflow_ids=old-1": old, "status=SUCCESS&status=ERROR": old, "name=other": made, "queue_name=q": old, "user=ann": old,
            "workflow_id_prefix=new/": made, "executor_id=host": made, "has_parent=true": made, "has_parent=0": old,
            'attributes={"a":{"b":1}}': made, "start_time=2020-01-01T00:00:00Z&end_time=" + ago(days=5).isoformat(): old,
            "completed_after=2020-01-01": old, "parent_workflow_id=old-1": made,
        }  # fmt: skip
        for query, run in by.items():
            assert [each["workflow_id"] for each in root.get(f"runs?{query}").json()["runs"]] == [run.pk], query
        for query in (
            "status=NO", "limit=0", "limit=201", "limit=x", "limit=1&limit=2", "sort_desc=yes", "start_time=soon", "has_parent=",
            "attributes=[]", "attributes={", 'attributes={"a":1,"a":2}', "nothing=1", "user=%00", "offset=1", "cursor=",
            "&".join("name=x" for _ in range(101)), "&".join("name=x" for _ in range(2000)), "limit=" + "9" * 5000,
            "attributes=" + "[" * 5000, "attributes=" + '{"a":' * 500 + "1" + "}" * 500, "end_time=9999-12-31T23:59:59-23:59",
        ):  # fmt: skip
            problem(root.get(f"runs?{query}"), 400, "bad-request")
        for query in ('{"Api-Key":"x"}', '{"a":{"password":"x"}}', '{"a":[{"token":1}]}'):
            assert problem(root.get(f"runs?attributes={query}"), 400, "bad-request")["parameter"] == "attributes"
        most = "&".join(f"executor_id=x{number}" for number in range(100))
        assert root.get(f"runs?{most}").json()["runs"] == []


def test_the_number_of_queries_does_not_grow(root: Asker, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    few = make_run()
    make_step(few, 1)
    make_event(few)
    many = make_run(status="WAITING")
    for number in range(1, 40):
        make_step(many, number)
        make_event(many, key=f"k{number}")
        make_wait(many, Kind.RESULT, position=number)
    paths = (
        "runs?limit=1",
        f"runs/{few.pk}",
        f"runs/{few.pk}/steps",
        f"runs/{few.pk}/events",
        "queues",
        "schedules",
        "workers",
    )
    wanted = [queries(root, path) for path in paths]
    make_runs(60)
    for name in range(30):
        make_queue(f"q{name}")
    paths = (
        "runs?limit=60&load_input=1&load_output=1",
        f"runs/{many.pk}",
        *(path.replace(few.pk, many.pk) for path in paths[2:]),
    )
    assert [queries(root, path) for path in paths] == wanted
    assert max(wanted) <= 5  # two for the session and its user


def queries(ask: Asker, path: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert ask.get(path).status_code == 200
    return len(seen)
