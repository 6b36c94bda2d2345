"""What workers execute, and how they are drained: asked first, by whom it may, once, and with an entry in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from durable_workflows.models import Worker
from tests.admin.html import read
from tests.admin.rows import ago, make_run, make_worker

pytestmark = pytest.mark.django_db

WORKERS = "/admin/durable_workflows/worker/"
HOSTILE = "<script>alert(1)</script>"


def drain(client: Client, *ids: str, **more: Any) -> Any:
    return client.post(WORKERS, {"action": "drain_workers", "index": "0", "_selected_action": ids, **more}, follow=True)


def asked() -> set[str]:
    return set(Worker.objects.filter(drain_requested_at__isnull=False).values_list("pk", flat=True))


def test_what_a_worker_executes(admin_client: Client) -> None:
    make_worker("w1", threads=4, hostname=HOSTILE, queues=[HOSTILE], names=[HOSTILE])
    for number in range(4):
        make_run(id=f"order/{number}", status="RUNNING", worker_id="w1", name=f"shop.{HOSTILE}", claimed_at=ago(minutes=number))
    make_run(status="RUNNING", worker_id="another")
    listed, page = read(admin_client.get(WORKERS)), read(admin_client.get(f"{WORKERS}w1/change/"))
    assert "4 of 4" in listed.text
    assert "and 2 more" in listed.text
    assert listed.blocked == page.blocked == []
    html = admin_client.get(f"{WORKERS}w1/change/").content.decode()
    for number in range(4):
        assert f"/workflowrun/order_2F{number}/change/" in html
    assert "<script>alert" not in html
    assert "3 min" in page.text


def test_it_is_asked_first_done_once_and_logged(admin_client: Client) -> None:
    make_worker("w1")
    make_worker("w2")
    make_worker("direct", direct=True)
    make_worker("gone", stopped_at=ago(minutes=1))
    question = read(drain(admin_client, "w1", "w2", "direct", "gone"))
    assert "Drain these 2 workers?" in question.text
    assert "2 workers are left alone" in question.text
    assert question.blocked == []
    assert (asked(), LogEntry.objects.count()) == (set(), 0)
    done = read(drain(admin_client, "w1", "w2", "direct", confirmed="yes")).text
    assert "2 workers are asked to end" in done
    assert "1 worker is left alone" in done
    assert asked() == {"w1", "w2"}
    entries = set(LogEntry.objects.values_list("object_id", "change_message"))
    assert entries == {(worker, "Asked to claim no more, and to end.") for worker in ("w1", "w2")}
    assert "draining" in read(admin_client.get(WORKERS)).text
    again = read(drain(admin_client, "w1", confirmed="yes")).text
    assert "1 worker is left alone" in again
    assert LogEntry.objects.count() == 2


def test_from_the_workers_own_page(admin_client: Client) -> None:
    make_worker("w1")
    assert "Drain…" in read(admin_client.get(f"{WORKERS}w1/change/")).text
    assert f"{WORKERS}w1/change/" in drain(admin_client, "w1", back="worker").content.decode()
    done = drain(admin_client, "w1", back="worker", confirmed="yes")
    assert done.redirect_chain == [(f"{WORKERS}w1/change/", 302)]
    assert "Drain…" not in read(done).text


def test_who_may(client_with: Callable[..., Client]) -> None:
    make_worker("w1")
    viewer = client_with("view", on="worker")
    assert "drain" not in read(viewer.get(WORKERS)).text.lower()
    assert "drain…" not in read(viewer.get(f"{WORKERS}w1/change/")).text.lower()
    drain(viewer, "w1", confirmed="yes")
    assert asked() == set()
    drain(client_with("view", "drain", on="worker"), "w1", confirmed="yes")
    assert asked() == {"w1"}


def test_a_request_from_another_site_is_refused(admin_client: Client) -> None:
    make_worker("w1")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin_client.cookies
    assert drain(strict, "w1", confirmed="yes").status_code == 403
    assert asked() == set()


@pytest.mark.parametrize("ids", [["nobody"], [], ["w1\0"], ["x" * 10_000]])
def test_bad_choices_do_nothing(admin_client: Client, ids: list[str]) -> None:
    make_worker("w1")
    assert drain(admin_client, *ids, confirmed="yes").status_code in (200, 400)
    assert asked() == set()
