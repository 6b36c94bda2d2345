"""``list`` and ``show``: what an operator, and what a script, is told."""

from __future__ import annotations

import unicodedata
from dataclasses import fields
from datetime import datetime, timedelta

import pytest

from durable_workflows import StepInfo, WorkflowStatus
from durable_workflows.management.durable import screen
from durable_workflows.models import Kind, WorkflowRun
from tests.admin.rows import (
    ago,
    dumps,
    error_text,
    make_attempt,
    make_event,
    make_message,
    make_queue,
    make_run,
    make_runs,
    make_step,
    make_stream_entry,
    make_wait,
)
from tests.commands.speaking import ESCAPES, ask, on_screen, refusal, say

pytestmark = pytest.mark.django_db

HOSTILE = "evil \x1b[31m\x1b]0;title\x07 \u202egpj.exe \u2066\x9b2J \r\n[bold]\x7f 汉字"


def ids(*argv: str) -> set[str]:
    return {run["workflow_id"] for run in ask("list", *argv)}


def test_filters_choose_runs() -> None:
    plain = make_run(created_at=ago(days=3))
    failed = make_run(
        status="ERROR", user="ada", queue="mails", completed_at=ago(minutes=1), attributes={"order": 7, "of": "x"}
    )
    dead = make_run(status="MAX_RECOVERY_ATTEMPTS_EXCEEDED", completed_at=ago(days=2), worker_id="host-1", parent=plain)
    stuck = make_run(stranded="name", name="shop.workflows.gone", schedule_name="nightly", app_version="v2")
    waiting = make_run(status="WAITING", forked_from=plain)
    make_wait(waiting, Kind.RECV, created_at=ago(hours=5))
    everything = {run.pk for run in (plain, failed, dead, stuck, waiting)}
    cases: dict[tuple[str, ...], set[WorkflowRun]] = {
        ("--status", "failed"): {failed},
        ("--status", "ERROR,dead"): {failed, dead},
        ("--status", "unfinished", "--status", "dead"): {plain, stuck, waiting, dead},
        ("--name", "shop.workflows.gone"): {stuck},
        ("--queue", "mails"): {failed},
        ("--user", "ada"): {failed},
        ("--attribute", "order=7"): {failed},
        ("--attribute", "order=7", "--attribute", "of=x"): {failed},
        ("--attribute", "order=8"): set(),
        ("--since", "2d"): {failed, dead, stuck, waiting},
        ("--until", "2d"): {plain},
        ("--completed-since", "1h"): {failed},
        ("--completed-until", ago(days=1).isoformat()): {dead},
        ("--schedule", "nightly"): {stuck},
        ("--app-version", "v2"): {stuck},
        ("--worker", "host-1"): {dead},
        ("--parent", plain.pk): {dead},
        ("--forked-from", plain.pk): {waiting},
        ("--id-prefix", plain.pk): {plain},
        ("--stuck",): {stuck},
        ("--waiting-longer-than", "4h"): {waiting},
        ("--waiting-longer-than", "6h"): set(),
    }
    assert ids() == everything
    for argv, wanted in cases.items():
        assert ids(*argv) == {run.pk for run in wanted}, argv


@pytest.mark.parametrize(
    "argv",
    [
        ("--status", "happy"), ("--since", "yesterday"), ("--since", "99999999999w"), ("--limit", "0"), ("--limit", "9" * 30),
        ("--attribute", "order"), ("--waiting-longer-than", "long"), ("--since", "2030-02-31"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_filter_is_told(argv: tuple[str, ...]) -> None:
    with pytest.raises(Exception, match=argv[0]):
        say("list", *argv)


@pytest.mark.parametrize("argv", [("list", "--queue", "a\0b"), ("show", "\0"), ("show", ""), ("list", "--user", "\ud800")])
def test_text_that_no_database_can_store_is_refused(argv: tuple[str, ...]) -> None:
    assert refusal(*argv)


def test_a_list_is_of_the_newest_and_says_that_there_are_more() -> None:
    made = [make_run(created_at=ago(minutes=minutes)) for minutes in (3, 2, 1)]
    assert [run["workflow_id"] for run in ask("list", "--limit", "2")] == [made[2].pk, made[1].pk]
    assert [run["workflow_id"] for run in ask("list", "--limit", "2", "--oldest-first")] == [made[0].pk, made[1].pk]
    assert "there are more" in say("list", "--limit", "2")
    assert "there are more" not in say("list", "--limit", "3")


def test_an_empty_list_says_why() -> None:
    assert say("list") == "There are no runs yet.\n"
    assert say("list", "--status", "dead") == "No runs fit these filters.\n"
    assert ask("list") == []


def test_json_has_the_keys_of_workflow_status_and_stored_values() -> None:
    stored = {"args": [], "kwargs": {"when": timedelta(days=1)}}
    run = make_run(
        status="ERROR",
        inputs=dumps(stored),
        error=error_text(ValueError("no")),
        completed_at=ago(minutes=1),
        attributes={"a": 1},
    )
    (told,) = ask("list")
    assert set(told) == {field.name for field in fields(WorkflowStatus)} | {"situation", "alarming"}
    assert told["input"]["kwargs"]["when"] == {"$": "timedelta", "v": [1, 0, 0]}
    assert (told["error"]["type"], told["error"]["message"]) == ("ValueError", "no")
    assert datetime.fromisoformat(told["created_at"]) == run.created_at
    assert told["created_at"].endswith("+00:00")
    (short,) = ask("list", "--no-payloads")
    assert (short["input"], short["error"], short["attributes"]) == (None, None, {"a": 1})


def test_show_tells_all_sections() -> None:
    run = make_run(status="WAITING", note="Somebody looked at it.", progress_done=3, progress_total=10)
    child = make_run(parent=run)
    make_step(run, 1, output=dumps(["a"]))
    make_step(run, 2, name="durable.start_workflow", child_id=child.pk, error=error_text(KeyError("gone")))
    make_attempt(run, 2)
    make_wait(run, Kind.RECV, key="paid")
    make_message(run, topic="news")
    make_event(run, key="ready")
    make_stream_entry(run, key="log")
    told = ask("show", run.pk)
    step, failed = told["steps"]
    assert {field.name for field in fields(StepInfo)} <= set(step)
    assert (step["output"], failed["error"]["type"], failed["child_workflow_id"]) == (["a"], "KeyError", child.pk)
    assert [told[name][0].get("key") for name in ("waits", "events", "streams")] == ["paid", "ready", "log"]
    assert told["messages"][0]["topic"] == "news"
    assert told["attempts"][0]["error"]["type"] == "ConnectionError"
    assert told["children"] == [{"workflow_id": child.pk, "name": child.name, "status": "ENQUEUED"}]
    assert told["progress"] == {"done": 3, "total": 10, "text": None}
    text = say("show", run.pk)
    for said in (
        "waits for message “paid”",
        "Steps",
        "Failed attempts",
        "Messages",
        "Events",
        "Streams",
        "Started runs",
        "KeyError",
    ):
        assert said in text
    assert "waits for message “paid”" in told["situation"]


def test_show_clips_and_can_show_all() -> None:
    run = make_run(inputs=dumps({"args": ["x" * 5000], "kwargs": {}}))
    for position in range(1, 61):
        make_step(run, position)
    text = say("show", run.pk)
    assert "more characters" in text
    assert "and 10 before" in text
    full = say("show", run.pk, "--full")
    assert "x" * 5000 in full
    assert "step_1 " in full
    assert len(ask("show", run.pk)["steps"]) == 60


def test_payloads_that_cannot_be_read_are_shown_as_they_are() -> None:
    run = make_run(inputs='{"damaged', output="[" * 100_000, error="nonsense", status="ERROR")
    assert ask("show", run.pk)["input"] == {"unreadable": '{"damaged'}
    assert "damaged" in say("show", run.pk)
    assert ask("list")[0]["workflow_id"] == run.pk


def test_a_run_is_named_by_the_beginning_of_its_id() -> None:
    make_runs(1, id="order-17")
    make_runs(1, id="order-18")
    make_runs(1, id="order")
    make_runs(1, id="Other_1")
    assert ask("show", "order-17")["workflow_id"] == "order-17"
    assert ask("show", "order")["workflow_id"] == "order"
    assert ask("show", "Oth")["workflow_id"] == "Other_1"
    assert refusal("show", "oth")
    assert refusal("show", "Other%")
    assert "order-17\n  order-18" in refusal("show", "order-1")
    assert ask("show", "order-1", code=1)["error"]["candidates"] == ["order-17", "order-18"]


@pytest.mark.parametrize("rich", [True, False], ids=["rich", "plain"])
def test_nothing_that_is_shown_can_steer_the_terminal(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "there", rich)
    monkeypatch.setenv("TERM", "xterm-256color")
    stored = dumps({"args": [HOSTILE], "kwargs": {}})
    run = make_run(
        id=HOSTILE, name=HOSTILE, queue=HOSTILE, user=HOSTILE, status="ERROR", inputs=stored, note=HOSTILE,
        attributes={HOSTILE: HOSTILE}, error=error_text(ValueError(HOSTILE)), completed_at=ago(minutes=1), progress_text=HOSTILE,
    )  # fmt: skip
    make_step(run, 1, name=HOSTILE, output=dumps(HOSTILE), branch=HOSTILE, child_id=HOSTILE)
    make_message(run, topic=HOSTILE, payload=dumps(HOSTILE))
    make_event(run, key=HOSTILE)
    make_queue(HOSTILE)
    for argv in (("list",), ("show", HOSTILE), ("watch", HOSTILE), ("queues",), ("stats",)):
        code = 1 if argv[0] == "watch" else 0
        for text in (say(*argv, code=code), ESCAPES.sub("", on_screen(*argv, code=code))):
            drawn = text.replace("\n", "").replace("\r", "" if argv[0] == "watch" else "\r")  # a live line is drawn anew
            mean = {letter for letter in drawn if unicodedata.category(letter) in ("Cc", "Cf", "Cs")}
            assert not mean, (argv, mean)
            assert argv == ("stats",) or "[bold]" in drawn


def test_a_screen_decides_what_is_shown_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    run = make_run(queue="mails", name="shop.workflows.a_workflow_with_quite_a_long_name")
    for columns in (40, 80, 140):
        monkeypatch.setenv("COLUMNS", str(columns))
        text = on_screen("list")
        plain = ESCAPES.sub("", text)
        assert max(map(len, plain.splitlines())) <= max(columns, 60)
        assert run.pk in plain
        assert ("mails" in plain) is (columns >= 100)
        assert "\x1b[" in text
    assert "\x1b" not in on_screen("list", "--no-color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_screen("list")
    piped = say("list")
    assert "mails" in piped
    assert "\x1b" not in piped
    assert "\x1b[" in say("list", "--force-color")
    monkeypatch.setattr(screen, "there", False)
    assert "\x1b" not in on_screen("list")


def test_a_list_costs_as_many_queries_for_one_run_as_for_many(django_assert_max_num_queries: object) -> None:
    for _ in range(30):
        run = make_run(status="WAITING")
        make_wait(run, Kind.RECV)
    with django_assert_max_num_queries(3):  # type: ignore[operator]  # a fixture of pytest-django
        say("list")
