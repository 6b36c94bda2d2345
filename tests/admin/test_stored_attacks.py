"""Whatever texts are stored, the pages have the same elements and attributes as with harmless ones: they are text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import pytest
from django.test import Client

from durable_workflows.models import Kind, StepRun, WorkflowRun
from tests.admin.conftest import RUNS, page_of
from tests.admin.hostile import HOSTILE
from tests.admin.rows import (
    ago,
    dumps,
    error_text,
    make_attempt,
    make_event,
    make_message,
    make_queue,
    make_run,
    make_schedule,
    make_step,
    make_stream_entry,
    make_wait,
    make_worker,
)

pytestmark = [pytest.mark.django_db, pytest.mark.once]  # what a page escapes is the same on every database

BASE = "/admin/durable_workflows/"
PER_RUN = 80
# What only many rows bring about, long times, or wrong answers: pages, gaps in a timeline, fields that are marked.
MANY = {("a", "rel"), ("a", "accesskey"), ("svg", "x"), ("svg", "y"), ("input", "aria-invalid"), ("textarea", "aria-invalid")}


class Elements(HTMLParser):
    """The kinds of elements of a page with the names of their attributes, and what would run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.kinds: set[tuple[str, str]] = set()
        self.bad: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.kinds |= {(tag, name) for name, _ in attrs} | {(tag, "")}
        self.bad += [f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name in ("style", "srcdoc")]
        self.bad += [f"{tag} {value}" for name, value in attrs if name in ("href", "src", "action") and _leads_astray(value)]
        self.bad += [tag] if tag in ("iframe", "object", "embed", "base", "style", "b") else []


def _leads_astray(value: str | None) -> bool:
    return (value or "").strip().lower().startswith(("javascript:", "data:", "//", "http"))


def fill(text: Callable[[], str]) -> list[WorkflowRun]:
    """Rows with a text in all places that hold one."""
    runs = []
    for status in ("ERROR", "WAITING"):
        failed = {"error": error_text(ValueError(text())), "completed_at": ago(minutes=1)} if status == "ERROR" else {}
        run = make_run(
            id=_cut(text(), 200), name=_cut(text(), 250), status=status, queue=_cut(text(), 100), user=_cut(text(), 200),
            inputs=dumps({"args": [text(), {text(): text()}], "kwargs": {_cut(text(), 90): text(), "$x": text()}}),
            output=dumps(text()), attributes={text(): text()}, note=text(), started_at=ago(minutes=4),
            deduplication_id=_cut(text(), 200), partition_key=_cut(text(), 100), app_version=_cut(text(), 100),
            progress_text=_cut(text(), 200), progress_done=1, progress_total=2, schedule_name=_cut(text(), 200), worker_id=None, **failed,
        )  # fmt: skip
        StepRun.objects.bulk_create(
            StepRun(run=run, position=at, name=_cut(text(), 250), output=dumps({text(): text()}) if at % 2 else text(),
                    error=error_text(OSError(text())) if at % 3 == 0 else None, started_at=ago(minutes=3),
                    completed_at=ago(minutes=2))
            for at in range(1, PER_RUN)
        )  # fmt: skip
        make_attempt(run, 1, name=_cut(text(), 250), error=error_text(OSError(text())))
        make_message(run, topic=_cut(text(), 250), payload=dumps(text()), idempotency_key=_cut(text(), 250))
        make_event(run, key=_cut(text(), 250), value=dumps(text()))
        make_stream_entry(run, key=_cut(text(), 250), value=dumps(text()))
        make_wait(run, Kind.RECV, key=_cut(text(), 250), source_id=run.pk)
        child = make_run(id=_cut(text(), 200), name=_cut(text(), 250), parent=run)
        make_step(run, PER_RUN, name=_cut(text(), 250), kind=Kind.START, child_id=child.pk, output=dumps(child.pk))
        make_queue(_cut(text(), 100))
        make_schedule(_cut(text(), 200), workflow_name=_cut(text(), 200), context=dumps(text()), queue=_cut(text(), 100))
        make_worker(
            _cut(text(), 50), hostname=_cut(text(), 100), queues=[text()], names=[text()], app_version=_cut(text(), 100)
        )
        runs.append(run)
    return runs


def _cut(text: str, length: int) -> str:
    return text[:length]


def pages(client: Client, runs: list[WorkflowRun]) -> Iterator[tuple[str, str]]:
    ids = [run.pk for run in runs]
    for listed in ("", "dashboard/", "queuestate/", "schedule/", "worker/", "workflowrun/", "workflowrun/start/"):
        yield listed, client.get(f"{BASE}{listed}").content.decode()
    for run in runs:
        base = page_of(run.pk).removesuffix("change/")
        for view in ("change", "fork", "rewind", "send", "history"):
            yield view, client.get(f"{base}{view}/", follow=True).content.decode()
        # Wrong answers are shown again.
        yield (
            "fork",
            client.post(f"{base}fork/", {"more": run.note, "workflow_id": run.note, "token": run.note}).content.decode(),
        )
        yield "send", client.post(f"{base}send/", {"topic": run.note, "message": run.note, "token": run.note}).content.decode()
    for action in ("cancel_runs", "retry_runs", "erase_runs", "delete_runs"):
        data = {"action": action, "index": "0", "_selected_action": ids}
        yield "confirm", client.post(RUNS, data, follow=True).content.decode()
    data = {"action": "cancel_runs", "index": "0", "_selected_action": ids, "confirmed": "yes"}
    yield "done", client.post(RUNS, data, follow=True).content.decode()


def test_stored_attacks_show_as_text(admin_client: Client) -> None:
    numbers = iter(range(10**6))

    def hostile() -> str:
        number = next(numbers)
        attack = HOSTILE[number % len(HOSTILE)]
        # Those of thousands of characters would only be cut.
        return f"{number} {attack[:400]}"

    benign: dict[str, set[tuple[str, str]]] = {}
    for name, html in pages(admin_client, fill(lambda: f"text {next(numbers)}.of.a_name")):
        benign.setdefault(name, set()).update(Elements(html).kinds)
    before = next(numbers)
    runs = [run for _ in range(10) for run in fill(hostile)]
    assert next(numbers) - before > 5000
    seen = 0
    for name, html in pages(admin_client, runs):
        page = Elements(html)
        assert page.bad == [], name
        assert page.kinds - benign[name] - MANY == set(), name
        seen += 1
    assert seen > 100
