"""Queues are changed while workers work: what an operator may override, and what the form refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client

from durable_workflows import Queue, workflow
from durable_workflows.models import QueueStart, QueueState, rules
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from tests.admin.html import read
from tests.admin.rows import ago, make_queue, make_run, make_worker

pytestmark = pytest.mark.django_db

QUEUES = "/admin/durable_workflows/queuestate/"
MAIL = f"{QUEUES}mail/change/"
COUNTS = ("concurrency", "worker_concurrency", "partition_concurrency", "partition_worker_concurrency")


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """No code of this process declares a queue."""
    monkeypatch.setattr(Queue, "declared", {})


def form(client: Client, queue: str = "mail", /, **changes: Any) -> dict[str, Any]:
    """What the page of a queue posts when nothing is touched, and with these changes."""
    initial = client.get(f"{QUEUES}{queue}/change/").context["adminform"].form
    posted: dict[str, Any] = {}
    for field in initial.visible_fields() + initial.hidden_fields():
        value = field.value()
        parts = field.field.widget.decompress(value) if hasattr(field.field.widget, "widgets") else [value]
        names = [f"{field.name}_{number}" for number in range(len(parts))] if len(parts) > 1 else [field.name]
        posted |= {part: value for part, value in zip(names, parts, strict=True) if value not in (None, False)}
    return {key: value for key, value in {**posted, **changes}.items() if value is not None}


def at_most(name: str, *numbers: Any) -> dict[str, Any]:
    """What is posted for a limit that is overridden."""
    return {f"{name}_0": "value"} | {f"{name}_{place}": number for place, number in enumerate(numbers, 1)}


def change(client: Client, queue: str = "mail", /, **changes: Any) -> str:
    """The text that follows a change."""
    return read(client.post(f"{QUEUES}{queue}/change/", form(client, queue, **changes), follow=True)).text


def mail() -> QueueState:
    return QueueState.objects.get(pk="mail")


def test_what_is_saved_untouched_stays_as_it_is(admin_client: Client) -> None:
    overrides = {
        "concurrency": 4, "worker_concurrency": None, "limiter": {"limit": 5, "period": 1.5}, "waiting": "hold",
        "partition_queue": True, "partition_concurrency": 2, "partition_limiter": {"limit": 1, "period": 60},
    }  # fmt: skip
    make_queue("mail", declared={"concurrency": 10}, overrides=overrides, paused=True)
    assert "changed successfully" in change(admin_client)
    assert (mail().overrides, mail().paused, mail().declared) == (overrides, True, {"concurrency": 10})


@pytest.mark.parametrize("name", COUNTS)
def test_a_number_is_overridden_lifted_and_as_declared_again(admin_client: Client, name: str) -> None:
    make_queue("mail", declared={"partition_queue": True, name: 10})
    change(admin_client, **at_most(name, "4"))
    assert mail().overrides == {name: 4}
    change(admin_client, **{f"{name}_0": "none"})
    assert mail().overrides == {name: None}
    change(admin_client, **{f"{name}_0": ""})
    assert mail().overrides is None
    assert rules.read_rules(connection)["mail"].limits.as_json() == {"partition_queue": True, name: 10}


@pytest.mark.parametrize("name", ["limiter", "partition_limiter"])
def test_a_rate_is_overridden(admin_client: Client, name: str) -> None:
    make_queue("mail", declared={"partition_queue": True, name: {"limit": 50, "period": 30}})
    change(admin_client, **at_most(name, "7", "0.5"))
    assert mail().overrides == {name: {"limit": 7, "period": 0.5}}
    change(admin_client, **at_most(name, "7", "60"))
    assert mail().overrides == {name: {"limit": 7, "period": 60}}


def test_workers_notice_by_the_revision(admin_client: Client) -> None:
    make_queue("mail")
    before = rules.stamp("default").get()
    change(admin_client, **at_most("concurrency", "4"), paused="on")
    assert mail().revision == 2
    assert rules.stamp("default").get() != before
    assert mail().updated_at > ago(minutes=1)


def test_what_contradicts_itself_is_refused_as_a_whole(admin_client: Client) -> None:
    make_queue("mail", declared={"concurrency": 2})
    text = change(admin_client, **at_most("worker_concurrency", "5"), paused="on")
    assert "worker_concurrency=5 can never be reached, since concurrency=2" in text
    assert (mail().overrides, mail().paused, mail().revision) == (None, False, 1)
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"concurrency_0": "value"}, "Enter the number."),
        ({"concurrency_1": "4"}, "“at most” is not chosen"),
        (at_most("concurrency", "0"), "greater than or equal to 1"),
        (at_most("concurrency", "-1"), "greater than or equal to 1"),
        (at_most("concurrency", "1.5"), "whole number"),
        (at_most("concurrency", "many"), "whole number"),
        (at_most("concurrency", str(2**31)), "less than or equal to"),
        (at_most("limiter", "5"), "Enter the number."),
        (at_most("limiter", "5", "0"), "positive number of seconds"),
        (at_most("limiter", "5", "nan"), "Enter a number."),
        (at_most("limiter", "5", "1e10"), "less than or equal to"),
        (at_most("partition_concurrency", "1"), "partition_queue=True"),
        ({"waiting": "hold"}, "Set one of them"),
        ({"waiting": "forever"}, "not one of the available choices"),
        ({"concurrency_0": "maybe"}, "not one of the available choices"),
        ({"revision": "0"}, "was changed meanwhile"),
        ({"revision": None}, "was changed meanwhile"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_is_refused(admin_client: Client, changes: dict[str, Any], words: str) -> None:
    make_queue("mail")
    assert words in change(admin_client, **changes)
    assert (mail().overrides, mail().revision) == (None, 1)


def test_a_form_that_was_overtaken_undoes_nothing(admin_client: Client) -> None:
    make_queue("mail")
    posted = form(admin_client, **at_most("concurrency", "4"))
    rules.change(connection, ["mail"], paused=True)
    assert "was changed meanwhile" in read(admin_client.post(MAIL, posted, follow=True)).text
    assert (mail().paused, mail().overrides) == (True, None)


def test_a_change_is_logged_with_what_was_and_what_is(admin_client: Client) -> None:
    make_queue("mail", declared={"concurrency": 10}, overrides={"limiter": {"limit": 1, "period": 2}})
    change(admin_client, **at_most("concurrency", "4"), limiter_0="", limiter_1=None, limiter_2=None, paused="on")
    entry = LogEntry.objects.get()
    assert entry.object_id == "mail"
    assert entry.change_message == "concurrency: as declared -> 4; limiter: {'limit': 1, 'period': 2} -> as declared; paused"


@pytest.mark.parametrize(
    ("declared", "overrides", "mended"),
    [
        ({"concurrency": 2}, {"worker_concurrency": 5}, {"worker_concurrency_0": ""}),
        ({"concurrency": 2}, {"concurrency": -1}, {"concurrency_0": ""}),
        ({"concurrency": 2}, {"concurrency": "lots"}, {"concurrency_0": ""}),
        ({"concurrency": 2}, {"concurrncy": 1}, {}),
        ({"concurrency": 2}, ["concurrency"], {}),
        ({"concurrency": 0}, None, at_most("concurrency", "2")),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_says_so_and_is_mended(
    admin_client: Client, declared: Any, overrides: Any, mended: dict[str, Any]
) -> None:
    make_queue("mail", declared=declared, overrides=overrides)
    problem = rules.read_rules(connection)["mail"].problem
    assert problem
    for address in (QUEUES, MAIL):
        page = read(admin_client.get(address))
        assert problem in page.text
        assert page.blocked == []
    assert "changed successfully" in change(admin_client, **mended)
    assert rules.read_rules(connection)["mail"].limits.concurrency == 2


def test_what_code_declared_and_nobody_here_can_read_is_forgotten(admin_client: Client) -> None:
    make_queue("mail", declared={"burst": 5, "concurrency": 3})
    assert "There is no limit burst" in change(admin_client, paused="on")
    assert not mail().paused
    assert "changed successfully" in change(admin_client, forget_declared="on")
    assert mail().declared is None
    assert not rules.read_rules(connection)["mail"].problem


def test_what_is_stored_is_escaped(admin_client: Client) -> None:
    evil = "<script>alert(1)</script>"
    make_queue("mail", declared={evil: evil, "concurrency": evil, "limiter": {"limit": evil}}, overrides={"waiting": evil})
    for address in (QUEUES, MAIL):
        html = admin_client.get(address).content.decode()
        assert "&lt;script&gt;alert(1)" in html
        assert "<script>alert" not in html


def test_a_queue_that_no_code_declares_gets_a_row(admin_client: Client) -> None:
    page = read(admin_client.get(f"{QUEUES}add/"))
    assert page.blocked == []
    text = read(
        admin_client.post(f"{QUEUES}add/", {"name": "mail", "paused": "on", **at_most("concurrency", "3")}, follow=True)
    ).text
    assert "added successfully" in text
    assert (mail().paused, mail().overrides, mail().declared) == (True, {"concurrency": 3}, None)
    assert [(entry.object_id, entry.is_addition()) for entry in LogEntry.objects.all()] == [("mail", True)]


@pytest.mark.parametrize(
    ("name", "words"), [("", "required"), ("a\nb", "printable"), ("x" * 129, "128"), ("mail", "already exists")]
)
def test_a_row_that_cannot_be_added(admin_client: Client, name: str, words: str) -> None:
    make_queue("mail")
    assert words in read(admin_client.post(f"{QUEUES}add/", {"name": name}, follow=True)).text
    assert QueueState.objects.count() == 1


def test_a_name_is_never_changed(admin_client: Client) -> None:
    make_queue("mail")
    change(admin_client, name="other", paused="on")
    assert [queue.pk for queue in QueueState.objects.all()] == ["mail"]
    assert mail().paused


def test_pausing_and_resuming_a_selection(admin_client: Client) -> None:
    make_queue("mail")
    make_queue("slow", paused=True, overrides={"concurrency": 1})
    make_queue("left")
    for action, words in (("pause_queues", "1 queue was paused."), ("resume_queues", "2 queues were resumed.")):
        posted = {"action": action, "_selected_action": ["mail", "slow"]}
        assert words in read(admin_client.post(QUEUES, posted, follow=True)).text
        assert {mail().paused, QueueState.objects.get(pk="slow").paused} == {action == "pause_queues"}
    assert QueueState.objects.get(pk="slow").overrides == {"concurrency": 1}
    assert {*LogEntry.objects.values_list("object_id", "change_message")} == {
        ("mail", "paused"), ("mail", "resumed"), ("slow", "resumed"),
    }  # fmt: skip
    assert [QueueState.objects.get(pk=name).revision for name in ("mail", "slow", "left")] == [3, 2, 1]


def test_a_request_from_another_site_changes_nothing(admin_client: Client) -> None:
    make_queue("mail")
    posted = form(admin_client, paused="on")
    forger = Client(enforce_csrf_checks=True)
    forger.cookies = admin_client.cookies
    assert forger.post(MAIL, posted).status_code == 403
    assert forger.post(QUEUES, {"action": "pause_queues", "_selected_action": ["mail"]}).status_code == 403
    assert forger.post(f"{QUEUES}mail/delete/", {"post": "yes"}).status_code == 403
    assert not mail().paused


def test_who_may_only_look_sees_all_and_changes_nothing(client_with: Callable[..., Client]) -> None:
    client = client_with("view", on="queuestate")
    make_queue("mail", declared={"concurrency": 10}, overrides={"concurrency": 4})
    page = read(client.get(MAIL))
    assert "at most 10 at once" in page.text
    assert "at most 4 at once overridden" in page.text
    assert "select" not in page.tags
    assert client.post(MAIL, {"paused": "on"}).status_code == 403
    assert client.get(f"{QUEUES}add/").status_code == 403
    assert client.post(f"{QUEUES}mail/delete/", {"post": "yes"}).status_code == 403
    client.post(QUEUES, {"action": "pause_queues", "_selected_action": ["mail"]})
    assert "pause_queues" not in client.get(QUEUES).content.decode()
    assert (mail().paused, mail().revision) == (False, 1)


def test_who_may_only_look_sees_what_is_wrong(client_with: Callable[..., Client]) -> None:
    make_queue("mail", declared={"concurrency": 2}, overrides={"worker_concurrency": 5})
    page = read(client_with("view", on="queuestate").get(MAIL))
    assert "can never be reached" in page.text
    assert "forget" not in page.text.lower()


def test_each_part_of_an_override_has_a_name_of_its_own(admin_client: Client) -> None:
    make_queue("mail")
    html = admin_client.get(MAIL).content.decode()
    for name in ("Concurrency: override", "Concurrency: at once", "Rate of starts: started in any", "Rate of starts: seconds"):
        assert html.count(f'aria-label="{name}"') == 1, name


def test_a_row_that_nobody_needs_is_deleted_with_its_window(admin_client: Client) -> None:
    make_queue("mail", declared={"concurrency": 1})
    make_run(queue="mail", status="SUCCESS")
    make_worker("gone", queues=["mail"], stopped_at=ago(minutes=1))
    QueueStart.objects.create(queue="mail", at=ago(days=1), number=1)
    assert read(admin_client.get(f"{QUEUES}mail/delete/")).blocked == []
    admin_client.post(f"{QUEUES}mail/delete/", {"post": "yes"})
    assert not QueueState.objects.exists()
    assert not QueueStart.objects.exists()
    assert [entry.is_deletion() for entry in LogEntry.objects.all()] == [True]


@pytest.mark.parametrize("needed_by", ["code", "a worker", "a run"])
def test_a_row_that_somebody_needs_stays(admin_client: Client, needed_by: str) -> None:
    make_queue("mail")
    words = {"code": "code declares it", "a worker": "a worker serves it", "a run": "runs that have not ended"}
    if needed_by == "code":
        Queue("mail")
    elif needed_by == "a worker":
        make_worker("there", queues=["default", "mail"])
    else:
        make_run(queue="mail", status="WAITING")
    assert words[needed_by] in read(admin_client.post(f"{QUEUES}mail/delete/", {"post": "yes"}, follow=True)).text
    assert mail()
    assert "delete_selected" not in admin_client.get(QUEUES).content.decode()


def test_a_page_costs_the_same_for_few_and_for_many_runs(
    admin_client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    make_queue("mail", declared={"concurrency": 10}, overrides={"concurrency": 4})
    for _ in range(20):
        make_run(queue="mail")
    ContentType.objects.get_for_model(QueueState)  # asked once a process
    with django_assert_num_queries(8):  # session, user, row, and what goes on: now, depth, leased, kept, put off
        assert read(admin_client.get(MAIL)).blocked == []


@pytest.mark.parametrize("name", ["nobody", "no%00body", "a/b"])
def test_a_queue_that_is_not_there(admin_client: Client, name: str) -> None:
    for place in ("change/", "delete/"):
        assert admin_client.get(f"{QUEUES}{name}/{place}").status_code in (302, 404)


@workflow
def returns(value: int) -> int:
    return value


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limits", [{}, {"concurrency": 1}], ids=str)
def test_a_worker_follows_what_is_changed(admin_client: Client, limits: dict[str, Any]) -> None:
    make_queue("mail", paused=True)
    mails, others = Queue("mail", **limits), Queue("others")
    handle = mails.enqueue(returns, 1)
    with durable_worker(threads=2, queues=["mail", "others"]):
        assert others.enqueue(returns, 2).get_result(timeout=20) == 2
        assert handle.get_status().status == RunState.ENQUEUED
        assert mail().declared == (limits or {})
        admin_client.post(QUEUES, {"action": "resume_queues", "_selected_action": ["mail"]})
        assert handle.get_result(timeout=20) == 1
        change(admin_client, paused="on")
        assert mail().paused
