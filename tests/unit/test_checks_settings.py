"""The checks of the dict ``DURABLE_WORKFLOWS`` and of Django's own settings."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from durable_workflows import checks
from durable_workflows.checks.settings import check_settings
from durable_workflows.conf import KEYS, Config, config, problems
from durable_workflows.retention import policy


def found(value: Any, settings: Settings) -> dict[str, tuple[str, str]]:
    """Message and hint by id, without the app's name."""
    settings.DURABLE_WORKFLOWS = value
    return {str(message.id).partition(".")[2]: (message.msg, message.hint or "") for message in check_settings()}


def test_the_defaults_and_a_full_dict_are_fine(settings: Settings) -> None:
    assert found({}, settings) == {}
    assert found({key: getattr(Config(), field) for key, field in KEYS.items()}, settings) == {}
    assert found({"LEASE_SECONDS": 10, "PARK_SECONDS": 0, "THREADS": 1, "APP_VERSION": "v" * 128}, settings) == {}


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("LEASE_SECOND", "Did you mean 'LEASE_SECONDS'?"),
        ("lease_seconds", "Did you mean 'LEASE_SECONDS'?"),
        ("THREAD", "Did you mean 'THREADS'?"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(settings: Settings, key: str, hint: str) -> None:
    assert found({key: 1}, settings) == {"E001": (f"DURABLE_WORKFLOWS has the unknown key {key!r}, which has no effect.", hint)}


@pytest.mark.parametrize("key", ["COLOUR_OF_LOGO", 7, None])
def test_an_unknown_key_like_no_other_is_told_all_keys(settings: Settings, key: Any) -> None:
    message, hint = found({key: 1}, settings)["E001"]
    assert repr(key) in message
    assert all(known in hint for known in KEYS)


@pytest.mark.parametrize("value", [None, ["THREADS"], "THREADS=4"])
def test_what_is_not_a_dict_is_an_error(settings: Settings, value: Any) -> None:
    [(identity, (message, _))] = found(value, settings).items()
    assert identity == "E002"
    assert type(value).__name__ in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("THREADS", "16"),
        ("THREADS", 2.5),
        ("THREADS", True),
        ("THREADS", None),
        ("LEASE_SECONDS", "30"),
        ("PARK_SECONDS", True),
        ("APP_VERSION", 3),
        ("LISTEN", "no"),
        ("LISTEN", 1),
        ("WORKFLOWS_MODULE", None),
        ("THREADS", 0),
        ("THREADS", -2),
        ("PAYLOAD_MAX_BYTES", 0),
        ("LEASE_SECONDS", -1),
        ("HEARTBEAT_SECONDS", 0),
        ("POLL_SECONDS", float("nan")),
        ("PARK_SECONDS", -0.1),
        ("PARK_SECONDS", float("inf")),
        ("SHUTDOWN_GRACE_SECONDS", -1),
        ("SHUTDOWN_GRACE_SECONDS", float("nan")),
        ("LONG_TRANSACTION_SECONDS", -1),
        ("LONG_TRANSACTION_SECONDS", 10**10),
        ("BODY_WRITES", "never"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_it(settings: Settings, key: str, value: Any) -> None:
    [(identity, (message, hint))] = found({key: value}, settings).items()
    assert identity == "E003"
    assert key in message
    assert repr(value) in message
    assert hint


def test_every_number_has_a_range() -> None:
    for field in fields(Config):
        if isinstance(field.default, (int, float)) and not isinstance(field.default, bool):
            for value in (-1, float("nan"), None, "1", True):
                [problem] = problems(replace(Config(), **{field.name: value}))
                assert field.name.upper() in problem


@pytest.mark.parametrize("value", [0, -1, 2.5, "4", None])
def test_a_number_out_of_range_is_refused_at_use(settings: Settings, value: Any) -> None:
    settings.DURABLE_WORKFLOWS = {"THREADS": value}
    with pytest.raises(ImproperlyConfigured, match="THREADS.*whole number"):
        config()


def test_several_mistakes_are_told_at_once(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"THREADS": "16", "LEASE_SECONDS": None, "QUEUE": "default"}
    assert sorted(str(message.id) for message in check_settings()) == [
        "durable_workflows.E001",
        "durable_workflows.E003",
        "durable_workflows.E003",
    ]


def test_a_version_that_no_row_has_room_for_is_an_error(settings: Settings) -> None:
    assert "129 characters" in found({"APP_VERSION": "v" * 129}, settings)["E004"][0]


def test_naive_datetimes_are_an_error(settings: Settings) -> None:
    settings.USE_TZ = False
    assert list(found({}, settings)) == ["E005"]


@pytest.mark.django_db  # Django 6.1 lets its checks look at the databases
def test_django_runs_the_checks_under_their_tag(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"THREAD": 4}
    assert "durable_workflows.E001" in [message.id for message in run_checks(tags=[checks.TAG])]


@pytest.mark.django_db  # Django 6.1 lets its checks look at the databases
def test_mistakes_in_the_settings_do_not_break_the_other_checks(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"THREADS": "many"}
    assert "durable_workflows.E003" in [message.id for message in run_checks(tags=[checks.TAG])]


def test_a_silenced_check_is_silent(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"THREAD": 4}
    settings.SILENCED_SYSTEM_CHECKS = ["durable_workflows.E001"]
    [message] = check_settings()
    assert message.is_silenced()


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        ({"SUCCESS": -1}, "['RETENTION']['SUCCESS'] must be a number of days from 0"),
        ({"SUCCESS": "30"}, "not '30'"),
        ({"SUCCESS": True}, "not True"),
        ({"SUCCESS": float("nan")}, "not nan"),
        ({"ERROR": timedelta(days=-1)}, "a timedelta, or None (for ever)"),
        ({"SUCESS": 30}, "has the unknown key 'SUCESS'. The keys are CANCELLED, ERROR"),
        ({"RUNNING": 30}, "unknown key 'RUNNING'"),
        ({7: 30}, "unknown key 7"),
        ({"WORKFLOWS": ["ping"]}, "must be a dict from the names of workflows"),
        ({"WORKFLOWS": {"ping": "1"}}, "['WORKFLOWS']['ping'] must be a number of days"),
        ({"WORKFLOWS": {"ping": {"SUCCESS": []}}}, "['WORKFLOWS']['ping']['SUCCESS'] must be"),
        ({"WORKFLOWS": {"ping": {"WORKFLOWS": {}}}}, "unknown key 'WORKFLOWS'"),
        ({"WORKFLOWS": {7: 1}}, "a workflow's name is text"),
    ],
)
def test_what_cannot_be_kept_is_an_error_and_nothing_is_deleted(settings: Settings, retention: Any, said: str) -> None:
    message, hint = found({"RETENTION": retention}, settings)["E006"]
    assert said in message
    assert "no worker deletes anything" in hint
    with pytest.raises(ImproperlyConfigured, match="RETENTION"):
        policy()


def test_a_retention_that_is_no_dict_is_an_error_of_type(settings: Settings) -> None:
    assert "RETENTION" in found({"RETENTION": 30}, settings)["E003"][0]


def test_retentions_that_are_fine(settings: Settings) -> None:
    for retention in ({}, {"SUCCESS": 0, "ERROR": 0.5, "CANCELLED": None, "MAX_RECOVERY_ATTEMPTS_EXCEEDED": timedelta(hours=1)},
                      {"WORKFLOWS": {"a": 1, "b": None, "c": {}, "d": {"ERROR": timedelta(0)}}}):  # fmt: skip
        assert found({"RETENTION": retention}, settings) == {}
        policy()


def somebody(request: Any) -> None:
    """What the API may ask."""


async def later(request: Any) -> None:
    """What it cannot wait for."""


def test_who_authenticates_for_the_api_must_be_there(settings: Settings) -> None:
    here = "tests.unit.test_checks_settings"
    assert found({"API_AUTHENTICATE": f"{here}.somebody"}, settings) == {}
    for path in (f"{here}.nobody", "no.such.module", "nothing", f"{here}.here", f"{here}.later", "os.sep"):
        message, hint = found({"API_AUTHENTICATE": path}, settings)["E007"]
        assert path in message
        assert "shop.auth" in hint
    assert set(found({"API_AUTHENTICATE": somebody}, settings)) == {"E003"}
