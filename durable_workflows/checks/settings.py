"""What is wrong with the dict ``DURABLE_WORKFLOWS``, and with Django's settings that time depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, get_args, get_origin, get_type_hints

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from durable_workflows import conf, retention
from durable_workflows.conf import KEYS, SETTING, Config
from durable_workflows.models import WorkflowRun


def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Unknown keys, values of a wrong type or out of range, and naive datetimes."""
    return [*_time_zones(), *_settings()]


def in_force() -> Config:
    """The settings, or the defaults where they cannot be read; the checks of this module tell why."""
    try:
        return conf.config()
    except (ImproperlyConfigured, TypeError):
        return Config()


def _time_zones() -> list[checks.CheckMessage]:
    if conf.uses_time_zones():
        return []
    return [
        checks.Error(
            "USE_TZ is False, so Django stores naive datetimes. The moments at which workflows wake would shift with the"
            " server's time zone and repeat when the clocks go back.",
            hint="Set USE_TZ = True.",
            id="durable_workflows.E005",
        )
    ]


def _settings() -> list[checks.CheckMessage]:
    try:
        given = conf.given()
    except ImproperlyConfigured as problem:
        hint = f'Write {SETTING} = {{"THREADS": 16}}, or leave it out: every key is optional.'
        return [checks.Error(str(problem), hint=hint, id="durable_workflows.E002")]
    unknown = [_unknown(key) for key in given if key not in KEYS]
    return [*unknown, *(_wrong_types(given) or _out_of_range(given))]


def _unknown(key: Any) -> checks.CheckMessage:
    near = get_close_matches(str(key).upper(), KEYS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"The keys are {', '.join(sorted(KEYS))}."
    return checks.Error(f"{SETTING} has the unknown key {key!r}, which has no effect.", hint=hint, id="durable_workflows.E001")


def _wrong_types(given: Mapping[str, Any]) -> list[checks.CheckMessage]:
    hints = get_type_hints(Config)
    return [
        checks.Error(
            f"{SETTING}[{key!r}] is {given[key]!r}, which is not of the type {field.type}.",
            hint=f"Its default is {getattr(Config(), field.name)!r}.",
            id="durable_workflows.E003",
        )
        for key, field in zip(KEYS, fields(Config), strict=True)
        if key in given and not _fits(given[key], hints[field.name])
    ]


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Mapping:
        return isinstance(value, Mapping)
    if get_origin(hint) is Sequence:
        return isinstance(value, (list, tuple))  # a text is a sequence, too; of what, ``conf.problems`` tells
    kinds = get_args(hint) or (hint,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, tuple(kind for kind in kinds if isinstance(kind, type))) or (
        isinstance(value, int) and float in kinds
    )


def _out_of_range(given: Mapping[str, Any]) -> list[checks.CheckMessage]:
    made = Config(**{KEYS[key]: value for key, value in given.items() if key in KEYS})
    wrong = [
        checks.Error(problem, hint="Change the value, or leave the key out.", id="durable_workflows.E003")
        for problem in conf.problems(made)
    ]
    return [
        *wrong,
        *_long_version(made.app_version),
        *_retention(made),
        *([] if wrong else _not_callable("api_authenticate")),
    ]


def _long_version(version: str) -> list[checks.CheckMessage]:
    room = WorkflowRun._meta.get_field("app_version").max_length or 0
    if len(version) <= room:
        return []
    return [
        checks.Error(
            f"{SETTING}['APP_VERSION'] has {len(version)} characters, but a row has room for {room}: no run could be stored.",
            hint="Shorten it; the first twelve characters of a commit's hash do.",
            id="durable_workflows.E004",
        )
    ]


def _retention(made: Config) -> list[checks.CheckMessage]:
    hint = "Until it is mended, no worker deletes anything. Write for example {'SUCCESS': 30, 'CANCELLED': 30}."
    return [checks.Error(problem, hint=hint, id="durable_workflows.E006") for problem in retention.problems(made.retention)]


def _not_callable(key: str) -> list[checks.CheckMessage]:
    try:
        conf.callable_named(key)
    except ImproperlyConfigured as problem:
        hint = "Name a function that takes the request and returns a user or None: 'shop.auth.user_of_token'."
        return [checks.Error(str(problem), hint=hint, id="durable_workflows.E007")]
    return []
