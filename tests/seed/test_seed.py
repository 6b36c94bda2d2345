"""Each program runs as it is written, its worker killed once inside a step: every effect is there exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction

from durable_workflows.models import Schedule, Wait, WorkflowRun, dialects, reading
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.states import RunState
from tests.app.models import Ledger
from tests.processes import Processes
from tests.seed import background, cron, effects, pipelines, reliable, webhooks

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60


class Workers:
    """Real workers that serve the programs, and steps that hold them until they are killed."""

    def __init__(self, processes: Processes, directory: Path) -> None:
        self.processes = processes
        self.directory = directory

    def start(self) -> subprocess.Popen[bytes]:
        env = {"DJANGO_SETTINGS_MODULE": "tests.seed.settings", effects.HOLDS: str(self.directory)}
        return self.processes.worker("--threads", "4", env=env)

    def hold(self, effect: str) -> None:
        """Have the step that leaves this effect stay inside its transaction."""
        effects.hold_of(self.directory, effect).touch()

    def kill_the_holder(self, effect: str) -> None:
        """SIGKILL for the worker that executes the step."""
        eventually(lambda: effects.holder_of(self.directory, effect) is not None, f"no worker came to {effect!r}")
        pid = effects.holder_of(self.directory, effect)
        assert pid
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def workers(processes: Processes, tmp_path: Path) -> Workers:
    return Workers(processes, tmp_path)


def eventually(holds: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < until, otherwise
        time.sleep(0.02)


def all_succeed() -> None:
    """Every run ends well."""
    unfinished = WorkflowRun.objects.exclude(status=RunState.SUCCESS)
    eventually(lambda: not unfinished.exists(), f"unfinished: {list(unfinished.values_list('id', 'status', 'note'))}")


def written() -> Counter[tuple[str, str, str]]:
    """How often each effect is there."""
    return Counter(Ledger.objects.values_list("run_id", "step", "note"))


def assert_taken_over(*run_ids: str) -> None:
    """These runs were lost with their worker."""
    assert set(WorkflowRun.objects.filter(recovery_attempts__gt=1).values_list("id", flat=True)) >= set(run_ids)


def test_reliable_workflows(workers: Workers) -> None:
    workers.hold("process_payment")
    first = workers.start()
    sold = reliable.checkout_workflow.start(["bread"]).workflow_id
    workers.kill_the_holder("process_payment")
    assert first.wait(SECONDS) == -signal.SIGKILL
    assert written() == {(sold, "create_order", ""): 1, (sold, "reserve_inventory", ""): 1}

    declined = reliable.checkout_workflow.start(["gold"]).workflow_id
    workers.start()
    all_succeed()
    begun = ["create_order", "reserve_inventory", "process_payment"]
    expected = [(sold, step, "") for step in [*begun, "fulfill_order"]]
    expected += [(declined, step, "") for step in [*begun, "undo_reserve_inventory", "cancel_order"]]
    assert written() == Counter(expected)
    assert_taken_over(sold)


def test_background_tasks(workers: Workers) -> None:
    background.email_endpoint(background.Request("you@example.org", 30))
    run = WorkflowRun.objects.get()
    workers.start()
    eventually(lambda: WorkflowRun.objects.filter(status=RunState.WAITING).exists(), "it does not sleep")
    run.refresh_from_db()
    assert run.worker_id is None
    assert run.due_at is not None
    assert timedelta(days=29) < run.due_at - database_now() < timedelta(days=30)
    assert not written()

    workers.hold("send_reminder_email you@example.org")
    a_month_passes()
    workers.kill_the_holder("send_reminder_email you@example.org")
    workers.start()
    all_succeed()
    assert written() == {(run.pk, "send_reminder_email", "you@example.org"): 1}
    assert_taken_over(run.pk)


def a_month_passes() -> None:
    """What is due in 30 days is due now."""
    with transaction.atomic():  # a worker that found one of them due, and not the other, would put the run to sleep again
        WorkflowRun.objects.filter(status=RunState.WAITING).update(due_at=DatabaseNow())
        Wait.objects.update(due_at=DatabaseNow())


def database_now() -> datetime:
    return reading.database_now(dialects.connection())


def test_cron_jobs(workers: Workers) -> None:
    """Two workers know the schedule; the tick of the full hour is one run."""
    workers.hold("post_to_slack second")
    for _ in range(2):
        workers.start()
    schedule = Schedule.objects.filter(name=cron.run_hourly.durable.name)
    eventually(schedule.exists, "no worker declared the schedule")
    assert (schedule.get().next_fire_at.minute, schedule.get().next_fire_at.second) == (0, 0)
    schedule.update(next_fire_at=DatabaseNow())
    workers.kill_the_holder("post_to_slack second")
    all_succeed()

    ticks = list(WorkflowRun.objects.values_list("id", flat=True))
    assert ticks  # more than one only if the clock struck meanwhile
    steps = [("search_hackernews", "serverless"), *(("post_to_slack", comment) for comment, _ in cron.FOUND)]
    assert written() == Counter((tick, step, note) for tick in ticks for step, note in steps)
    assert schedule.get().next_fire_at > database_now()
    assert WorkflowRun.objects.filter(recovery_attempts__gt=1).count() == 1


def test_data_pipelines(workers: Workers, processes: Processes) -> None:
    urls = [f"https://example.org/{number}" for number in range(12)]
    workers.hold(f"count_pages {urls[7]}")
    workers.start()
    handle = pipelines.indexing_workflow.start(urls)
    workers.kill_the_holder(f"count_pages {urls[7]}")
    second = workers.start()
    all_succeed()
    pages = sum(map(len, urls))
    processes.expect(second, f"Indexed {len(urls)} documents totaling {pages} pages")
    children = WorkflowRun.objects.filter(parent_id=handle.workflow_id, queue="indexing_queue")
    assert children.count() == len(urls)
    assert Counter(note for _, _, note in written().elements()) == Counter(urls)
    assert_taken_over(children.get(id__in=Ledger.objects.filter(note=urls[7]).values("run_id")).pk)


def test_webhooks(workers: Workers) -> None:
    """Delivered before, while and after it is handled: a message is handled once."""
    texts = {f"Ev{number}": f"text {number}" for number in range(5)}

    def deliver(event_id: str) -> None:
        webhooks.handle_message(webhooks.BoltRequest({"event_id": event_id, "event": {"text": texts[event_id]}}))

    for event_id in texts:
        deliver(event_id)
        deliver(event_id)
    workers.hold("answer text 3")
    workers.start()
    workers.kill_the_holder("answer text 3")
    for event_id in texts:
        deliver(event_id)
    workers.start()
    all_succeed()
    deliver("Ev3")
    assert written() == {(event_id, "answer", text): 1 for event_id, text in texts.items()}
    assert WorkflowRun.objects.count() == len(texts)
    assert_taken_over("Ev3")
