"""Cancel and resume from the admin: asked first, done by the engine, logged per run, reported with counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import User
from django.test import Client

from durable_workflows import steering
from durable_workflows.admin import actions, carrying
from durable_workflows.models import WorkflowRun
from durable_workflows.states import RunState
from tests.admin.conftest import RUNS, page_of
from tests.admin.html import read
from tests.admin.rows import ago, make_run, make_runs, make_step

pytestmark = pytest.mark.django_db

S = RunState


def form(action: str, ids: Sequence[str], **more: str) -> dict[str, Any]:
    """What the list posts."""
    return {"action": action, "index": "0", "_selected_action": list(ids), **more}


def confirmed(action: str, ids: Sequence[str], **more: str) -> dict[str, Any]:
    """What the page that asks posts."""
    return form(action, ids, confirmed="yes", **more)


def text_after(client: Client, data: dict[str, Any], address: str = RUNS) -> str:
    return read(client.post(address, data, follow=True)).text


def status_of(workflow_id: str) -> str:
    return WorkflowRun.objects.get(pk=workflow_id).status


def logged() -> dict[str | None, str]:
    return dict(LogEntry.objects.values_list("object_id", "change_message"))


def test_the_action_asks_first(admin_client: Client) -> None:
    waiting, finished = make_run(status=S.WAITING), make_run(status=S.SUCCESS)
    text = text_after(admin_client, form("cancel_runs", [waiting.pk, finished.pk]))
    assert "Cancel this workflow run?" in text
    assert waiting.pk in text
    assert finished.pk not in text
    assert "1 workflow run is left alone, because it has ended already." in text
    assert status_of(waiting.pk) == S.WAITING
    assert logged() == {}


def test_cancelling_reports_and_logs_each_run(admin_client: Client) -> None:
    ids = [make_run(status=status).pk for status in (S.WAITING, S.ENQUEUED, S.RUNNING, S.DELAYED, S.PAUSED)]
    ended = make_run(status=S.SUCCESS)
    text = text_after(admin_client, confirmed("cancel_runs", [*ids, ended.pk]))
    assert "5 workflow runs were cancelled." in text
    assert "1 workflow run is left alone, because it has ended already." in text
    assert {status_of(run_id) for run_id in ids} == {S.CANCELLED}
    assert status_of(ended.pk) == S.SUCCESS
    assert logged() == dict.fromkeys(ids, "Cancelled.")
    entry = LogEntry.objects.select_related("user", "content_type").first()
    assert entry is not None
    assert (entry.user.get_username(), entry.content_type and entry.content_type.model) == ("root", "workflowrun")


def test_a_run_that_is_to_be_undone_first_counts_as_cancelled(admin_client: Client) -> None:
    run = make_run(status="WAITING", saga="open")
    assert "1 workflow run was cancelled." in text_after(admin_client, confirmed("cancel_runs", [run.pk]))
    run.refresh_from_db()
    assert (run.status, run.saga) == ("ENQUEUED", "cancelled")


def test_resuming_reports_and_logs_each_run(admin_client: Client) -> None:
    states = (S.CANCELLED, S.MAX_RECOVERY_ATTEMPTS_EXCEEDED, S.WAITING, S.DELAYED, S.PAUSED)
    ids = [make_run(status=status).pk for status in states]
    stuck = make_run(status=S.ENQUEUED, stranded="history")
    left = [make_run(status=status).pk for status in (S.SUCCESS, S.ERROR, S.RUNNING)]
    text = text_after(admin_client, confirmed("resume_runs", [*ids, stuck.pk, *left]))
    assert "6 workflow runs were resumed." in text
    assert "3 workflow runs are left alone, because they are running or have finished." in text
    assert {status_of(run_id) for run_id in ids} == {S.ENQUEUED}
    assert WorkflowRun.objects.get(pk=stuck.pk).stranded == ""
    assert [status_of(run_id) for run_id in left] == [S.SUCCESS, S.ERROR, S.RUNNING]
    assert logged() == dict.fromkeys([*ids, stuck.pk], "Resumed.")


def test_children_are_cancelled_when_asked_for(admin_client: Client) -> None:
    parent = make_run(status=S.WAITING)
    child = make_run(status=S.WAITING, parent=parent)
    text_after(admin_client, confirmed("cancel_runs", [parent.pk], option="yes"))
    assert status_of(child.pk) == S.CANCELLED
    assert logged() == {parent.pk: "Cancelled, with its child runs."}


def test_children_go_on_when_not_asked_for(admin_client: Client) -> None:
    parent = make_run(status=S.WAITING)
    child = make_run(status=S.WAITING, parent=parent)
    text_after(admin_client, confirmed("cancel_runs", [parent.pk]))
    assert status_of(child.pk) == S.WAITING


def test_a_run_that_ended_meanwhile_is_not_counted(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = make_run(status=S.RUNNING), make_run(status=S.RUNNING)
    cancel = steering.cancel_workflows

    def end_first(ids: Sequence[str], cancel_children: bool = False) -> None:
        WorkflowRun.objects.filter(pk=quick.pk).update(status=S.SUCCESS)
        cancel(ids, cancel_children)

    monkeypatch.setattr(steering, "cancel_workflows", end_first)
    text = text_after(admin_client, confirmed("cancel_runs", [quick.pk, slow.pk]))
    assert "1 workflow run was cancelled." in text
    assert "1 workflow run is left alone" in text
    assert logged() == {slow.pk: "Cancelled."}


def test_a_run_that_was_deleted_meanwhile_spoils_the_whole(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, other = make_run(status=S.WAITING), make_run(status=S.WAITING)
    cancel = steering.cancel_workflows

    def delete_first(ids: Sequence[str], cancel_children: bool = False) -> None:
        cancel([gone.pk])
        WorkflowRun.objects.filter(pk=gone.pk).delete()
        cancel(ids, cancel_children)

    monkeypatch.setattr(steering, "cancel_workflows", delete_first)
    text = text_after(admin_client, confirmed("cancel_runs", [gone.pk, other.pk]))
    assert f"There is no workflow run with the id '{gone.pk}'" in text
    assert status_of(other.pk) == S.WAITING
    assert logged() == {}


def test_selected_runs_that_are_gone(admin_client: Client) -> None:
    assert "The selected runs are gone." in text_after(admin_client, confirmed("cancel_runs", ["nobody"]))


def test_nothing_is_done_that_is_not_logged(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(status=S.WAITING)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("the log is full")

    monkeypatch.setattr(type(LogEntry.objects), "log_actions", fail)
    with pytest.raises(OSError, match="the log is full"):
        admin_client.post(RUNS, confirmed("cancel_runs", [run.pk]))
    assert status_of(run.pk) == S.WAITING


def hidden(html: str) -> dict[str, str]:
    """The hidden fields of the page that asks."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', html)
    return {name: unescape(value) for name, value in found}


def test_all_that_match_are_taken(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "AT_ONCE", 7)
    ids = make_runs(60, status=S.WAITING, queue="mail")
    others, ended = make_runs(2, status=S.WAITING), make_runs(3, status=S.SUCCESS, queue="mail")
    address = f"{RUNS}?queue=mail"
    page = admin_client.post(address, form("cancel_runs", ids[:50], select_across="1"))
    text = read(page).text
    assert "Cancel these 60 workflow runs?" in text
    assert "… and 40 more" in text
    assert "3 workflow runs are left alone, because they have ended already." in text
    fields = hidden(page.content.decode())
    assert fields["_selected_action"] == "all"  # and none of the ids
    assert page.content.decode().count("_selected_action") == 1
    assert f'action="{address}"' in page.content.decode()
    late = make_run(status=S.WAITING, queue="mail", created_at=ago(seconds=-60)).pk  # nobody could have meant it
    WorkflowRun.objects.filter(pk=ids[0]).update(queue="slow")  # it has left the list meanwhile
    text = text_after(admin_client, fields, address)
    assert "59 workflow runs were cancelled." in text
    assert "3 workflow runs are left alone" in text
    assert WorkflowRun.objects.filter(status=S.CANCELLED).count() == len(logged()) == 59
    assert {status_of(run_id) for run_id in (ids[0], late, *others)} == {S.WAITING}
    assert {status_of(run_id) for run_id in ended} == {S.SUCCESS}


def test_all_that_match_a_search_in_either_order(admin_client: Client) -> None:
    make_run(id="order-1", status=S.WAITING, attributes={"tenant": "acme"})
    make_run(id="order-2", status=S.WAITING)
    make_run(id="parcel-1", status=S.WAITING)
    for query, cancelled in (("?q=tenant%3Dacme", {"order-1"}), ("?q=order-&o=7", {"order-1", "order-2"})):
        fields = hidden(admin_client.post(RUNS + query, form("cancel_runs", ["order-1"], select_across="1")).content.decode())
        if fields:
            admin_client.post(RUNS + query, fields)
        assert set(WorkflowRun.objects.filter(status=S.CANCELLED).values_list("pk", flat=True)) == cancelled


def test_a_long_deed_asks_to_go_on(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "AT_ONCE", 4)
    monkeypatch.setattr(carrying, "LONGEST", -1.0)
    parent, *_rest = [WorkflowRun.objects.get(pk=pk) for pk in make_runs(10, status=S.WAITING)]
    child = make_run(status=S.WAITING, parent=parent, created_at=ago(days=1), queue="elsewhere").pk
    make_run(status=S.SUCCESS)
    address = f"{RUNS}?queue=default"
    fields = hidden(admin_client.post(address, form("cancel_runs", [parent.pk], select_across="1")).content.decode())
    answers = []
    fields["option"] = "yes"
    while "confirmed" in fields:
        response = admin_client.post(address, fields, follow=True)
        answers.append(read(response).text)
        fields = hidden(response.content.decode())
    assert [number for number in ("4", "8") if f"{number} workflow runs were cancelled." in " ".join(answers[:2])] == ["4", "8"]
    assert "10 workflow runs were cancelled." in answers[2]
    assert "1 workflow run is left alone" in answers[2]
    assert status_of(child) == S.CANCELLED
    assert set(logged().values()) == {"Cancelled, with its child runs."}


def test_one_that_refuses_stands_in_nobodys_way(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "AT_ONCE", 3)
    ids = make_runs(7, status=S.SUCCESS, completed_at=ago(minutes=1))
    kept = {ids[2], make_run(status=S.WAITING, parent_id=ids[2]).pk}
    text = text_after(admin_client, {**confirmed("delete_runs", ids), "option": "yes"})
    assert "6 workflow runs were deleted." in text
    assert "It could not be done to 1 run." in text
    assert "cannot be deleted. Wait for its end, or cancel it first." in text
    assert set(WorkflowRun.objects.values_list("pk", flat=True)) == kept
    assert len(logged()) == 6


def test_one_that_fails_fails_with_its_chunk_alone(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "AT_ONCE", 2)
    first, second, third = (make_run(status=S.WAITING, created_at=ago(minutes=number)).pk for number in (1, 2, 3))
    cancel = steering.cancel_workflows

    def fail_later(ids: Sequence[str], cancel_children: bool = False) -> None:
        cancel([*ids, "nobody"] if third in ids else ids, cancel_children)

    monkeypatch.setattr(steering, "cancel_workflows", fail_later)
    text = text_after(admin_client, confirmed("cancel_runs", [first, second, third]))
    assert "2 workflow runs were cancelled." in text
    assert "There is no workflow run with the id" in text
    assert [status_of(run_id) for run_id in (first, second, third)] == [S.CANCELLED, S.CANCELLED, S.WAITING]
    assert set(logged()) == {first, second}


def test_runs_are_deleted(admin_client: Client) -> None:
    ended, waiting = make_run(status=S.SUCCESS), make_run(status=S.WAITING)
    make_step(ended, 1)
    assert "Delete this workflow run?" in text_after(admin_client, form("delete_runs", [ended.pk, waiting.pk]))
    text = text_after(admin_client, confirmed("delete_runs", [ended.pk, waiting.pk]))
    assert "1 workflow run was deleted." in text
    assert "1 workflow run is left alone, because it has not ended." in text
    assert [run.pk for run in WorkflowRun.objects.all()] == [waiting.pk]
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag, entry.object_repr) == (ended.pk, DELETION, str(ended))


def test_from_the_page_of_a_run_that_is_gone_the_way_leads_to_the_list(admin_client: Client) -> None:
    run = make_run(status=S.SUCCESS)
    response = admin_client.post(RUNS, confirmed("delete_runs", [run.pk], back="run"))
    assert response.headers["Location"] == RUNS


@pytest.mark.parametrize("field", ["asked", "after", "done", "left"])
@pytest.mark.parametrize("value", ["", "nonsense", "-1.x", "9" * 400, "1.\0", "²"])
def test_a_form_that_nobody_sent_does_no_harm(admin_client: Client, field: str, value: str) -> None:
    run = make_run(status=S.WAITING)
    sane = {"asked": "1", "after": "", "done": "0", "left": "0"}
    response = admin_client.post(RUNS, confirmed("cancel_runs", ["all"], select_across="1", **{**sane, field: value}))
    assert response.status_code in (200, 302)
    assert status_of(run.pk) == S.WAITING


def test_the_question_lists_only_some(admin_client: Client) -> None:
    text = text_after(admin_client, form("resume_runs", make_runs(actions.LISTED + 2, status=S.WAITING)))
    assert "… and 2 more" in text


def test_back_to_the_list_as_it_was_filtered(admin_client: Client) -> None:
    run = make_run(status=S.WAITING, queue="mail")
    asked = admin_client.post(f"{RUNS}?queue=mail", form("cancel_runs", [run.pk])).content.decode()
    assert 'name="back" value="?queue=mail"' in asked
    response = admin_client.post(RUNS, confirmed("cancel_runs", [run.pk], back="?queue=mail"))
    assert response.headers["Location"] == f"{RUNS}?queue=mail"


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "run/../../", ""])
def test_never_back_to_anywhere_else(admin_client: Client, back: str) -> None:
    run = make_run(status=S.WAITING)
    response = admin_client.post(RUNS, confirmed("cancel_runs", [run.pk], back=back))
    assert response.headers["Location"] == RUNS


def test_the_buttons_of_a_page(admin_client: Client) -> None:
    run = make_run(status=S.WAITING)
    html = admin_client.get(page_of(run.pk)).content.decode()
    assert 'value="cancel_runs"' in html
    assert 'value="resume_runs"' in html
    assert "Cancel this workflow run?" in text_after(admin_client, form("cancel_runs", [run.pk], back="run"))
    response = admin_client.post(RUNS, confirmed("cancel_runs", [run.pk], back="run"))
    assert response.headers["Location"] == page_of(run.pk)
    assert "1 workflow run was cancelled." in read(admin_client.get(page_of(run.pk))).text


@pytest.mark.parametrize(
    ("status", "buttons"),
    [(S.RUNNING, {"cancel_runs"}), (S.CANCELLED, {"resume_runs"}), (S.SUCCESS, set()), (S.WAITING, {"cancel_runs", "resume_runs"})],
)  # fmt: skip
def test_a_page_has_the_buttons_that_do_something(admin_client: Client, status: str, buttons: set[str]) -> None:
    html = admin_client.get(page_of(make_run(status=status).pk)).content.decode()
    assert {name for name in ("cancel_runs", "resume_runs") if f'value="{name}"' in html} == buttons


def test_the_history_of_a_run_shows_who_did_what(admin_client: Client) -> None:
    run = make_run(status=S.WAITING)
    admin_client.post(RUNS, confirmed("cancel_runs", [run.pk]))
    text = read(admin_client.get(page_of(run.pk).replace("/change/", "/history/"))).text
    assert "root Cancelled." in text


# Who may do what.


def test_deleting_needs_its_own_permission(client_with: Callable[..., Client]) -> None:
    run = make_run(status=S.SUCCESS)
    client = client_with("view", "cancel", "resume", "change")
    client.post(RUNS, confirmed("delete_runs", [run.pk]))
    assert "delete_runs" not in client.get(RUNS).content.decode()
    assert WorkflowRun.objects.filter(pk=run.pk).exists()
    assert "1 workflow run was deleted." in text_after(client_with("view", "delete"), confirmed("delete_runs", [run.pk]))


@pytest.mark.parametrize("granted", [["view"], ["view", "resume"], ["view", "change"]])
def test_cancelling_needs_its_own_permission(client_with: Callable[..., Client], granted: list[str]) -> None:
    run = make_run(status=S.WAITING)
    client = client_with(*granted)
    assert "cancel_runs" not in client.get(RUNS).content.decode()
    assert "cancel_runs" not in client.get(page_of(run.pk)).content.decode()
    client.post(RUNS, confirmed("cancel_runs", [run.pk]))
    assert status_of(run.pk) == S.WAITING


def test_the_permissions_open_what_they_name(client_with: Callable[..., Client]) -> None:
    run = make_run(status=S.WAITING)
    text_after(client_with("view", "cancel"), confirmed("cancel_runs", [run.pk]))
    assert status_of(run.pk) == S.CANCELLED
    text_after(client_with("view", "resume"), confirmed("resume_runs", [run.pk]))
    assert status_of(run.pk) == S.ENQUEUED


@pytest.mark.parametrize("granted", [[], ["cancel", "resume"]])
def test_without_the_permission_to_view_there_is_nothing(client_with: Callable[..., Client], granted: list[str]) -> None:
    run = make_run(status=S.WAITING)
    client = client_with(*granted)
    responses = [client.get(RUNS), client.get(page_of(run.pk)), client.post(RUNS, confirmed("cancel_runs", [run.pk]))]
    assert [response.status_code for response in responses] == [403, 403, 403]
    assert status_of(run.pk) == S.WAITING


def test_nothing_is_done_by_following_a_link(admin_client: Client) -> None:
    run = make_run(status=S.WAITING)
    admin_client.get(RUNS, confirmed("cancel_runs", [run.pk]))
    assert status_of(run.pk) == S.WAITING


def test_another_site_cannot_post(db: None) -> None:
    run = make_run(status=S.WAITING)
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    assert client.post(RUNS, confirmed("cancel_runs", [run.pk])).status_code == 403
    assert status_of(run.pk) == S.WAITING


def test_strangers_are_sent_to_the_login(client: Client) -> None:
    response = client.get(page_of(make_run().pk))
    assert response.headers["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("place", ["add/", "x/delete/"])
def test_runs_are_not_added_or_deleted(admin_client: Client, place: str) -> None:
    make_run(id="x")
    assert admin_client.get(RUNS + place).status_code == 403
    assert admin_client.post(RUNS + place, {"post": "yes"}).status_code == 403
    assert WorkflowRun.objects.filter(pk="x").exists()


def test_runs_are_not_changed(admin_client: Client) -> None:
    run = make_run(status=S.WAITING)
    assert admin_client.post(page_of(run.pk), {"status": "SUCCESS"}).status_code == 403
    assert status_of(run.pk) == S.WAITING


def test_runs_are_not_deleted_in_bulk(admin_client: Client) -> None:
    run = make_run()
    admin_client.post(RUNS, form("delete_selected", [run.pk], post="yes"))
    assert WorkflowRun.objects.filter(pk=run.pk).exists()
