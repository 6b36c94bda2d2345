"""What somebody may not see they cannot find out by asking either: by a filter, a search, a sentence, or another's page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from durable_workflows.models import QueueState, Schedule, Worker, WorkflowRun
from tests.admin.conftest import RUNS, page_of
from tests.admin.html import read
from tests.admin.rows import dumps, make_queue, make_run, make_schedule, make_worker

pytestmark = pytest.mark.django_db

BASE = "/admin/durable_workflows/"
SECRET = "hunter2"


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """The browser of somebody with these permissions, of whatever model."""

    def make(*names: str) -> Client:
        user = User.objects.create_user("-".join(names), is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="durable_workflows"))
        client = Client()
        client.force_login(user)
        return client

    return make


def test_no_column_is_asked_that_no_filter_asks(admin_client: Client) -> None:
    make_run(inputs=dumps(SECRET), note=SECRET, attributes={"x": SECRET})
    make_schedule("feed", context=dumps(SECRET))
    make_queue("mail")
    make_worker("w1")
    for model in (WorkflowRun, Schedule, QueueState, Worker):
        list_ = f"{BASE}{model._meta.model_name}/"
        own = {"status__exact", "schedule_name__exact", "paused__exact", "in_code__exact", "direct__exact"}
        for field in model._meta.get_fields():
            for lookup in ("contains", "regex", "exact", "isnull"):
                asked = f"{field.name}__{lookup}"
                if not (asked in own or (lookup == "isnull" and f"{field.name}__exact" in own)):
                    assert admin_client.get(list_, {asked: "("}).status_code == 400, (list_, asked)
    for asked in ("inputs", "attributes__x", "note_head__contains", "parent__inputs__contains", "nothing"):
        assert admin_client.get(RUNS, {asked: SECRET}).status_code == 400, asked
    assert admin_client.get(f"{BASE}schedule/?paused__exact=0&in_code__exact=0").status_code == 200
    assert admin_client.get(f"{BASE}schedule/?paused__isnull=0").status_code == 200


def test_a_note_is_not_told_without_the_permission(client_with: Callable[..., Client]) -> None:
    run = make_run(stranded="history", note=f"step 3 was called with {SECRET}")
    pages = [RUNS, page_of(run.pk), page_of(run.pk).replace("/change/", "/live/")]
    for client, seen in ((client_with("view"), False), (client_with("view", "view_payload"), True)):
        for page in pages:
            text = client.get(page).content.decode()
            assert "ts code no longer fits its history" in text
            assert (SECRET in text) is seen, page


def test_attributes_are_searched_by_those_who_may_see_them(client_with: Callable[..., Client]) -> None:
    run = make_run(attributes={"tenant": 1234, "password": SECRET})
    blind, seeing = client_with("view"), client_with("view", "view_payload")
    assert "one needs the permission to see payloads" in read(blind.get(RUNS, {"q": "tenant=1234"})).text
    for client, query, found in (
        (blind, "tenant=1234", False), (blind, run.pk, True), (seeing, "tenant=1234", True), (seeing, f"password={SECRET}", False),
    ):  # fmt: skip
        assert (page_of(run.pk) in client.get(RUNS, {"q": query}).content.decode()) is found, query
    assert "is redacted, and nobody can search by it" in read(seeing.get(RUNS, {"q": f"password={SECRET}"})).text
    cancel = {"action": "cancel_runs", "index": "0", "select_across": "1", "_selected_action": "all", "confirmed": "yes"}
    client_with("view", "cancel").post(f"{RUNS}?q=tenant=1234", {**cancel, "asked": "9999999999999999."})
    assert WorkflowRun.objects.get().status == "ENQUEUED"


def test_the_context_of_a_schedule_is_a_payload(staff: Callable[..., Client]) -> None:
    make_schedule("open", context=dumps({"order": SECRET}), note=f"it said {SECRET}", paused=True)
    make_schedule("partly", context=dumps({"order": "o-7", "password": SECRET}))
    for rights in (("view_schedule",), ("view_schedule", "change_schedule")):
        page = staff(*rights).get(f"{BASE}schedule/open/change/").content.decode()
        assert SECRET not in page
        assert "order" not in page
    seeing = staff("view_schedule", "change_schedule", "view_payload_workflowrun")
    assert seeing.get(f"{BASE}schedule/open/change/").content.decode().count(SECRET) == 2
    page = seeing.get(f"{BASE}schedule/partly/change/").content.decode()
    assert (SECRET in page, "o-7" in page, 'name="context"' in page) == (False, True, False)
    # What is not shown is not changed either.
    changer = staff("view_schedule", "change_schedule", "add_schedule")
    form = changer.get(f"{BASE}schedule/open/change/").context["adminform"].form
    sent = {"workflow_name": "other", "cron": "0 1 * * *", "timezone": "UTC", "catch_up": "skip", "overlap": "allow",
            "paused": "on", "context": '"forged"', "revision": form["revision"].value()}  # fmt: skip
    assert changer.post(f"{BASE}schedule/open/change/", sent).status_code == 302
    row = Schedule.objects.get(pk="open")
    assert (row.workflow_name, row.context, row.paused) == ("other", dumps({"order": SECRET}), True)


def test_the_runs_of_a_worker_and_of_a_schedule_are_for_who_may_see_runs(staff: Callable[..., Client]) -> None:
    make_worker("w1")
    make_schedule("feed")
    run = make_run(status="RUNNING", worker_id="w1", schedule_name="feed", name="shop.secret_plan")
    desk = ("view_worker", "view_schedule")
    pages = [f"{BASE}{page}" for page in ("worker/", "worker/w1/change/", "schedule/feed/change/")]
    for client, seen in ((staff(*desk), False), (staff(*desk, "view_workflowrun"), True)):
        for page in pages:
            text = client.get(page).content.decode()
            assert (run.pk in text) is seen, page
            assert seen or "secret_plan" not in text
