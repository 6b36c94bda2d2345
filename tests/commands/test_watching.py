"""``watch``: a run followed to its end."""

from __future__ import annotations

from typing import Any

import pytest

from durable_workflows.management.durable import watching
from durable_workflows.management.durable.following import Following
from durable_workflows.models import Kind, StepRun, WorkflowRun
from durable_workflows.testing import drain
from tests.admin.rows import ago, error_text, make_attempt, make_run, make_step, make_wait
from tests.commands import workflows
from tests.commands.speaking import ESCAPES, ask, lines, on_screen, refusal, say

pytestmark = pytest.mark.django_db


def news(following: Following) -> list[tuple[str, Any]]:
    """What a look finds, with the fact that tells it from others of its kind."""
    key = {"status": "status", "step": "step_id", "attempt": "attempt", "earlier": "steps", "progress": "done", "end": "status"}
    return [(each.kind, each.facts.get(key.get(each.kind, ""))) for each in following.look()]


def change(run: WorkflowRun, **columns: Any) -> None:
    WorkflowRun.objects.filter(pk=run.pk).update(updated_at=ago(), **columns)


def test_each_look_tells_what_is_new_and_nothing_twice() -> None:
    following = Following("order-1")
    assert news(following) == [("missing", None)]
    assert news(following) == []
    run = make_run(id="order-1")
    assert news(following) == [("status", "ENQUEUED")]
    late = make_step(run, 1, branch="b")
    StepRun.objects.filter(pk=late.pk).delete()
    make_step(run, 1)
    change(run, status="RUNNING", progress_done=1, progress_total=3)
    assert news(following) == [("step", 1), ("progress", 1), ("status", "RUNNING")]
    make_step(run, 2, branch="b", pk=late.pk)  # its key is smaller, and it is committed later
    make_attempt(run, 3)
    assert news(following) == [("step", 2), ("attempt", 1)]
    make_wait(run, Kind.RECV, key="paid")
    change(run, status="WAITING")
    assert news(following) == [("status", "WAITING")]
    assert "paid" in following.situation.text
    assert news(following) == []
    change(run, generation=1, status="ENQUEUED")
    make_step(run, 1, generation=1)
    assert news(following) == [("again", None), ("step", 1), ("status", "ENQUEUED")]
    make_step(run, 2, generation=1)
    change(run, status="SUCCESS", completed_at=ago())
    assert not following.over
    assert news(following) == [("step", 2), ("end", "SUCCESS")]
    assert following.over


def test_of_a_long_history_the_last_steps_are_told() -> None:
    run = make_run()
    for position in range(1, 31):
        make_step(run, position)
    make_attempt(run, 3)
    told = news(Following(run.pk))
    assert told[0] == ("earlier", 10)
    assert told[1:-1] == [("step", position) for position in range(11, 31)]


@pytest.mark.parametrize(
    ("status", "code"), [("SUCCESS", 0), ("ERROR", 1), ("CANCELLED", 3), ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", 4)]
)
def test_the_exit_status_says_how_it_ended(status: str, code: int) -> None:
    run = make_run(status=status, completed_at=ago(), error=error_text(ValueError("no")) if status == "ERROR" else None)
    assert [line["event"] for line in lines("watch", run.pk, code=code)] == ["end"]
    assert lines("watch", run.pk, code=code)[0]["status"] == status
    assert "checkout" in say("watch", run.pk, code=code)


def test_what_is_told_of_a_run() -> None:
    workflows.FAULTS[:] = [RuntimeError("the bank is closed")]
    run = ask("start", "purchase", "x")["workflow_id"]
    drain()
    reserved, paid, end = lines("watch", run, code=1)
    assert (reserved["name"].rpartition(".")[2], reserved["output"]) == ("reserve", "reserved x")
    assert paid["error"]["message"] == end["error"]["message"] == "the bank is closed"
    text = say("watch", run[:36], code=1)
    assert "✓   1 reserve" in text
    assert "✗   2 pay" in text
    assert "RuntimeError: the bank is closed" in text


def test_it_is_not_watched_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LATEST", 0.01)
    run = make_run(progress_done=2, progress_total=4, progress_text="importing")
    assert "goes on" in lines("watch", run.pk, "--for", "0", code=124)[-1]["error"]["message"]
    assert "no run" in lines("watch", "unborn", "--wait", "--for", "0", code=124)[-1]["error"]["message"]
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(Exception, match="goes on"):
        on_screen("watch", run.pk, "--for", "0.05s")
    assert refusal("watch", "unborn")


def test_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(status="SUCCESS", completed_at=ago(), progress_done=5, progress_total=10, progress_text="halfway")
    monkeypatch.setenv("TERM", "xterm")
    for text in (say("watch", run.pk), ESCAPES.sub("", on_screen("watch", run.pk))):
        assert "██████████░░░░░░░░░░ 5/10 halfway" in text
