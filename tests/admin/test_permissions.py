"""Each action has its own permission, whoever lacks it is refused and shown no button, and nothing is done by a GET."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from durable_workflows import step, workflow
from durable_workflows.models import Message, QueueState, Schedule, StepRun, Worker, WorkflowRun
from tests.admin.conftest import RUNS, page_of
from tests.admin.html import read
from tests.admin.rows import ago, dumps, make_queue, make_run, make_schedule, make_step, make_worker

pytestmark = pytest.mark.django_db

BASE = "/admin/durable_workflows/"
# What acts on runs, by the permissions that each needs beside that to view them.
PERMISSIONS = ("cancel", "resume", "retry", "pause", "erase", "delete", "fork", "send", "start", "export", "view_payload")
LISTED = {
    "cancel_runs": "cancel", "resume_runs": "resume", "retry_runs": "retry", "pause_runs": "pause", "unpause_runs": "pause",
    "erase_runs": "erase", "delete_runs": "delete",
}  # fmt: skip


@step
def one() -> int:
    return 1


@workflow
def plain(text: str = "a") -> str:
    return text * one()


@dataclass(frozen=True)
class Act:
    """What is posted where, by whom it may be, and what its button says."""

    needs: frozenset[str]
    address: str
    data: dict[str, Any] = field(default_factory=dict)


def acts(runs: dict[str, WorkflowRun]) -> Iterator[tuple[str, Act]]:
    chosen = [run.pk for run in runs.values()]
    for action, permission in LISTED.items():
        data = {"action": action, "index": "0", "_selected_action": chosen, "confirmed": "yes"}
        yield action, Act(frozenset({permission}), RUNS, data)
    yield (
        "export_runs",
        Act(frozenset({"export", "view_payload"}), RUNS, {"action": "export_runs", "index": "0", "_selected_action": chosen}),
    )
    base = page_of(runs["waiting"].pk).removesuffix("change/")
    yield "fork", Act(frozenset({"fork"}), f"{base}fork/", {"start_step": "1", "token": "new-fork"})
    yield "rewind", Act(frozenset({"fork"}), f"{base}rewind/", {"start_step": "1", "generation": "0"})
    yield "send", Act(frozenset({"send"}), f"{base}send/", {"message": "1", "token": "key"})
    yield (
        "start",
        Act(frozenset({"start"}), f"{RUNS}start/?workflow={plain.durable.name}", {"token": "new-run", "arg:text": "b"}),
    )


@pytest.fixture
def runs() -> dict[str, WorkflowRun]:
    found = {
        "waiting": make_run(status="WAITING"),
        "failed": make_run(status="ERROR", completed_at=ago(minutes=1), error="{}"),
        "paused": make_run(status="PAUSED"),
    }
    make_step(found["waiting"], 1)
    return found


def rows() -> list[Any]:
    """All that an action could change."""
    tables = [WorkflowRun, StepRun, Message, QueueState, Schedule, Worker, LogEntry]
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


@pytest.mark.parametrize("held", [*PERMISSIONS, "export view_payload", ""])
def test_who_may_act_on_runs(client_with: Callable[..., Client], runs: dict[str, WorkflowRun], held: str) -> None:
    mine = frozenset(held.split())
    client, blind = client_with("view", *mine), client_with(*mine or {"add"})
    strange = Client(enforce_csrf_checks=True)
    strange.force_login(User.objects.create_superuser("root"))
    for name, act in acts(runs):
        if act.needs <= mine:
            continue
        before = rows()
        refused = client.post(act.address, act.data)
        assert refused.status_code == 403, (name, held)
        assert blind.post(act.address, act.data).status_code == 403
        assert strange.post(act.address, act.data).status_code == 403, "no CSRF token"
        assert Client().post(act.address, act.data).status_code == 302  # to the login
        assert rows() == before, (name, held)
    for name, act in acts(runs):
        if act.needs <= mine:
            before = rows()
            client.get(act.address, act.data)
            assert rows() == before, f"{name} did something by a GET"
            done = client.post(act.address, act.data)
            assert done.status_code in (200, 302), (name, done.status_code)
            assert rows() != before, (name, held)
            assert LogEntry.objects.filter(user__username__startswith="staff").exists()
            LogEntry.objects.all().delete()


@pytest.mark.parametrize("held", [*PERMISSIONS, ""])
def test_a_button_is_shown_to_who_may(client_with: Callable[..., Client], runs: dict[str, WorkflowRun], held: str) -> None:
    client = client_with("view", held) if held else client_with("view")
    html = unescape("".join(client.get(page_of(run.pk)).content.decode() for run in runs.values()))
    listed = client.get(RUNS).content.decode()
    for action, permission in LISTED.items():
        assert (f'value="{action}"' in html) == (permission == held), (action, held)
        assert (f'value="{action}"' in listed) == (permission == held), (action, held)
    for view, permission in {"fork": "fork", "rewind": "fork", "send": "send"}.items():
        assert (f"/{view}/" in html) == (permission == held), (view, held)
    assert ("/start/" in listed) == (held == "start")
    assert "export_runs" not in html + listed  # it takes two permissions
    if not held:
        page = read(client.get(page_of(runs["waiting"].pk)))
        assert page.tags.count("form") == 1  # that by which one logs out


def test_who_may_act_on_the_rest(client_with: Callable[..., Client]) -> None:
    make_queue("mail")
    make_schedule("hourly")
    make_worker("web-1")
    cases = [
        ("queuestate", "mail", ["pause_queues", "resume_queues"]),
        ("schedule", "hourly", ["pause_schedules", "trigger_schedules", "backfill_schedules", "delete_selected"]),
        ("worker", "web-1", ["drain_workers"]),
    ]
    for model, key, actions in cases:
        client, before = client_with("view", on=model), rows()
        for action in actions:
            data = {"action": action, "index": "0", "_selected_action": [key], "confirmed": "yes", "post": "yes"}
            assert client.post(f"{BASE}{model}/", data).status_code == 403
        for view in ("change", "delete"):
            assert client.post(f"{BASE}{model}/{key}/{view}/", {"paused": "on", "post": "yes"}).status_code == 403
        assert client.post(f"{BASE}{model}/add/", {"name": "x"}).status_code == 403
        assert rows() == before, model
        html = client.get(f"{BASE}{model}/{key}/change/").content.decode()
        assert [action for action in actions if f'value="{action}"' in html] == []


def test_the_log_says_nothing_of_payloads(admin_client: Client, runs: dict[str, WorkflowRun]) -> None:
    WorkflowRun.objects.update(inputs=dumps({"args": ["a-secret-thing"], "kwargs": {}}))
    for _, act in acts(runs):
        admin_client.post(act.address, {**act.data, "message": '"a-secret-thing"', "arg:0": '"a-secret-thing-too"'})
    assert LogEntry.objects.count() > len(LISTED)
    assert not LogEntry.objects.filter(change_message__contains="a-secret-thing").exists()
