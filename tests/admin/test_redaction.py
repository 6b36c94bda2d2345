"""What a page does not show: values under secret keys to nobody, payloads to those without the permission."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from hypothesis import given
from hypothesis import strategies as st

from durable_workflows import workflow
from durable_workflows.admin import display
from durable_workflows.checks.settings import check_settings
from durable_workflows.conf import config
from durable_workflows.models import Kind
from durable_workflows.redaction import REDACTED, is_secret, redacted
from tests.admin.conftest import page_of
from tests.admin.html import read
from tests.admin.rows import (
    dumps,
    error_text,
    make_attempt,
    make_event,
    make_message,
    make_run,
    make_step,
    make_stream_entry,
    make_wait,
)

SECRET = "s3cr3t-value"


def redact(*globs: Any) -> Any:
    return override_settings(DURABLE_WORKFLOWS={"REDACT": list(globs)})


def test_values_under_secret_keys_at_any_depth() -> None:
    value = {
        "user": "asa",
        "PassWord": SECRET,
        "a": [{"api-key": {"deep": [SECRET, {"x": SECRET}]}, "kept": 1.10}, "password"],
        "accessToken": SECRET,
        "max_tokens": 100,
        "card_number": 4242424242424242,
        "cookie": None,
    }
    for text in (json.dumps(value), json.dumps(value, separators=(",", ":")), json.dumps(value, indent=3)):
        shown = json.loads(redacted(text))
        assert SECRET not in redacted(text)
        assert (shown["user"], shown["max_tokens"], shown["a"][0]["kept"], shown["a"][1]) == ("asa", 100, 1.1, "password")
        assert [shown[key] for key in ("PassWord", "accessToken", "card_number", "cookie")] == ["[redacted]"] * 4
        assert shown["a"][0]["api-key"] == "[redacted]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"\\u0070assword":"x"}', '{"\\u0070assword":"[redacted]"}'),
        ('{"password":"x', '{"password":"[redacted]"'),
        ('{"password":{"a":[1,', '{"password":"[redacted]"'),
        ('{"password"', '{"password"'),
        ('{"password":,"b":1}', '{"password":,"b":1}'),
        ('{"password":"a\\"b","b":1}', '{"password":"[redacted]","b":1}'),
        ('["password","x"]', '["password","x"]'),
        ('"password"', '"password"'),
        ("password: x", "password: x"),
        ('{"pass\\ud800word":1,"pin":1}', '{"pass\\ud800word":1,"pin":"[redacted]"}'),
        ('{"pin":1e999,"n":12345678901234567890123}', '{"pin":"[redacted]","n":12345678901234567890123}'),
    ],
)
def test_text_that_is_clipped_or_hostile(text: str, shown: str) -> None:
    assert redacted(text) == shown


@given(st.text())
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    with redact("*nobody-has-such-a-key*"):
        assert redacted(text) == text
        assert redacted(json.dumps({"a": text, text: [text]})) == json.dumps({"a": text, text: [text]})


@given(
    st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
)
def test_whatever_is_under_a_secret_key_goes_and_nothing_else(value: object) -> None:
    with redact("pin"):
        assert json.loads(redacted(json.dumps({"a": [value], "PIN": value, "b": value}))) == {
            "a": [json.loads(redacted(json.dumps(value)))],
            "PIN": "[redacted]",
            "b": json.loads(redacted(json.dumps(value))),
        }


PIECES = ['"', "\\", ":", " ", "\n", "{", "}", "[", "]", ",", "pin", '"pin"', '"a":', "1"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_text_is_left_alone_at_a_glance_only_if_the_walk_would_leave_it(text: str) -> None:
    with redact("pin"):
        assert redacted(text) == redacted(text, positions=[99])  # for which it is walked through in any case


def test_depth_and_length_do_no_harm() -> None:
    deep = '{"a":' * 5000 + '{"pin":' + "[" * 5000
    assert redacted(deep) == '{"a":' * 5000 + '{"pin":' + REDACTED
    long = json.dumps({"a": "\\" * 100_000, "pin": "\\" * 100_000})
    assert json.loads(redacted(long)) == {"a": "\\" * 100_000, "pin": "[redacted]"}


def test_globs_are_the_projects() -> None:
    with redact("card*", "x?z"):
        assert [is_secret(key) for key in ("CardHolder", "x-y-z", "xyz", "password", "discard")] == [
            True,
            True,
            True,
            False,
            False,
        ]
    with redact():
        assert redacted('{"password":1}') == '{"password":1}'


@pytest.mark.parametrize("value", ["password", [1], [""], ["--"], {"a": 1}, None])
def test_a_setting_that_is_no_list_of_names(value: Any) -> None:
    with override_settings(DURABLE_WORKFLOWS={"REDACT": value}):
        assert [problem.id for problem in check_settings()] == ["durable_workflows.E003"]
        with pytest.raises((ImproperlyConfigured, TypeError), match="REDACT"):
            config()


def test_a_clipped_value_tells_how_much_is_left_out() -> None:
    assert display.payload('{"pin":"12', 100) == display.Clipped('{"pin": "[redacted]"', 90)


@workflow(name="tests.redaction.pay")
def pay(order: int, card_number: str, note: str = "") -> None:
    """Its second argument is secret, by its name in the code."""


def test_positional_arguments_are_secret_by_the_names_of_the_parameters(admin_client: Client) -> None:
    inputs = json.dumps({"args": [7, SECRET, {"args": [1, 2]}], "kwargs": {"card_number": SECRET, "args": [1, 2]}})
    run = make_run(name="tests.redaction.pay", inputs=inputs)
    text = read(admin_client.get(page_of(run.pk))).text
    assert SECRET not in text
    assert json.loads(text[text.index('{ "args"') : text.index("Output")]) == {
        "args": [7, "[redacted]", {"args": [1, 2]}],
        "kwargs": {"card_number": "[redacted]", "args": [1, 2]},
    }


# The pages.


def run_with_secrets(value: str) -> Any:
    run = make_run(
        status="ERROR", inputs=dumps({"args": [value], "kwargs": {}}), output=dumps(value), error=error_text(ValueError(value)),
        note=f"Undo step failed: {value}", attributes={"customer": value},
    )  # fmt: skip
    make_step(run, 1, output=dumps(value))
    make_step(run, 2, output=None, error=error_text(OSError(value)))
    make_attempt(run, 2, error=error_text(OSError(value)))
    make_message(run, payload=dumps(value))
    make_event(run, value=dumps(value))
    make_stream_entry(run, value=dumps(value))
    make_wait(run, Kind.RECV, key="paid")
    return run


@pytest.mark.django_db
def test_without_the_permission_one_sees_that_there_are_payloads(client_with: Callable[..., Client]) -> None:
    run = run_with_secrets(SECRET)
    page = read(client_with("view").get(page_of(run.pk)))
    assert SECRET not in page.text
    assert page.text.count("hidden") == 11
    for word in ("ValueError", "OSError", "Steps 2", "Messages 1", "Events 1", "Streams 1"):
        assert word in page.text
    allowed = read(client_with("view", "view_payload").get(page_of(run.pk)))
    assert allowed.text.count(SECRET) == 14  # two of them in tracebacks
    assert "hidden" not in allowed.text


@pytest.mark.django_db
def test_the_name_of_an_event_a_stream_and_a_topic_counts_too(admin_client: Client) -> None:
    run = make_run()
    make_event(run, key="api_key", value=dumps(SECRET))
    make_stream_entry(run, key="token", value=dumps(SECRET))
    make_message(run, topic="password", payload=dumps(SECRET))
    text = read(admin_client.get(page_of(run.pk))).text
    assert SECRET not in text
    assert text.count("redacted") == 3


# The whole value.


def value_of(run: Any, of: str, row: int, column: str) -> str:
    return page_of(run.pk).replace("/change/", f"/value/{of}/{row}/{column}/")


@pytest.mark.django_db
def test_a_clipped_value_is_downloaded_whole_and_redacted(admin_client: Client) -> None:
    run = make_run(id='a/b"\n;é', output=dumps({"long": "x" * 9000, "password": SECRET}))
    step = make_step(run, 1, output=dumps(["y" * 9000]))
    html = admin_client.get(page_of(run.pk)).content.decode()
    for of, row in (("run", 0), ("step", step.pk)):
        assert f'href="{value_of(run, of, row, "output")}" download' in html
        response = admin_client.get(value_of(run, of, row, "output"))
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in response["Cache-Control"]
        assert response["Content-Disposition"].startswith('attachment; filename="a_b___')
        assert len(response.content) > 9000
        assert SECRET.encode() not in response.content


@pytest.mark.django_db
def test_who_may_download_what(admin_client: Client, client_with: Callable[..., Client]) -> None:
    run, other = make_run(output=dumps("x" * 9000), attributes={"pin": 1}), make_run()
    foreign, event = make_step(other, 1), make_event(run, key="pin", value=dumps(SECRET))
    address = value_of(run, "run", 0, "output")
    assert client_with("view", "view_payload").get(address).status_code == 200
    assert client_with("view").get(address).status_code == 403
    assert client_with("view_payload").get(address).status_code == 403
    assert Client().get(address).status_code == 302
    assert admin_client.post(address).status_code == 403
    assert admin_client.get(value_of(run, "event", event.pk, "value")).content.decode() == REDACTED
    assert json.loads(admin_client.get(value_of(run, "run", 0, "attributes")).content) == {"pin": "[redacted]"}
    for of, row, column in (
        ("step", foreign.pk, "output"),
        ("run", 0, "lease_token"),
        ("run", 0, "error"),
        ("event", event.pk, "run_id"),
        ("worker", 1, "id"),
        ("step", 10**30, "output"),
    ):
        assert admin_client.get(value_of(run, of, row, column)).status_code == 404
    assert admin_client.get(value_of(make_run(id="gone"), "run", 0, "output")).status_code == 404
