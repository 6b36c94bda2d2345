"""What the commands do to runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from durable_workflows.management.durable import acting
from durable_workflows.models import Message, WorkflowRun
from durable_workflows.testing import drain
from tests.admin.rows import ago, make_runs
from tests.commands import workflows
from tests.commands.speaking import Screen, ask, refusal, say

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_faults() -> None:
    workflows.FAULTS.clear()


def started(*argv: str) -> WorkflowRun:
    return WorkflowRun.objects.get(pk=ask("start", *argv)["workflow_id"])


def status(workflow_id: str) -> str:
    return str(WorkflowRun.objects.values_list("status", flat=True).get(pk=workflow_id))


def test_a_workflow_is_started_with_arguments_of_every_notation() -> None:
    name = workflows.purchase.durable.name  # type: ignore[attr-defined]  # the definition rides along
    for argv in (
        ("purchase", "7", "amount=9"), ("purchase", "order=7", "amount=9"), ("commands.workflows.purchase", "--args", "[7, 9]"),
        (name, "--kwargs", '{"order": 7, "amount": 9}'), ("purchase", "--args", "[7]", "amount=9"),
        ("--user", "ada", "purchase", "7", "--queue", "default", "9"),
    ):  # fmt: skip
        run = started(*argv)
        drain()
        assert ask("show", run.pk)["output"] == {"reserved": "reserved 7", "paid": 9}, argv
    assert ask("show", started("purchase", "a lamp").pk)["input"]["args"] == ["a lamp"]


def test_how_it_is_started_can_be_said() -> None:
    run = started(
        "purchase", "x", "--id", "order 1", "--queue", "mails", "--delay", "1h", "--priority", "3", "--user", "ada", "--timeout",
        "2h", "--attribute", "order=7", "--attribute", "of=shop", "--deduplication-id", "d", "--app-version", "v2",
    )  # fmt: skip
    assert (run.pk, run.queue, run.status, run.priority, run.user) == ("order 1", "mails", "DELAYED", 3, "ada")
    assert (run.timeout_seconds, run.attributes) == (7200, {"order": 7, "of": "shop"})
    assert (run.deduplication_id, run.app_version) == ("d", "v2")
    assert "deduplication id" in refusal("start", "purchase", "y", "--queue", "mails", "--deduplication-id", "d")
    assert started("purchase", "x", "--delay", "1h").queue == "default"
    assert say("start", "purchase", "x", "--id", "plain").strip() == "plain"


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (("purchse", "x"), 1, "Did you mean tests.commands.workflows.purchase"),
        (("zzqx9",), 1, "--unknown"),
        (("purchase",), 2, "missing a required argument"),
        (("purchase", "x", "colour=red"), 2, "colour"),
        (("purchase", "order=1", "order=2"), 2, "twice"),
        (("purchase", "--args", "{}"), 2, "JSON list"),
        (("purchase", "--args", "[1"), 2, "not JSON"),
        (("purchase", "--args", "[NaN]"), 2, "NaN"),
        (("purchase", "--kwargs", "[]"), 2, "JSON object"),
        (("purchase", "x", "--priority", "0"), 1, "priority"),
        (("purchase", "x", "--id", " "), 1, "blank"),
        (("purchase", "\ud800"), 1, "surrogate"),
    ],
)
def test_a_slip_starts_nothing(argv: tuple[str, ...], code: int, reason: str) -> None:
    assert reason in refusal("start", *argv, code=code)
    assert not WorkflowRun.objects.exists()


def test_what_no_code_here_knows_is_started_when_that_is_meant() -> None:
    assert started("elsewhere.workflows.job", "1", "--unknown").name == "elsewhere.workflows.job"


def test_a_message_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    run = started("question")
    drain()
    assert status(run.pk) == "WAITING"
    assert "double quotes" in refusal("send", run.pk, "paid", "--topic", "answer", code=2)
    ask("send", run.pk, '{"paid": [1, "x"]}', "--topic", "answer", "--idempotency-key", "k")
    say("send", run.pk, '"again"', "--topic", "answer", "--idempotency-key", "k")
    drain()
    assert ask("show", run.pk)["output"] == {"paid": [1, "x"]}
    other = started("question")
    say("send", other.pk, "just text", "--text", "--topic", "answer")
    drain()
    assert ask("show", other.pk)["output"] == "just text"
    assert Message.objects.count() == 2
    assert refusal("send", "nobody", "1")


def test_verbs_act_on_the_runs_that_are_named() -> None:
    one, two, three = (started("question") for _ in range(3))
    assert ask("cancel", one.pk, "--yes", two.pk[:36])["workflow_ids"] == [one.pk, two.pk]
    assert [status(run.pk) for run in (one, two, three)] == ["CANCELLED", "CANCELLED", "ENQUEUED"]
    assert say("resume", one.pk, "--to-queue", "mails") == "1 run was resumed.\n"
    one.refresh_from_db()
    assert (one.status, one.queue) == ("ENQUEUED", "mails")
    assert refusal("cancel", three.pk, "nobody")
    assert status(three.pk) == "ENQUEUED"
    say("pause", three.pk)
    assert status(three.pk) == "PAUSED"
    say("unpause", three.pk)
    assert status(three.pk) == "ENQUEUED"
    assert refusal("delete", three.pk)
    say("delete", two.pk)
    assert not WorkflowRun.objects.filter(pk=two.pk).exists()


def test_verbs_act_on_all_that_fit_once_it_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "CHUNK", 5)
    make_runs(12, queue="mails")
    kept = [*make_runs(2), *make_runs(1, queue="mails", status="SUCCESS", completed_at=ago(minutes=1))]
    assert ask("cancel", "--all", "--queue", "mails", "--dry-run")["count"] == 12
    assert "add --yes" in refusal("cancel", "--all", "--queue", "mails")
    answers = Screen("no\n")
    monkeypatch.setattr("sys.stdin", answers)
    with pytest.raises(Exception, match=r"Nothing was done\."):
        say("cancel", "--all", "--queue", "mails")
    assert WorkflowRun.objects.filter(status="CANCELLED").count() == 0
    monkeypatch.setattr("sys.stdin", Screen("y\n"))
    assert say("cancel", "--all", "--queue", "mails") == "12 runs were cancelled.\n"
    assert WorkflowRun.objects.filter(status="CANCELLED").count() == 12
    assert not WorkflowRun.objects.filter(pk__in=kept, status="CANCELLED").exists()
    assert say("delete", "--all", "--status", "cancelled", "--yes") == "12 runs were deleted.\n"
    assert set(WorkflowRun.objects.values_list("pk", flat=True)) == set(kept)


@pytest.mark.parametrize("argv", [(), ("x", "--all"), ("x", "--queue", "q"), ("--queue", "q")])
def test_it_is_said_which_runs(argv: tuple[str, ...]) -> None:
    assert "--all" in refusal("cancel", *argv, code=2)


def test_a_failed_run_is_retried_forked_and_rewound() -> None:
    workflows.FAULTS.append(RuntimeError("the bank is closed"))
    run = started("purchase", "x", "amount=5")
    drain()
    assert ask("show", run.pk)["error"]["message"] == "the bank is closed"
    assert ask("retry", "--all", "--status", "failed", "--yes")["workflow_ids"] == [run.pk]
    drain()
    assert status(run.pk) == "SUCCESS"
    fork = ask("fork", run.pk, "2", "--args", '["x", 8]', "--kwargs", "{}", "--id", "corrected")
    assert fork == {"workflow_id": "corrected", "forked_from": run.pk, "start_step": 2}
    drain()
    assert ask("show", "corrected")["output"] == {"reserved": "reserved x", "paid": 8}
    assert say("fork", run.pk, "1", "--queue", "default").strip() in WorkflowRun.objects.values_list("pk", flat=True)
    assert "JSON list" in refusal("fork", run.pk, "1", "--args", "5", code=2)
    say("rewind", run.pk, "2")
    assert status(run.pk) == "ENQUEUED"
    drain()
    assert status(run.pk) == "SUCCESS"


def test_a_persons_data_is_erased() -> None:
    done, other = started("purchase", "secret", "--attribute", "person=7"), started("purchase", "kept")
    drain()
    running = started("question", "--attribute", "person=7")
    told = ask("erase", "--all", "--attribute", "person=7", "--yes")
    assert (told["workflow_ids"], told["left_alone"]) == ([done.pk], 1)
    assert "secret" not in say("show", done.pk, "--json")
    assert "kept" in say("show", other.pk, "--json")
    assert status(running.pk) == "ENQUEUED"


def test_runs_are_exported_and_imported(tmp_path: Path) -> None:
    run = started("family")
    drain()
    assert ask("show", run.pk)["output"] == 5
    file = tmp_path / "run.json"
    file.write_text(say("export", run.pk))
    assert "2 runs" in say("export", run.pk, "--output", str(tmp_path / "other.json"))
    assert json.loads(file.read_text())["runs"] == json.loads((tmp_path / "other.json").read_text())["runs"]
    assert refusal("import", str(file))
    WorkflowRun.objects.all().delete()
    assert ask("import", str(file)) == {"workflow_id": run.pk}
    assert ask("show", run.pk)["output"] == 5
    assert refusal("import", str(tmp_path / "missing.json"))
    (tmp_path / "bad.json").write_bytes(b"\xff{")
    assert refusal("import", str(tmp_path / "bad.json"))
    (tmp_path / "bad.json").write_text("{}")
    assert refusal("import", str(tmp_path / "bad.json"))
    assert refusal("export", run.pk, "--output", str(tmp_path / "no" / "where.json"))


def test_old_runs_are_pruned(settings: object) -> None:
    assert "RETENTION" in refusal("prune")
    assert refusal("prune", "--older-than", "99999999w")


def test_a_deed_needs_the_whole_id() -> None:
    for argv in (("purchase", "x", "--id", "order-10"), ("purchase", "x", "--id", "order-10-b")):
        started(*argv)
    before = list(WorkflowRun.objects.order_by("pk").values("pk", "status", "generation"))
    for argv in (
        *((verb, "order-1") for verb in ("cancel", "resume", "retry", "pause", "unpause", "delete", "erase", "rewind", "export")),
        ("fork", "order-1", "1"), ("send", "order-1", "1"), ("cancel", "order-10", "order-10-"),
    ):  # fmt: skip
        assert "order-10-b" in refusal(*argv), argv
    told = ask("cancel", "order-1", code=1)["error"]
    assert (told["type"], told["candidates"]) == ("WorkflowNotFound", ["order-10", "order-10-b"])
    assert ask("show", "order-10-")["workflow_id"] == "order-10-b"
    assert list(WorkflowRun.objects.order_by("pk").values("pk", "status", "generation")) == before


def test_it_tells_what_it_did_not_do() -> None:
    make_runs(1, pk="done-1", status="SUCCESS", completed_at=ago(minutes=1))
    make_runs(1, pk="waits-1")
    assert say("cancel", "done-1") == "0 runs were cancelled.\ndone-1 is left alone: it is succeeded.\n"
    told = ask("cancel", "done-1", "waits-1")
    assert (told["workflow_ids"], told["count"], told["left_alone"], told["refused"]) == (["waits-1"], 1, 1, 0)
    assert say("unpause", "waits-1", "--dry-run").startswith("0 runs would be unpaused.")


def test_what_was_cancelled_is_not_retried_with_the_others() -> None:
    (failed,) = make_runs(1, status="ERROR", completed_at=ago(minutes=1))
    make_runs(1, pk="stopped", status="CANCELLED", completed_at=ago(minutes=1))
    assert ask("retry", "--all", "--yes")["workflow_ids"] == [failed]
    assert status("stopped") == "CANCELLED"
    assert ask("retry", "stopped")["count"] == 1


def test_runs_that_come_after_the_question_are_not_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    (there,) = make_runs(1, created_at=ago(minutes=1))

    class Late(Screen):
        def readline(self, *_: object) -> str:  # type: ignore[override]  # of a terminal
            started("purchase", "x", "--id", "~later")
            return "y\n"

    monkeypatch.setattr("sys.stdin", Late())
    assert ask("cancel", "--all")["workflow_ids"] == [there]
    assert status("~later") == "ENQUEUED"


def test_one_that_is_refused_holds_up_no_others() -> None:
    ended = {"status": "SUCCESS", "completed_at": ago(minutes=1)}
    for pk in ("a", "b", "c", "d"):
        make_runs(1, pk=pk, **ended)
    make_runs(1, pk="child", parent_id="c")
    for argv in (("erase", "--all", "--yes"), ("delete", "--all", "--children", "--yes")):
        told = ask(*argv, code=1)
        assert (told["workflow_ids"], told["count"], told["refused"]) == (["a", "b", "d"], 3, 1), argv
        assert "child" in told["refusals"]["c"]
    assert "c was not deleted" in say("delete", "--all", "--children", "--yes", code=1)
    assert set(WorkflowRun.objects.values_list("pk", flat=True)) == {"c", "child"}


def test_a_number_is_found_as_text_too() -> None:
    as_number, as_text = started("purchase", "x"), started("purchase", "x", "--attribute", 'customer="7"')
    WorkflowRun.objects.filter(pk=as_number.pk).update(attributes={"customer": 7, "gift": True})
    drain()
    ids = {as_number.pk, as_text.pk}
    assert {run["workflow_id"] for run in ask("list", "--attribute", "customer=7")} == ids
    assert [run["workflow_id"] for run in ask("list", "--attribute", 'customer="7"')] == [as_text.pk]
    assert [run["workflow_id"] for run in ask("list", "--attribute", "customer=7", "--attribute", "gift=true")] == [
        as_number.pk
    ]
    assert set(ask("erase", "--all", "--attribute", "customer=7", "--yes")["workflow_ids"]) == ids
