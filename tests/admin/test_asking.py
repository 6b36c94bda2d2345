"""Forks, rewinds, messages, starts and exports from the admin: asked by a form, done by the engine, logged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from durable_workflows import import_workflow, recv, start_workflow, step, workflow
from durable_workflows.admin import exporting
from durable_workflows.models import Message, StepRun, WorkflowRun
from durable_workflows.serializers import loads
from durable_workflows.testing import drain
from tests.admin.conftest import RUNS, page_of
from tests.admin.html import read
from tests.admin.rows import ago, dumps, make_run, make_step

pytestmark = pytest.mark.django_db

START = f"{RUNS}start/"


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


@step
def checked(text: str) -> str:
    if not text.startswith("order"):
        raise ValueError(f"no order: {text}")
    return text.upper()


@step
def priced(price: Decimal) -> Decimal:
    return price * 2


@workflow
def shopping(price: Decimal, name: str, password: str = "", *, note: dict[str, Any] | None = None) -> list[Any]:
    """Buys something."""
    return [priced(price), priced(price), checked(name), password, note]


@workflow
def listening() -> Any:
    return recv("paid")


@workflow
def everything(
    text: str, number: int, share: float, sure: bool, day: date, moment: datetime, price: Decimal, key: UUID, size: Size,
    tags: list[str], nothing: int | None, maybe: str = "d", *more: int, limit: int = 3, **named: Any,
) -> list[Any]:  # fmt: skip
    return [text, number, share, sure, day, moment, price, key, size, tags, nothing, maybe, more, limit, named]


def ask_page(view: str, run: WorkflowRun) -> str:
    return page_of(run.pk).replace("/change/", f"/{view}/")


def filled(client: Client, address: str, **changed: Any) -> dict[str, str]:
    """What a browser would post of the form at an address."""
    html = client.get(address).content.decode()
    form = html[html.index('class="dw-form"') :]
    data = dict(re.findall(r'<input type="(?:hidden|text|number)" name="([^"]*)" value="([^"]*)"', form))
    data |= {
        name: text.lstrip("\n") for name, text in re.findall(r'<textarea name="([^"]*)"[^>]*>(.*?)</textarea>', form, re.DOTALL)
    }
    return {**{name: unescape(text).replace("\n", "\r\n") for name, text in data.items()}, **changed}


def logged() -> list[tuple[str | None, int, str]]:
    return list(LogEntry.objects.order_by("pk").values_list("object_id", "action_flag", "change_message"))


@pytest.fixture
def failed() -> WorkflowRun:
    handle = start_workflow(shopping, Decimal("1.10"), "odrer 7", password="s3cret", note={"gift": True})
    drain()
    return WorkflowRun.objects.get(pk=handle.workflow_id)


def test_a_failed_run_is_forked_with_a_corrected_input(admin_client: Client, failed: WorkflowRun) -> None:
    html = read(admin_client.get(page_of(failed.pk))).text
    assert "Fork…" in html
    address = ask_page("fork", failed)
    assert f"{address}?step=3" in unescape(admin_client.get(page_of(failed.pk)).content.decode())
    asked = admin_client.get(address)
    text = read(asked).text
    assert "Step 3 is tests.admin.test_asking.checked." in text
    assert "s3cret" not in asked.content.decode()
    data = filled(admin_client, address)
    assert (data["start_step"], data["arg:1"], set(data) & {"arg:0", "kwarg:password"}) == ("3", '"odrer 7"', set())
    wrong = read(admin_client.post(address, {**data, "arg:1": "order 7"})).text
    assert "This is not JSON" in wrong
    assert "Nothing was done yet" in wrong
    fixed = {**data, "arg:1": '"order 7"', "workflow_id": "order-7-again"}
    assert "This is the fork. It goes on from step 3." in read(admin_client.post(address, fixed, follow=True)).text
    assert "There is a fork of this id already" in read(admin_client.post(address, fixed, follow=True)).text
    drain()
    fork = WorkflowRun.objects.get(pk="order-7-again")
    assert (fork.status, fork.forked_from_id) == ("SUCCESS", failed.pk)
    assert loads(fork.output or "", what="output") == [Decimal("2.20"), Decimal("2.20"), "ORDER 7", "s3cret", {"gift": True}]
    told = "from step 3, with another input."
    assert sorted(logged()) == sorted(
        [(fork.pk, 1, f"Forked from {failed.pk} {told}"), (failed.pk, 2, f"Forked as {fork.pk} {told}")]
    )


def test_an_input_left_alone_is_kept_as_it_is_stored(admin_client: Client, failed: WorkflowRun) -> None:
    address = ask_page("fork", failed) + "?step=2"
    admin_client.post(address, filled(admin_client, address, workflow_id="same", start_step="2"))
    fork = WorkflowRun.objects.get(pk="same")
    assert fork.inputs == WorkflowRun.objects.get(pk=failed.pk).inputs
    assert StepRun.objects.filter(run=fork).count() == 1


def test_without_the_permission_nothing_of_the_input_is_there_to_be_changed(
    client_with: Callable[..., Client], failed: WorkflowRun
) -> None:
    client, address = client_with("view", "fork"), ask_page("fork", failed)
    html = client.get(address).content.decode()
    assert "odrer" not in html
    assert "one needs the permission to see payloads" in html
    client.post(address, filled(client, address, workflow_id="blind", **{"arg:1": '"order 8"', "more": '{"note": 1}'}))
    assert WorkflowRun.objects.get(pk="blind").inputs == WorkflowRun.objects.get(pk=failed.pk).inputs


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"start_step": "0"}, "greater than or equal to 1"),
        ({"start_step": "x"}, "Enter a whole number"),
        ({"workflow_id": "taken"}, "belongs to a run that is no fork of"),
        ({"workflow_id": "   "}, "must not be empty or blank"),
        ({"workflow_id": "i" * 256}, "at most 255 characters"),
        ({"workflow_id": "a\0b"}, "Null characters are not allowed"),
        ({"arg:1": "[" * 100_000}, "This is not JSON"),
        ({"arg:1": "9" * 5000}, "This is not JSON"),
        ({"arg:1": "NaN"}, "NaN is not JSON"),
        ({"arg:1": '"\\ud800"'}, "Cannot store the arguments"),
        ({"more": "[1]"}, "write a JSON object"),
        ({"more": '{"note": 1}'}, "There is an argument note already"),
        ({"queue": "no such queue"}, "Select a valid choice"),
        ({"token": ""}, "This field is required"),
    ],
)
def test_what_cannot_be_forked_is_said_in_the_form(
    admin_client: Client, failed: WorkflowRun, changed: dict[str, str], said: str
) -> None:
    make_run(id="taken")
    address = ask_page("fork", failed)
    assert said in read(admin_client.post(address, {**filled(admin_client, address), **changed})).text
    assert WorkflowRun.objects.filter(forked_from=failed).count() == 0
    assert logged() == []


def test_inputs_of_any_kind_are_offered_or_kept(admin_client: Client) -> None:
    stored = ['{"args":', "[1]", '{"$":"erased"}', dumps({"args": ["x" * 200_000], "kwargs": {}}), dumps([["a"], {}]), None,
              dumps({"args": [1] * 200, "kwargs": {}}), '{"args":[],"kwargs":{"$":"dict","v":{"$":1}}}']  # fmt: skip
    for text in stored:
        run = make_run(inputs=text, status="SUCCESS")
        page = read(admin_client.get(ask_page("fork", run))).text
        assert "Its input" in page, text


def test_a_rewind_tells_what_is_deleted(admin_client: Client, failed: WorkflowRun) -> None:
    step_run = StepRun.objects.get(run=failed, position=3)
    make_step(failed, 4, child_id=make_run().pk, kind="start")
    address = ask_page("rewind", failed) + f"?step={step_run.position}"
    text = read(admin_client.get(address)).text
    assert "2 recorded steps are deleted." in text
    assert "1 run that they started stays as it is." in text
    text = read(admin_client.post(address, filled(admin_client, address), follow=True)).text
    assert "The run goes on from step 3." in text
    failed.refresh_from_db()
    assert (failed.status, failed.generation) == ("ENQUEUED", 1)
    assert logged() == [(failed.pk, 2, "Rewound to step 3.")]


def test_a_run_is_rewound_once_however_often_the_button_is_pressed(admin_client: Client, failed: WorkflowRun) -> None:
    address = ask_page("rewind", failed) + "?step=3"
    data = filled(admin_client, address)
    assert "The run goes on from step 3." in read(admin_client.post(address, data, follow=True)).text
    assert "The run was rewound meanwhile." in read(admin_client.post(address, data)).text
    failed.refresh_from_db()
    assert failed.generation == 1
    assert len(logged()) == 1


def test_a_form_that_was_sent_with_something_else_is_not_said_to_be_done(admin_client: Client, failed: WorkflowRun) -> None:
    run = make_run(status="WAITING")
    forms = (
        (ask_page("send", run), {"message": "1"}, {"message": "2"}, Message.objects.filter(run=run)),
        (ask_page("fork", failed), {}, {"arg:1": '"order 7"'}, WorkflowRun.objects.filter(forked_from=failed)),
        (start_page(shopping.durable.name), {"arg:price": "1", "arg:name": "a"}, {"arg:name": "b"},
         WorkflowRun.objects.filter(status="ENQUEUED", forked_from=None).exclude(pk=run.pk)),
    )  # fmt: skip
    for address, first, other, made in forms:
        data = filled(admin_client, address, **first)
        levels = [
            [message.level_tag for message in admin_client.post(address, data, follow=True).context["messages"]]
            for _twice in (1, 2)
        ]
        assert levels == [["success"], ["warning"]], address
        refused = admin_client.post(address, {**data, **other})
        assert "Nothing was done yet" in read(refused).text
        assert made.count() == 1
        renewed = refused.context["form"]["token"].value()
        assert renewed != data["token"]
        assert 'autocomplete="off"' in str(refused.context["form"]["token"])
        assert admin_client.post(address, {**data, **other, "token": renewed}).status_code == 302
        assert made.count() == 2
    address = ask_page("fork", failed)
    data = filled(admin_client, address, start_step="2")
    admin_client.post(address, data)
    assert "made with something else" in read(admin_client.post(address, {**data, "start_step": "1"})).text


def test_a_run_that_is_being_undone_is_not_rewound(admin_client: Client) -> None:
    run = make_run(status="CANCELLING", saga="cancelled")
    address = ask_page("rewind", run)
    assert "its undo steps are still running" in read(admin_client.post(address, filled(admin_client, address))).text
    assert logged() == []


def test_a_message_is_sent_once(admin_client: Client) -> None:
    run_id = start_workflow(listening).workflow_id
    drain()
    run = WorkflowRun.objects.get(pk=run_id)
    assert "Send message…" in read(admin_client.get(page_of(run_id))).text
    address = ask_page("send", run)
    data = filled(admin_client, address, message='{"by": "card"}')
    assert data["topic"] == "paid"
    assert '<option value="paid">' in admin_client.get(address).content.decode()
    assert "This is not JSON" in read(admin_client.post(address, {**data, "message": "card"})).text
    for said in ("The message was sent.", "The message was sent already."):
        assert said in read(admin_client.post(address, data, follow=True)).text
    assert Message.objects.filter(run=run).count() == 1
    drain()
    run.refresh_from_db()
    assert loads(run.output or "", what="output") == {"by": "card"}
    assert logged() == [(run_id, 2, "Sent a message, topic 'paid'.")]
    assert "Send message…" not in read(admin_client.get(page_of(run_id))).text


def start_page(name: str) -> str:
    return f"{START}?workflow={name}"


def test_a_workflow_is_started_from_its_signature(admin_client: Client) -> None:
    assert 'href="/admin/durable_workflows/workflowrun/start/"' in admin_client.get(RUNS).content.decode()
    assert f">{everything.durable.name}<" in admin_client.get(START).content.decode()
    address = start_page(everything.durable.name)
    data = filled(
        admin_client, address,
        **{
            "arg:text": " two words ", "arg:number": str(10**30), "arg:share": "0.5", "arg:sure": "false", "arg:day": "2030-01-31",
            "arg:moment": "2030-01-31T09:00", "arg:price": "1.10", "arg:key": "12345678123456781234567812345678",
            "arg:size": "LARGE", "arg:tags": '["a", "b"]', "arg:nothing": "", "arg:more": "[1, 2]", "arg:named": '{"x": null}',
            "delay": "0", "priority": "4", "attributes": '{"tenant": "acme"}', "queue": "",
        },
    )  # fmt: skip
    assert (data["arg:maybe"], data["arg:limit"]) == ("d", "3")
    for _twice in (1, 2):
        page = read(admin_client.post(address, data, follow=True)).text
    assert "There is a run of this id already, and this is it." in page
    drain()
    run = WorkflowRun.objects.get()
    assert (run.status, run.priority, run.attributes, run.user) == ("SUCCESS", 4, {"tenant": "acme"}, "root")
    assert loads(run.output or "", what="output") == [
        " two words ", 10**30, 0.5, False, date(2030, 1, 31), datetime(2030, 1, 31, 9, tzinfo=UTC), Decimal("1.10"),
        UUID("12345678123456781234567812345678"), Size.LARGE, ["a", "b"], None, "d", (1, 2), 3, {"x": None},
    ]  # fmt: skip
    assert logged() == [(run.pk, 1, "Started.")]


def test_what_is_left_out_has_its_default(admin_client: Client) -> None:
    address = start_page(shopping.durable.name)
    admin_client.post(address, filled(admin_client, address, **{"arg:price": "2", "arg:name": "order", "delay": "3600"}))
    run = WorkflowRun.objects.get()
    assert run.status == "DELAYED"
    assert loads(run.inputs or "", what="input") == {"args": [Decimal(2), "order", ""], "kwargs": {}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arg:price": ""}, "This field is required"),
        ({"arg:price": "NaN"}, "Enter a number"),
        ({"arg:note": "{"}, "This is not JSON"),
        ({"workflow_id": "taken"}, "already belongs to a run of"),
        ({"delay": "-1"}, "greater than or equal to 0"),
        ({"delay": "1e400"}, "Enter a number"),
        ({"priority": str(2**31)}, "less than or equal to"),
        ({"attributes": "[]"}, "Attributes are a JSON object"),
        ({"partition_key": "p", "queue": "default"}, ""),
        ({"queue": "none"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_started_is_said_in_the_form(admin_client: Client, changed: dict[str, str], said: str) -> None:
    make_run(id="taken")
    address = start_page(shopping.durable.name)
    data = filled(admin_client, address, **{"arg:price": "2", "arg:name": "order", **changed})
    answer = admin_client.post(address, data)
    assert answer.status_code in ((200, 302) if not said else (200,))
    assert said in answer.content.decode().replace("&#x27;", "'")
    if said:
        assert WorkflowRun.objects.count() == 1


def test_a_signature_that_does_not_fit_is_an_error_of_the_form(admin_client: Client) -> None:
    address = start_page(everything.durable.name)
    data = filled(admin_client, address, **{"arg:named": '{"text": 1}', "arg:text": "t", "arg:number": "1", "arg:share": "1",
        "arg:sure": "true", "arg:day": "2030-01-31", "arg:moment": "2030-01-31T09:00:01", "arg:price": "1", "arg:size": "SMALL",
        "arg:key": "12345678123456781234567812345678", "arg:tags": "[]", "arg:more": ""})  # fmt: skip
    assert "These arguments do not fit" in read(admin_client.post(address, data)).text
    assert "is to be a JSON list" in read(admin_client.post(address, {**data, "arg:more": "{}"})).text
    assert not WorkflowRun.objects.exists()


def test_only_what_code_registered_is_started(admin_client: Client) -> None:
    for name in ("os.system", "nobody", checked.durable.name, "a\0b", "x" * 5000):
        page = admin_client.get(START, {"workflow": name})
        assert "Those that the code of this web process declares." in read(page).text
    admin_client.post(start_page("os.system"), {"token": "t"})
    assert not WorkflowRun.objects.exists()


def export(*ids: str) -> dict[str, Any]:
    return {"action": "export_runs", "index": "0", "_selected_action": list(ids)}


def test_an_export_is_what_an_import_takes(admin_client: Client, failed: WorkflowRun) -> None:
    make_run(id="child", parent=failed, status="SUCCESS", completed_at=ago(minutes=1))
    answer = admin_client.post(RUNS, export(failed.pk))
    assert answer["Content-Disposition"] == f'attachment; filename="{failed.pk}.json"'
    assert (answer["X-Content-Type-Options"], answer["Content-Type"]) == ("nosniff", "application/json")
    assert logged() == [(failed.pk, 2, "Exported, with its child runs.")]
    other = make_run(status="SUCCESS")
    assert [each["workflow_id"] for each in json.loads(admin_client.post(RUNS, export(failed.pk, other.pk)).content)] == sorted(
        [failed.pk, other.pk]
    )
    WorkflowRun.objects.all().delete()
    import_workflow(json.loads(answer.content))
    assert {*WorkflowRun.objects.values_list("pk", flat=True)} == {failed.pk, "child"}


def test_an_export_has_its_bound(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST", 2)
    run = make_run()
    for _ in range(3):
        make_run(parent=run)
    assert "That is more than 2 runs" in read(admin_client.post(RUNS, export(run.pk), follow=True)).text
    assert logged() == []


def test_pages_of_runs_that_are_gone(admin_client: Client) -> None:
    for view in ("fork", "rewind", "send"):
        address = reverse(f"admin:durable_workflows_workflowrun_{view}", args=["nobody"])
        assert "There is no workflow run with the id" in read(admin_client.get(address, follow=True)).text
        assert admin_client.put(ask_page(view, make_run())).status_code == 405
