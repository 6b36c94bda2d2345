"""Looking at runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Max, QuerySet

from durable_workflows.api import auth, run_shapes
from durable_workflows.api.endpoints import RAW, Answer, Call, Endpoint
from durable_workflows.api.fields import Field
from durable_workflows.api.kinds import ATTRIBUTES, FLAG, MOMENT, Kind, choice, filled, text, whole
from durable_workflows.api.pages import CURSOR, LIMIT, Order, as_moment, as_number, as_text, page
from durable_workflows.api.problems import BAD_REQUEST, NOT_FOUND, Problem
from durable_workflows.api.sight import ON_PAGES, PERMISSION, Sight
from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.filtering import run_filter
from durable_workflows.models import Event, QueueState, StepRun, Wait, WorkflowRun, dialects
from durable_workflows.models.filtering import fitting
from durable_workflows.redaction import is_secret
from durable_workflows.states import RunState

MOST_WAITS = 20
PAYLOADS = {"input": "inputs", "output": "output", "error": "error"}
AS_THEY_ARE = (
    "name", "status", "class_name", "config_name", "created_at", "started_at", "completed_at", "updated_at",
    "recovery_attempts", "app_version", "was_forked_from", "deduplication_id", "deadline", "schedule_name", "user", "stranded",
)  # fmt: skip
RENAMED = {
    "workflow_id": "id", "queue_name": "queue", "executor_id": "worker_id", "parent_workflow_id": "parent_id",
    "forked_from": "forked_from_id", "timeout": "timeout_seconds",
}  # fmt: skip
OTHERS = (
    "priority", "partition_key", "due_at", "progress_done", "progress_total", "progress_text", "note", "attributes",
    "generation",
)  # fmt: skip


def rows_of(runs: QuerySet[WorkflowRun], sight: Sight, columns: tuple[str, ...]) -> Any:
    """Runs as dicts of what an answer needs, with these payloads."""
    return runs.values(*AS_THEY_ARE, *RENAMED.values(), *OTHERS, **sight.columns(*columns))


def told(row: Mapping[str, Any], sight: Sight, payloads: Mapping[str, str]) -> dict[str, Any]:
    """The members of a run's answer; of payloads that were not asked for, null."""
    seen = {**dict.fromkeys(PAYLOADS), **sight.seen(row, payloads)}
    return {
        **{name: row[name] for name in AS_THEY_ARE},
        **{name: row[column] for name, column in RENAMED.items()},
        **seen,
        "attributes": sight.attributes(row, seen["withheld"]),
        "note": sight.note(row["note"], seen["withheld"]),
        "priority": row["priority"] or None,
        "queue_partition_key": row["partition_key"] or None,
        "delay_until": row["due_at"] if row["status"] == RunState.DELAYED else None,
        "progress": _progress(row),
    }


def _progress(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["progress_done"] is None:
        return None
    return {"done": row["progress_done"], "total": row["progress_total"], "text": row["progress_text"] or ""}


ANY_TEXT = text()


def _several(name: str, about: str, kind: Kind = ANY_TEXT) -> Field:
    return Field(name, kind, about, several=True)


FILTERS = (
    _several("workflow_ids", "These runs."),
    _several("status", "In one of these states.", choice(*RunState.values)),
    _several("name", "Of these workflows."),
    _several("app_version", "Of these versions."),
    _several("executor_id", "On these workers, or of their `EXECUTOR_ID`."),
    _several("queue_name", "On these queues."),
    _several("workflow_id_prefix", "Whose id begins so, literally."),
    _several("parent_workflow_id", "Started by these runs."),
    _several("forked_from", "Forked from these runs."),
    _several("schedule_name", "Of these schedules."),
    _several("user", "On behalf of these users."),
    Field("start_time", MOMENT, "Created then, or later."),
    Field("end_time", MOMENT, "Created then, or before."),
    Field("completed_after", MOMENT, "Ended then, or later."),
    Field("completed_before", MOMENT, "Ended then, or before."),
    Field("has_parent", FLAG, "Whether another run started it."),
    Field("was_forked_from", FLAG, "Whether it was the origin of forks."),
    Field("attributes", ATTRIBUTES, f"Contained in the run's, as a JSON object. Needs `durable_workflows.{PERMISSION}`."),
)
SORT = Field("sort_desc", FLAG, "The newest first.", default=False)
INPUT = Field("load_input", FLAG, "With the arguments.", default=False)
OUTPUT = Field("load_output", FLAG, "With output and error.", default=False)


def list_runs(call: Call) -> Answer:
    """A page of the runs that fit, each with two columns of one index behind the last."""
    values, sight = call.values, call.sight(ON_PAGES)
    if values["attributes"] is not None:
        auth.require(call.user, PERMISSION)
        _refuse_secret(values["attributes"])
    wanted = run_filter({field.name: values[field.name] for field in FILTERS})
    asked = {"input": values["load_input"], "output": values["load_output"], "error": values["load_output"]}
    payloads = {name: column for name, column in PAYLOADS.items() if asked[name]}
    order = Order([("created_at", as_moment), ("id", as_text)], newest_first=values["sort_desc"])
    runs = rows_of(fitting(dialects.alias(), wanted), sight, tuple(payloads.values()))
    rows, following = page(runs, order, values["cursor"], values["limit"])
    return Answer({"runs": [run_shapes.RUN.of(told(row, sight, payloads)) for row in rows], "next": following})


def _refuse_secret(attributes: Any) -> None:
    """What nobody may read is not to be guessed either, one question at a time."""
    todo = [attributes]
    for node in todo:
        if isinstance(node, Mapping):
            if secret := next(filter(is_secret, node), None):
                detail = f"By {secret[:80]!r} nobody can search here: REDACT says that it is secret."
                raise Problem(BAD_REQUEST, detail, parameter="attributes")
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)


def get_run(call: Call) -> Answer:
    """One run, whole."""
    sight, runs = call.sight(), WorkflowRun.objects.using(dialects.alias()).filter(pk=call.subject)
    row = rows_of(runs, sight, tuple(PAYLOADS.values())).first()
    if row is None:
        raise WorkflowNotFound(call.subject)
    known = {
        **told(row, sight, PAYLOADS),
        "generation": row["generation"],
        "waits_for": _waits(row),
        "queue_paused": _is_queue_paused(row),
    }
    return Answer(run_shapes.RUN_DETAIL.of(known))


def _waits(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    if row["status"] != RunState.WAITING:
        return []
    waits = Wait.objects.using(dialects.alias()).filter(run_id=row["id"], generation=row["generation"]).order_by("pk")
    found = waits.values_list("kind", "key", "source_id", "due_at")[:MOST_WAITS]
    return [{"kind": kind, "key": key, "workflow_id": source, "until": until} for kind, key, source, until in found]


def _is_queue_paused(row: Mapping[str, Any]) -> bool | None:
    if row["status"] != RunState.ENQUEUED:
        return None
    return QueueState.objects.using(dialects.alias()).filter(pk=row["queue"]).values_list("paused", flat=True).first()


def list_steps(call: Call) -> Answer:
    """A page of a run's steps; of one step alone, the whole."""
    step, branch = call.values["step_id"], call.values["branch"]
    sight = call.sight(ON_PAGES if step is None else None)
    steps = StepRun.objects.using(dialects.alias()).filter(run_id=call.subject, generation=_generation(call.subject))
    if step is not None:
        steps = steps.filter(position=step)
    if branch is not None:
        steps = steps.filter(branch=branch)
    columns = ("branch", "position", "name", "kind", "child_id", "started_at", "completed_at", "attempts")
    order = Order([("branch", as_text), ("position", as_number)])
    found = steps.values(*columns, **sight.columns("output", "error"))
    rows, following = page(found, order, call.values["cursor"], call.values["limit"])
    return Answer({"steps": [run_shapes.STEP.of(_step(row, sight)) for row in rows], "next": following})


def _step(row: dict[str, Any], sight: Sight) -> dict[str, Any]:
    seen = sight.seen(row, {"output": "output", "error": "error"})
    return {**row, **seen, "step_id": row["position"], "child_workflow_id": row["child_id"]}


def _generation(run_id: str) -> int:
    runs = WorkflowRun.objects.using(dialects.alias()).filter(pk=run_id)
    for generation in runs.values_list("generation", flat=True):
        return generation
    raise WorkflowNotFound(run_id)


def list_events(call: Call) -> Answer:
    """A page of the latest values that a run published, by key; of one key alone, the whole."""
    _generation(call.subject)
    key = call.values["key"]
    sight = call.sight(ON_PAGES if key is None else None)
    events = Event.objects.using(dialects.alias()).filter(run_id=call.subject)
    keys = (events if key is None else events.filter(key=key)).values("key").annotate(newest=Max("pk"))
    newest, following = page(keys, Order([("key", as_text)]), call.values["cursor"], call.values["limit"])
    rows = events.filter(pk__in=[row["newest"] for row in newest]).order_by("key")
    found = rows.values("key", "created_at", **sight.columns("value"))
    shown = [run_shapes.EVENT.of({**row, **sight.seen(row, {"value": "value"})}) for row in found]
    return Answer({"events": shown, "next": following})


ENDPOINTS = (
    Endpoint(
        method="GET", path="runs", name="list_runs", permission="view_workflowrun", act=list_runs, shape=run_shapes.RUNS,
        query=(*FILTERS, SORT, INPUT, OUTPUT, RAW, LIMIT, CURSOR),
        about="The runs that fit all filters.\n\nIn the order of their creation. Of one filter that is named several times, any"
        " of its values will do. Payloads that are longer than a page has room for are withheld; get the run.",
    ),
    Endpoint(
        method="GET", path="runs/{workflow_id}", name="get_run", permission="view_workflowrun", act=get_run,
        shape=run_shapes.RUN_DETAIL, query=(RAW,), problems=(NOT_FOUND,),
        about="One run, whole, and why it waits.\n\nTo wait for its end, ask again with the header `If-None-Match`.",
    ),
    Endpoint(
        method="GET", path="runs/{workflow_id}/steps", name="list_steps", permission="view_workflowrun", act=list_steps,
        shape=run_shapes.STEPS, problems=(NOT_FOUND,),
        query=(
            Field("step_id", whole(1), "That step alone, and the whole of its payload."),
            Field("branch", text(128), "Those of this branch; empty: those of the body."), RAW, LIMIT, CURSOR,
        ),
        about="The recorded steps of a run.\n\nIn the order of their ids, those of its body first.",
    ),
    Endpoint(
        method="GET", path="runs/{workflow_id}/events", name="list_events", permission="view_workflowrun", act=list_events,
        shape=run_shapes.EVENTS, problems=(NOT_FOUND,),
        query=(Field("key", filled(), "That one alone, and the whole of its value."), RAW, LIMIT, CURSOR),
        about="The latest value of each event of a run.\n\nIn the order of their keys.",
    ),
)  # fmt: skip
