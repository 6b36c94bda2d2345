"""Which runs are meant: by an id or the beginning of one, or by filters."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Exists, OuterRef, Q

from durable_workflows import registry
from durable_workflows.filtering import run_filter
from durable_workflows.management.durable.parsing import criterion, moment, span, states
from durable_workflows.management.durable.subcommand import Refused, WrongUsage
from durable_workflows.models import Wait, WorkflowRun
from durable_workflows.models.containment import Contains
from durable_workflows.models.dialects import alias
from durable_workflows.models.filtering import begins_with, fitting
from durable_workflows.models.runs import WorkflowRunQuerySet
from durable_workflows.options import valid_id
from durable_workflows.states import RunState
from durable_workflows.words import present

CANDIDATES = 10  # that an ambiguous id is told to stand for

# What filters by one column, and the parameter of `list_workflows` that it is.
TEXTS = {
    "queue": ("queue_name", "QUEUE", "Of this queue."),
    "user": ("user", "USER", "Started on behalf of this user."),
    "schedule": ("schedule_name", "NAME", "Started by this schedule."),
    "parent": ("parent_workflow_id", "ID", "Started by this run."),
    "forked_from": ("forked_from", "ID", "Forked from this run."),
    "worker": ("executor_id", "ID", "Held by this worker; the beginning of an id that EXECUTOR_ID makes will do."),
    "app_version": ("app_version", "VERSION", "Of this version."),
    "id_prefix": ("workflow_id_prefix", "PREFIX", "Whose id begins so."),
}
MOMENTS = {
    "since": ("start_time", "Created since then: a time, or a span ago, such as 2h."),
    "until": ("end_time", "Created until then."),
    "completed_since": ("completed_after", "Ended since then."),
    "completed_until": ("completed_before", "Ended until then."),
}


def add_filters(parser: ArgumentParser) -> None:
    """The options that choose runs. An option given several times lets any of its values do."""
    group = parser.add_argument_group("filters")
    group.add_argument("--status", type=states, action="extend", help="enqueued, waiting, failed, dead, unfinished, ...")
    group.add_argument("--name", action="append", metavar="NAME", help="Of this workflow; its last part will do.")
    for option, (_, metavar, told) in TEXTS.items():
        group.add_argument(f"--{option.replace('_', '-')}", action="append", metavar=metavar, help=told)
    for option, (_, told) in MOMENTS.items():
        group.add_argument(f"--{option.replace('_', '-')}", type=moment, metavar="WHEN", help=told)
    group.add_argument("--attribute", type=criterion, action="append", metavar="KEY=VALUE", help="With this attribute.")
    group.add_argument("--stuck", action="store_true", help="Which no worker can execute until somebody acts.")
    group.add_argument("--waiting-longer-than", type=span, metavar="SPAN", help="Waiting for something for longer, such as 2d.")


def is_filtered(given: Namespace) -> bool:
    """Whether any of the filters is used."""
    options = ("status", "name", *TEXTS, *MOMENTS, "attribute", "stuck", "waiting_longer_than")
    return any(getattr(given, option) for option in options)


def matching(given: Namespace) -> WorkflowRunQuerySet:
    """The runs that fit the filters, in no order."""
    wanted: dict[str, Any] = {"status": given.status}
    wanted["name"] = [name_of(name) for name in given.name] if given.name else None
    wanted |= {parameter: getattr(given, option) for option, (parameter, *_) in TEXTS.items()}
    wanted |= {parameter: getattr(given, option) for option, (parameter, _) in MOMENTS.items()}
    runs = fitting(alias(), run_filter(wanted))
    for key, values in given.attribute or ():
        runs = runs.filter(reduce(or_, (_having({key: value}) for value in values)))
    if given.stuck:
        runs = runs.stuck()
    return _waiting_longer(runs, given.waiting_longer_than) if given.waiting_longer_than else runs


def _having(attributes: dict[str, Any]) -> Q:
    return Q(Contains("attributes", run_filter({"attributes": attributes}).attributes or {}))


def _waiting_longer(runs: WorkflowRunQuerySet, than: timedelta) -> WorkflowRunQuerySet:
    """One of whose waits began longer ago; a replay in between does not make it younger."""
    current = Wait.objects.filter(run=OuterRef("pk"), generation=OuterRef("generation"))
    return runs.filter(Exists(current.filter(created_at__lt=present() - than)), status=RunState.WAITING)


def name_of(given: str) -> str:
    """
    The name of a workflow or step that is given by its last parts; as it is, if this process knows none of it.

    :raises Refused: if there are several.
    """
    known = registry.names()
    found = [name for name in known if name.endswith(f".{given}")]
    if given in known or not found:
        return given
    if len(found) > 1:
        raise WrongUsage(f"{given!r} may be {', '.join(found[:CANDIDATES])}. Write more of the name.")
    return found[0]


def run_id(given: str) -> str:
    """
    The id of the run that is meant by an id or the beginning of one.

    :raises Refused: if there is none, or several.
    """
    if _is_there(given):
        return given
    found = _beginning(given)
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused(f"There is no run whose id is {given!r} or begins so. `durable list` tells which there are.",
                      "WorkflowNotFound", workflow_id=given)  # fmt: skip
    raise Refused(f"Several runs have ids that begin with {given!r}:\n{_shown(found)}\nWrite more of it.",
                  "Ambiguous", candidates=found[:CANDIDATES])  # fmt: skip


def exact_run_id(given: str) -> str:
    """
    The id of the run to which something is done: it is named in full, for `order-1` must never stand for `order-10`.

    :raises Refused: if there is no run of exactly this id; it tells which ids begin so.
    """
    if _is_there(given):
        return given
    found = _beginning(given)
    others = f" These begin so:\n{_shown(found)}\nTo act on a run, write its whole id." if found else ""
    hint = others or " `durable list` tells which there are."
    raise Refused(f"There is no run whose id is {given!r}.{hint}", "WorkflowNotFound", workflow_id=given,
                  candidates=found[:CANDIDATES])  # fmt: skip


def _is_there(given: str) -> bool:
    return WorkflowRun.objects.using(alias()).filter(pk=valid_id(given)).exists()


def _beginning(given: str) -> list[str]:
    """The ids that begin so, one more than are told."""
    runs = WorkflowRun.objects.using(alias()).filter(begins_with("pk", given))
    return list(runs.order_by("pk").values_list("pk", flat=True)[: CANDIDATES + 1])


def _shown(found: list[str]) -> str:
    return "\n".join([f"  {each}" for each in found[:CANDIDATES]] + ["  and others"] * (len(found) > CANDIDATES))


def run(given: str) -> WorkflowRun:
    """The row of that run."""
    return WorkflowRun.objects.using(alias()).get(pk=run_id(given))
