"""The doctor: nothing in health, and each finding where there is its cause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import checks
from django.db import DatabaseError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from durable_workflows import clock, registry
from durable_workflows.checks import servers
from durable_workflows.management.durable import screen
from durable_workflows.management.durable.doctor import databases, installation
from durable_workflows.models import Worker, WorkflowRun
from tests.admin.rows import ago, make_queue, make_run, make_runs, make_schedule, make_worker
from tests.commands.speaking import ESCAPES, ask, on_screen, say

pytestmark = pytest.mark.django_db
NAME = "shop.workflows.checkout"


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """A worker at work, and a database that keeps what it is given. No hint comes out of a test's transaction."""
    settings.DURABLE_WORKFLOWS = {"LISTEN": False}
    # What other tests have declared in this process is not of this installation.
    monkeypatch.setattr(registry, "_definitions", {})
    monkeypatch.setattr(registry, "_schedules", {})
    make_worker("host-1", queues=["default"], names=[NAME])
    if connection.vendor != "postgresql":  # the tests' own forgets commits in a power cut
        monkeypatch.setattr(servers, "LAZY_COMMITS", {connection.vendor: ("SELECT 2", {})})


def found(code: int = 0) -> dict[str, dict[str, Any]]:
    """The findings by their ids; the doctor must end with this status."""
    told = ask("doctor", code=code)
    assert told["healthy"] is not bool(code)
    assert all(finding["what"] and finding["cure"] for finding in told["findings"])
    return {finding["id"]: finding for finding in told["findings"]}


def test_a_healthy_installation_has_no_findings() -> None:
    make_run()
    make_run(status="RUNNING", worker_id="host-1")
    make_run(status="SUCCESS", completed_at=ago(days=1))
    make_run(status="DELAYED", due_at=clock.now() + timedelta(hours=1), deadline=clock.now() + timedelta(hours=2))
    make_queue("default", declared={"concurrency": 5})
    make_schedule("nightly", next_fire_at=clock.now() + timedelta(hours=1))
    assert found() == {}
    assert say("doctor") == "✓ Nothing is wrong.\n"


def no_worker() -> None:
    Worker.objects.update(stopped_at=ago())


def waiting_without_worker() -> None:
    no_worker()
    make_run()


def firing_without_worker() -> None:
    no_worker()
    make_schedule("nightly", next_fire_at=clock.now() + timedelta(hours=1))


def silent() -> None:
    make_worker("host-2", heartbeat_at=ago(minutes=5))


def ownerless() -> None:
    make_run(status="RUNNING", worker_id="gone")


def held_by_nobody() -> None:
    make_run(status="RUNNING", worker_id=None)


def unserved() -> None:
    make_run(queue="images; rm -rf /")


def paused_queue() -> None:
    make_queue("mails", paused=True)
    make_run(queue="mails")


def unreadable_queue() -> None:
    make_queue("mails", overrides={"concurrency": "many"})


def overdue_sleep() -> None:
    make_run(status="WAITING", due_at=ago(minutes=5))


def overdue_deadline() -> None:
    make_run(deadline=ago(minutes=5))


def unknown() -> None:
    make_runs(3, name="shop.workflows.gone", stranded="name")


def changed() -> None:
    make_run(stranded="history")


def unreadable() -> None:
    make_run(stranded="payload")


def suspects() -> None:
    make_run(suspect=True)


def dead() -> None:
    make_run(status="MAX_RECOVERY_ATTEMPTS_EXCEEDED", completed_at=ago(days=1))


def old() -> None:
    make_run(status="SUCCESS", completed_at=ago(days=100))


def stopped_schedule() -> None:
    make_schedule("nightly", paused=True, note="Its cron is wrong.")


def overdue_schedule() -> None:
    make_schedule("nightly", next_fire_at=ago(minutes=5))


def orphaned_schedule() -> None:
    make_schedule("nightly", next_fire_at=ago(minutes=5), in_code=True)


def failing_schedule() -> None:
    make_schedule("nightly", next_fire_at=clock.now() + timedelta(hours=1))
    make_run(schedule_name="nightly", status="SUCCESS", completed_at=ago(hours=2))
    make_run(id="sched-nightly", schedule_name="nightly", status="ERROR", completed_at=ago(hours=1))


@pytest.mark.parametrize(
    ("cause", "finding", "level", "cure"),
    [
        (no_worker, "no-worker", "warning", "manage.py durable_worker"),
        (waiting_without_worker, "no-worker", "error", "manage.py durable_worker"),
        (firing_without_worker, "no-worker", "error", "manage.py durable_worker"),
        (silent, "silent-workers", "warning", "durable_worker"),
        (ownerless, "runs-without-owner", "error", "durable_worker"),
        (held_by_nobody, "runs-without-owner", "error", "durable_worker"),
        (unserved, "unserved-queue", "error", "manage.py durable_worker --queues 'images; rm -rf /'"),
        (paused_queue, "paused-queue", "warning", "manage.py durable queues resume mails"),
        (unreadable_queue, "unreadable-queue", "error", "admin"),
        (overdue_sleep, "overdue-runs", "error", "log"),
        (overdue_deadline, "overdue-runs", "error", "log"),
        (unknown, "unknown-workflows", "error", "cancel --all --stuck --name shop.workflows.gone"),
        (changed, "changed-workflows", "error", "resume"),
        (unreadable, "unreadable-payloads", "error", "resume"),
        (suspects, "suspects", "warning", "memory"),
        (dead, "dead-letters", "warning", "--status dead"),
        (old, "no-retention", "info", "RETENTION"),
        (stopped_schedule, "stopped-schedule", "error", "schedules resume nightly"),
        (overdue_schedule, "overdue-schedule", "error", "log"),
        (orphaned_schedule, "overdue-schedule", "error", "schedules delete nightly"),
        (failing_schedule, "failing-schedule", "warning", "durable show sched-nightly"),
    ],
)
def test_what_is_wrong_is_found(cause: Callable[[], None], finding: str, level: str, cure: str) -> None:
    cause()
    told = found(int(level == "error"))
    assert [*told] == [finding]
    assert told[finding]["level"] == level
    assert cure in told[finding]["cure"]


def test_a_retention_is_not_missing_where_it_is_set() -> None:
    old()
    with override_settings(DURABLE_WORKFLOWS={"RETENTION": {"SUCCESS": 365}, "LISTEN": False}):
        assert found() == {}


def test_the_level_that_fails_can_be_said() -> None:
    dead()
    say("doctor")
    say("doctor", "--fail-level", "warning", code=1)
    WorkflowRun.objects.all().delete()
    old()
    say("doctor", "--fail-level", "warning")
    assert "1 remark." in say("doctor", "--fail-level", "info", code=1)


def test_migrations_that_are_not_applied_are_the_one_finding() -> None:
    recorder = MigrationRecorder(connection)
    last = recorder.migration_qs.filter(app="durable_workflows").order_by("-name").first()
    recorder.record_unapplied("durable_workflows", last.name)
    try:
        told = found(1)
    finally:
        recorder.record_applied("durable_workflows", last.name)
    assert [*told] == ["unapplied-migrations"]
    assert last.name in told["unapplied-migrations"]["what"]
    assert told["unapplied-migrations"]["cure"] == "manage.py migrate durable_workflows --database default"


def test_a_database_that_does_not_answer_is_the_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseError("connection refused")

    monkeypatch.setattr(connection, "ensure_connection", refuse)
    told = found(1)
    monkeypatch.undo()
    assert [*told] == ["no-database"]
    assert "connection refused" in told["no-database"]["what"]


def test_clocks_that_differ_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "database_now", lambda _connection: clock.real_now() - timedelta(seconds=90))
    assert [*found()] == ["clocks-apart"]


@pytest.mark.django_db(transaction=True)
def test_hints_that_do_not_come_through_are_found(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.DURABLE_WORKFLOWS = {}
    assert found() == {}
    monkeypatch.setattr(databases, "PATIENCE", 0.3)
    with transaction.atomic():  # what is notified in it would be sent at its end
        told = found()
    assert [*told] == (["no-hints"] if connection.vendor == "postgresql" else [])


def test_what_the_system_checks_find_is_told() -> None:
    with override_settings(DURABLE_WORKFLOWS={"THREDS": 4, "LISTEN": False}):
        told = found(1)
    assert [*told] == ["durable_workflows.E001"]
    assert "THREADS" in told["durable_workflows.E001"]["cure"]


def test_messages_of_checks_are_taken_apart() -> None:
    message = checks.Warning(
        "It is so. That matters. Much.", hint="Do this.", obj="shop.workflows", id="durable_workflows.W999"
    )
    told = installation._as_finding(message)
    assert (told.what, told.why, told.cure, told.level) == (
        "It is so. (shop.workflows)",
        "That matters. Much.",
        "Do this.",
        "warning",
    )


def test_without_rich_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "there", False)
    told = found()
    assert [*told] == ["no-rich"]
    assert told["no-rich"]["level"] == "info"


def test_people_are_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    unknown()
    dead()
    for text in (say("doctor", code=1), ESCAPES.sub("", on_screen("doctor", code=1))):
        assert text.index("unknown-workflows") < text.index("dead-letters")
        assert "cure  Start a worker" in text
        assert text.endswith("1 error, 1 warning.\n")
