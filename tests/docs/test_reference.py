"""The reference says what the code says: signatures, defaults, fields, flags."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from django.core.management import BaseCommand

import durable_workflows
from durable_workflows import ScheduleStatus, StepInfo, WorkflowStatus, conf, models, signals, testing
from durable_workflows.context import Current
from durable_workflows.management.commands.durable_worker import Command
from durable_workflows.models.runs import WorkflowRunQuerySet
from durable_workflows.web import approvals, tokens, webhooks
from tests.docs.snippets import Snippet, snippets
from tests.processes import ROOT

REFERENCE = ROOT / "docs" / "reference.md"
TEXT = REFERENCE.read_text()
SIGNATURES = [snippet for snippet in snippets(REFERENCE) if snippet.kind == "py"]


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return re.split(rf"^#+ `{heading}`\n", TEXT, flags=re.MULTILINE)[1].split("\n#", 1)[0]


MODULES = (durable_workflows, testing, webhooks, tokens, approvals)


def public(name: str) -> Any:
    return next(getattr(module, name) for module in MODULES if name in module.__all__)


@pytest.mark.parametrize("snippet", SIGNATURES, ids=lambda snippet: snippet.code.partition("(")[0])
def test_a_signature_is_that_of_the_code(snippet: Snippet) -> None:
    told = ast.parse(f"def {snippet.code.strip()}: ...").body[0]
    assert isinstance(told, ast.FunctionDef)
    namespace: dict[str, Any] = {}
    exec(compile(ast.Module([told], []), REFERENCE.name, "exec"), namespace)
    assert shape(namespace[told.name]) == shape(public(told.name))


def shape(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def test_every_function_has_its_signature_told() -> None:
    names = {snippet.code.partition("(")[0] for snippet in SIGNATURES}
    things = {name: public(name) for module in MODULES for name in module.__all__}
    told_in_words = {
        "ERASED", "ScheduleStatus", "StepInfo", "WorkflowStatus", "InProcessWorker", "Journey", "WebhookEvent", "Question", "ApprovalView",
        "ApprovalForm",
    }  # fmt: skip
    errors = {name for name, thing in things.items() if isinstance(thing, type) and issubclass(thing, BaseException)}
    assert set(things) - names - errors - told_in_words == set()


@pytest.mark.parametrize("key", conf.KEYS)
def test_a_setting_has_its_default_told(key: str) -> None:
    told = re.search(r"Default: `(.+?)`", section(key))
    assert told
    value = ast.literal_eval(told[1])
    default = getattr(conf.Config(), conf.KEYS[key])
    assert (value, type(value)) == (default, type(default))


def test_the_fields_of_values_are_told() -> None:
    told = (
        (WorkflowStatus, "WorkflowStatus"),
        (ScheduleStatus, "ScheduleStatus"),
        (StepInfo, "StepInfo"),
        (Current, "current"),
    )
    for value, heading in told:
        missing = [field.name for field in fields(value) if f"`{field.name}`" not in section(heading)]
        assert not missing, f"{heading}: {missing}"


@pytest.mark.parametrize("name", [*webhooks.__all__, *tokens.__all__, *approvals.__all__])
def test_a_name_of_the_views_is_told(name: str) -> None:
    assert inspect.getdoc(public(name))
    assert section(name).strip()


def test_the_parts_of_a_webhook_and_a_question_are_told() -> None:
    for value, heading in ((webhooks.WebhookEvent, "WebhookEvent"), (tokens.Question, "Question")):
        assert not [field.name for field in fields(value) if f"`{field.name}`" not in section(heading)]


def test_the_questions_to_runs_are_told() -> None:
    questions = [name for name, value in vars(WorkflowRunQuerySet).items() if inspect.isfunction(value)]
    assert questions
    assert not [name for name in questions if f"`{name}(" not in section("WorkflowRun")]


def test_every_row_is_told() -> None:
    rows = [name for name in models.__all__ if hasattr(getattr(models, name), "_meta")]
    assert rows
    for name in rows:
        columns = set(re.findall(r"`([a-z_]+)`", section(name))) - {"children"}
        known = {field.name for field in getattr(models, name)._meta.get_fields()}
        known |= {field.attname for field in getattr(models, name)._meta.concrete_fields}
        assert columns <= known | {"name"}, name


def test_the_flags_of_the_worker_are_told() -> None:
    own = {flag for action in Command().create_parser("manage.py", "durable_worker")._actions for flag in action.option_strings}
    django = {flag for action in BaseCommand().create_parser("manage.py", "x")._actions for flag in action.option_strings}
    told = re.split(r"^# Command\n", TEXT, flags=re.MULTILINE)[1].split("\n# ", 1)[0]
    assert own - django
    assert not [flag for flag in own - django if not re.search(rf"`{flag}[ `]", told)]


def test_the_arguments_of_signals_are_told() -> None:
    source = inspect.getsource(signals)
    for name, comment in re.findall(r"^(\w+) = Signal\(\)  # (.*)$", source, re.MULTILINE):
        names = re.findall(r"\w+", comment.partition(":")[0].partition("(")[0])
        assert not [fact for fact in names if fact != "nothing" and f"`{fact}`" not in section(name)], name
