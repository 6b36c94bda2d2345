"""Schedules in the admin: added, changed, paused, resumed, triggered, deleted, by those who may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from durable_workflows import create_schedule, get_schedule, pause_schedule, workflow
from durable_workflows.models import Schedule, WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from tests.admin.html import read
from tests.admin.rows import make_schedule

pytestmark = pytest.mark.django_db

SCHEDULES = "/admin/durable_workflows/schedule/"
ASKED = "2031-01-01T00:00:00+00:00"  # when it was asked whether a schedule is to be triggered
FIELDS = {
    "name": "feed", "workflow_name": "tests.admin_ticked", "cron": "0 9 * * MON-FRI", "interval_seconds": "",
    "timezone": "Europe/Berlin", "catch_up": "last", "overlap": "skip", "jitter_seconds": "30", "starts_at_0": "",
    "starts_at_1": "", "ends_at_0": "2031-01-01", "ends_at_1": "00:00:00", "queue": "mail", "context": '{"url": [1, null]}',
}  # fmt: skip


@workflow(name="tests.admin_ticked")
def ticked(scheduled_time: datetime, context: Any) -> Any:
    return context


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """The browser of a member of the staff with some permissions: ``staff("view_schedule", "change_schedule")``."""

    def make(*names: str) -> Client:
        user = User.objects.create_user(f"staff-{len(names)}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="durable_workflows"))
        client = Client()
        client.force_login(user)
        return client

    return make


def logged(flag: int) -> list[str]:
    return [f"{entry.object_id} {entry.get_change_message()}" for entry in LogEntry.objects.filter(action_flag=flag)]


def errors_of(response: Any) -> str:
    assert response.status_code == 200
    form = response.context["adminform"].form
    assert form.errors
    return str(form.errors)


# -- adding


def test_a_schedule_is_added(admin_client: Client) -> None:
    assert read(admin_client.get(f"{SCHEDULES}add/")).blocked == []
    assert admin_client.post(f"{SCHEDULES}add/", FIELDS).status_code == 302
    status = get_schedule("feed")
    assert status is not None
    assert (status.workflow_name, status.cron, status.interval_seconds) == ("tests.admin_ticked", "0 9 * * MON-FRI", None)
    assert (status.timezone, status.catch_up, status.overlap) == ("Europe/Berlin", "last", "skip")
    assert (status.jitter_seconds, status.queue, status.context) == (30.0, "mail", {"url": [1, None]})
    assert (status.starts_at, status.ends_at, status.status) == (None, datetime(2031, 1, 1, tzinfo=UTC), "ACTIVE")
    row = Schedule.objects.get()
    assert (row.passes_context, row.in_code) == (True, False)
    assert row.next_tick_at is not None
    assert f"{row.next_tick_at:%M:%S}" == "00:00"
    assert logged(ADDITION) == ["feed Added."]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cron": "61 * * * *"}, "61 is not within 0-59"),
        ({"cron": ""}, "was given neither"),
        ({"interval_seconds": "60"}, "not both"),
        ({"cron": "", "interval_seconds": "0.5"}, "interval_seconds is a number of seconds, from 1"),
        ({"timezone": "Mars/Olympus"}, "time zone &#x27;Mars/Olympus&#x27; is unknown"),
        ({"jitter_seconds": "-1"}, "jitter_seconds is a number"),
        ({"jitter_seconds": "nan"}, "Enter a number"),
        ({"starts_at_0": "2032-01-01", "starts_at_1": "00:00:00"}, "before it starts"),
        ({"ends_at_0": "9999-12-31", "ends_at_1": "23:59:59"}, "of the years 1900 to 9998"),
        ({"queue": "a\tb"}, "queue&#x27;s name"),
        ({"context": "{not json"}, "This is not JSON"),
        ({"context": "NaN"}, "NaN is not JSON"),
        ({"context": "[" * 5000}, "This is not JSON"),
        ({"context": "[" * 200 + "]" * 200}, "nested deeper"),
        ({"catch_up": "some"}, "Select a valid choice"),
        ({"workflow_name": ""}, "This field is required"),
        ({"workflow_name": "x" * 256}, "at most 255"),
        ({"name": "x" * 256}, "at most 255"),
        ({"name": ""}, "This field is required"),
        ({"name": " "}, "This field is required"),
        ({"name": "a\0b"}, "Null characters are not allowed"),
        ({"name": "taken"}, "already exists"),
    ],
)
def test_what_cannot_be_is_a_form_error_and_nothing_is_saved(admin_client: Client, fields: dict[str, str], words: str) -> None:
    make_schedule("taken")
    assert words in errors_of(admin_client.post(f"{SCHEDULES}add/", {**FIELDS, **fields}))
    assert [row.name for row in Schedule.objects.all()] == ["taken"]
    assert not LogEntry.objects.exists()


def test_a_name_that_was_taken_a_moment_ago(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Schedule, "validate_unique", lambda self, exclude=None: make_schedule("feed"))
    page = read(admin_client.post(f"{SCHEDULES}add/", FIELDS, follow=True)).text
    assert "already a schedule named 'feed'" in page
    assert not LogEntry.objects.exists()


def test_a_workflow_that_this_process_does_not_know_is_saved_with_a_warning(admin_client: Client) -> None:
    fields = {**FIELDS, "workflow_name": "somewhere.else"}
    page = read(admin_client.post(f"{SCHEDULES}add/", fields, follow=True)).text
    assert "knows no workflow named “somewhere.else”" in page
    assert Schedule.objects.get().workflow_name == "somewhere.else"


# -- changing


def shown(client: Client, name: str = "feed") -> dict[str, Any]:
    """What the form of a schedule would send if nothing were changed."""
    form = client.get(f"{SCHEDULES}{name}/change/").context["adminform"].form
    values: dict[str, Any] = {}
    for field in form:
        value = field.value()
        if field.name in ("starts_at", "ends_at"):
            values[f"{field.name}_0"] = f"{value:%Y-%m-%d}" if value else ""
            values[f"{field.name}_1"] = f"{value:%H:%M:%S}" if value else ""
        elif value not in (None, False):
            values[field.name] = value
    return values


def test_a_form_that_is_sent_back_as_it_was_changes_nothing(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *", {"a": ["ü", 1.5]}, jitter_seconds=5, ends_at=datetime(2031, 1, 1, tzinfo=UTC))
    before = Schedule.objects.values().get()
    assert admin_client.post(f"{SCHEDULES}feed/change/", shown(admin_client)).status_code == 302
    assert Schedule.objects.values().get() == before


def test_another_expression_begins_anew(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *")
    fired = datetime(2026, 1, 1, tzinfo=UTC)
    Schedule.objects.update(next_fire_at=fired, last_fire_at=fired)
    values = {**shown(admin_client), "cron": "", "interval_seconds": "90", "timezone": "", "jitter_seconds": ""}
    assert admin_client.post(f"{SCHEDULES}feed/change/", values).status_code == 302
    row = Schedule.objects.get()
    assert (row.cron, row.interval_seconds, row.timezone, row.last_fire_at) == (None, 90.0, "UTC", fired)
    assert row.next_fire_at is not None
    assert row.next_fire_at > fired
    assert len(logged(CHANGE)) == 1


def test_a_bad_change_is_an_error_and_nothing_is_saved(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *")
    before = Schedule.objects.values().get()
    for change in ({"cron": "nonsense"}, {"timezone": "Mars/Olympus"}, {"context": "{"}):
        errors_of(admin_client.post(f"{SCHEDULES}feed/change/", {**shown(admin_client), **change}))
    assert Schedule.objects.values().get() == before


def test_the_context_is_changed_as_json(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *", {"a": 1})
    for text, value in (('[1.5,\r\n "ü"]', [1.5, "ü"]), ("", None), ('{"$": [1]}', {"$": [1]})):
        assert admin_client.post(f"{SCHEDULES}feed/change/", {**shown(admin_client), "context": text}).status_code == 302
        status = get_schedule("feed")
        assert status is not None
        assert status.context == value


def test_a_context_that_json_cannot_say_is_shown_and_kept(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *", {"since": datetime(2025, 1, 1)})
    values = {**shown(admin_client), "context": "{}", "queue": "mail"}
    assert admin_client.post(f"{SCHEDULES}feed/change/", values).status_code == 302
    status = get_schedule("feed")
    assert status is not None
    assert (status.context, status.queue) == ({"since": datetime(2025, 1, 1)}, "mail")


def test_the_name_and_what_happened_are_not_changed(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *")
    values = {**shown(admin_client), "name": "other", "skipped": "7", "note": "x", "in_code": "on"}
    assert admin_client.post(f"{SCHEDULES}feed/change/", values).status_code == 302
    row = Schedule.objects.get()
    assert (row.name, row.skipped, row.note, row.in_code) == ("feed", 0, None, False)


def test_what_somebody_did_meanwhile_is_not_undone_by_a_form(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *")
    sent = {**shown(admin_client), "queue": "mail"}
    pause_schedule("feed")
    assert "was changed meanwhile" in errors_of(admin_client.post(f"{SCHEDULES}feed/change/", sent))
    row = Schedule.objects.get()
    assert (row.paused, row.queue) == (True, None)
    sent = {**shown(admin_client), "queue": "mail"}
    Schedule.objects.update(last_fire_at=datetime(2025, 1, 1, tzinfo=UTC), updated_at=datetime(2025, 1, 1, tzinfo=UTC))
    assert admin_client.post(f"{SCHEDULES}feed/change/", sent).status_code == 302  # a tick changes nothing that is shown
    row = Schedule.objects.get()
    assert (row.paused, row.queue) == (True, "mail")
    del sent["revision"]
    assert "was changed meanwhile" in errors_of(admin_client.post(f"{SCHEDULES}feed/change/", sent))


def test_pausing_by_the_form_and_going_on_from_now(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 * * * *")
    assert admin_client.post(f"{SCHEDULES}feed/change/", {**shown(admin_client), "paused": "on"}).status_code == 302
    assert Schedule.objects.get().paused
    Schedule.objects.update(next_fire_at=datetime(2025, 1, 1, tzinfo=UTC))
    values = shown(admin_client)
    del values["paused"]
    assert admin_client.post(f"{SCHEDULES}feed/change/", values).status_code == 302
    row = Schedule.objects.get()
    assert not row.paused
    assert row.next_fire_at is not None
    assert row.next_fire_at.year > 2025


def test_what_code_declares_is_paused_here_and_not_changed(admin_client: Client) -> None:
    make_schedule("of code", in_code=True)
    sent = shown(admin_client, "of code")
    assert set(sent) == {"revision"}
    values = {**FIELDS, **sent, "paused": "on"}
    assert admin_client.post(f"{SCHEDULES}of code/change/", values).status_code == 302
    row = Schedule.objects.get()
    assert (row.paused, row.cron, row.workflow_name, row.context) == (True, "0 * * * *", "reports.workflows.hourly", None)


# -- actions


def act(client: Client, action: str, *names: str, **more: str) -> Any:
    return client.post(SCHEDULES, {"action": action, "_selected_action": list(names), "index": "0", **more}, follow=True)


def test_the_actions_pause_resume_and_trigger_and_are_logged(admin_client: Client) -> None:
    for name in ("one", "two"):
        create_schedule(name, ticked, "0 9 * * *")
    for action, paused, message in (("pause_schedules", True, "Paused."), ("resume_schedules", False, "Resumed.")):
        assert f"2 schedules: {message}" in read(act(admin_client, action, "one", "two")).text
        assert set(Schedule.objects.values_list("paused", flat=True)) == {paused}
    assert "1 schedule: Triggered." in read(act(admin_client, "trigger_schedules", "two", confirmed=ASKED)).text
    run = WorkflowRun.objects.get()
    assert (run.schedule_name, run.name) == ("two", "tests.admin_ticked")
    assert run.id.startswith("sched-two-trigger-")
    assert sorted(logged(CHANGE)) == sorted(
        [f"{name} {what}" for what in ("Paused.", "Resumed.") for name in ("one", "two")] + ["two Triggered."]
    )


def test_a_question_is_answered_by_one_run_however_often_the_button_is_pressed(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *")
    for bad in ({}, {"confirmed": "yes"}):
        question = act(admin_client, "trigger_schedules", "feed", **bad)
        assert read(question).blocked == []
        assert not WorkflowRun.objects.exists()
    token = question.context["token"]
    for said in ("1 schedule: Triggered.", "1 schedule: that was done already."):
        assert said in read(act(admin_client, "trigger_schedules", "feed", confirmed=token)).text
    assert WorkflowRun.objects.count() == 1
    assert logged(CHANGE) == ["feed Triggered."]
    again = act(admin_client, "trigger_schedules", "feed").context["token"]
    act(admin_client, "trigger_schedules", "feed", confirmed=again)
    assert WorkflowRun.objects.count() == 2


def test_an_action_is_done_to_all_or_none(admin_client: Client) -> None:
    for name in ("one", "two"):
        create_schedule(name, ticked, "0 9 * * *")
        pause_schedule(name)
    Schedule.objects.filter(pk="two").update(cron="nonsense")
    assert "has 1 fields" in read(act(admin_client, "resume_schedules", "one", "two")).text
    assert set(Schedule.objects.values_list("paused", flat=True)) == {True}
    assert not LogEntry.objects.exists()


def test_a_backfill_asks_from_when_to_when(admin_client: Client) -> None:
    for name in ("one", "two"):
        create_schedule(name, ticked, "0 9 * * *")
    question = act(admin_client, "backfill_schedules", "one", "two")
    assert read(question).blocked == []
    assert "keeps its run" in read(question).text
    assert not WorkflowRun.objects.exists()
    for bad in ({}, {"start": "2025-05-01T00:00", "end": "nonsense"}, {"start": "2025-05-01T00:00"}):
        assert "errorlist" in act(admin_client, "backfill_schedules", "one", confirmed="yes", **bad).content.decode()
    backwards = {"start": "2025-05-04T00:00", "end": "2025-05-01T00:00"}
    assert "before it starts" in read(act(admin_client, "backfill_schedules", "one", confirmed="yes", **backwards)).text
    assert not WorkflowRun.objects.exists()
    assert not LogEntry.objects.exists()
    span = {"start": "2025-05-01T09:00", "end": "2025-05-03T12:00:01"}
    for _ in range(2):
        act(admin_client, "backfill_schedules", "one", "two", confirmed="yes", **span)
        ids = [f"sched-{name}-2025-05-0{day}T09:00:00+00:00" for name in ("one", "two") for day in (2, 3)]
        assert sorted(WorkflowRun.objects.values_list("id", flat=True)) == ids
    assert "one Backfilled from 2025-05-01T09:00:00+00:00 to 2025-05-03T12:00:01+00:00." in logged(CHANGE)


def test_buttons_on_the_page_lead_back_to_it(admin_client: Client) -> None:
    create_schedule("a/b", ticked, "0 9 * * *")
    address = f"{SCHEDULES}a_2Fb/change/"
    page = admin_client.get(address)
    assert read(page).blocked == []
    assert [f"{verb}</button>" in page.content.decode() for verb in ("Pause", "Resume", "Trigger now…")] == [True, False, True]
    came = act(admin_client, "pause_schedules", "a/b", back="schedule")
    assert came.redirect_chain[-1][0] == address
    assert act(admin_client, "pause_schedules", "a/b", back="https://example.org/").redirect_chain[-1][0] == SCHEDULES


def test_a_get_does_nothing(admin_client: Client) -> None:
    create_schedule("feed", ticked, "0 9 * * *")
    admin_client.get(SCHEDULES, {"action": "trigger_schedules", "_selected_action": "feed", "index": "0"})
    admin_client.get(f"{SCHEDULES}feed/delete/")
    assert Schedule.objects.filter(paused=False).exists()
    assert not WorkflowRun.objects.exists()


def test_a_post_without_the_token_does_nothing(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    create_schedule("feed", ticked, "0 9 * * *")
    for address, values in ((SCHEDULES, {"action": "pause_schedules", "_selected_action": "feed"}),
                            (f"{SCHEDULES}add/", {**FIELDS, "name": "new"}), (f"{SCHEDULES}feed/delete/", {"post": "yes"})):  # fmt: skip
        assert client.post(address, values).status_code == 403
    assert list(Schedule.objects.values_list("name", "paused")) == [("feed", False)]


# -- deleting


def test_deleting_one_and_several(admin_client: Client) -> None:
    for name in ("one", "two", "three"):
        create_schedule(name, ticked, "0 9 * * *")
    assert admin_client.post(f"{SCHEDULES}one/delete/", {"post": "yes"}).status_code == 302
    act(admin_client, "delete_selected", "two", post="yes")
    assert [row.name for row in Schedule.objects.all()] == ["three"]
    assert [entry.split()[0] for entry in logged(DELETION)] == ["two", "one"]


# -- who may


def test_to_look_is_not_to_change(staff: Callable[..., Client]) -> None:
    create_schedule("feed", ticked, "0 9 * * *")
    client = staff("view_schedule")
    page = client.get(f"{SCHEDULES}feed/change/")
    assert "0 9 * * *" in read(page).text
    assert 'value="schedule"' not in page.content.decode()
    for place in ("add/", "feed/change/", "feed/delete/"):
        assert client.post(SCHEDULES + place, {**FIELDS, "post": "yes"}).status_code == 403
    for action in ("pause_schedules", "resume_schedules", "trigger_schedules", "backfill_schedules", "delete_selected"):
        act(client, action, "feed", post="yes", confirmed="yes", start="2025-05-01T00:00", end="2025-05-09T00:00")
    assert list(Schedule.objects.values_list("name", "paused")) == [("feed", False)]
    assert not WorkflowRun.objects.exists()


def test_each_permission_allows_its_own(staff: Callable[..., Client]) -> None:
    create_schedule("feed", ticked, "0 9 * * *")
    changer = staff("view_schedule", "change_schedule")
    act(changer, "trigger_schedules", "feed", confirmed=ASKED)
    assert not WorkflowRun.objects.exists()
    act(changer, "pause_schedules", "feed")
    assert Schedule.objects.get().paused
    starter = staff("view_schedule", "start_workflowrun", "view_workflowrun")
    act(starter, "resume_schedules", "feed")
    assert Schedule.objects.get().paused
    act(starter, "trigger_schedules", "feed", confirmed=ASKED)
    assert WorkflowRun.objects.count() == 1


# -- workers


@pytest.mark.django_db(transaction=True)
def test_what_is_saved_here_is_fired_by_a_worker_at_once(admin_client: Client) -> None:
    fields = {
        **FIELDS,
        "cron": "",
        "interval_seconds": "1",
        "jitter_seconds": "0",
        "queue": "",
        "catch_up": "all",
        "context": "7",
    }
    with durable_worker(threads=1):
        assert admin_client.post(f"{SCHEDULES}add/", fields).status_code == 302
        last_look = datetime.now(UTC) + timedelta(seconds=30)
        while not (found := WorkflowRun.objects.filter(schedule_name="feed", status=RunState.SUCCESS).first()):
            assert datetime.now(UTC) < last_look
    assert found.output == "7"
