"""What is told of runs, their steps and their events."""

from __future__ import annotations

from durable_workflows.api.shapes import (
    ANY,
    FLAG,
    MOMENT,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Property,
    Shape,
    maybe,
    page_of,
    reference,
)
from durable_workflows.api.sight import REASONS
from durable_workflows.models import Kind, Stranded
from durable_workflows.states import RunState

_ERROR = {
    "type": ["object", "null"],
    "properties": {"type": TEXT, "message": maybe(TEXT), "traceback": maybe(TEXT)},
}  # with `raw`, the record as it is stored
_WITHHELD = Property(
    "withheld",
    {"type": "object", "additionalProperties": {"type": "string", "enum": list(REASONS)}},
    "Of members that are null, or have less in them than there is: why.",
)
_PROGRESS = {
    "type": ["object", "null"],
    "properties": {"done": WHOLE, "total": maybe(WHOLE), "text": TEXT},
    "required": ["done", "total", "text"],
}

HANDLE = Shape(
    "Handle",
    "A run, and how it stands.",
    [Property("workflow_id", TEXT), Property("name", TEXT), Property("status", {"type": "string", "enum": RunState.values})],
)
HANDLES = Shape(
    "Handles",
    "Runs, and how they stand.",
    [Property("runs", {"type": "array", "items": reference(HANDLE)})],
    [HANDLE],
)
RUN = HANDLE.with_more(
    "Run",
    "A run, as `list_workflows` tells it.",
    Property("class_name", maybe(TEXT)),
    Property("config_name", maybe(TEXT)),
    Property("queue_name", TEXT),
    Property("input", ANY, "The arguments: `args` and `kwargs`."),
    Property("output", ANY),
    Property("error", _ERROR, "What it raised."),
    Property("attributes", maybe(OBJECT)),
    _WITHHELD,
    Property("created_at", MOMENT),
    Property("started_at", maybe(MOMENT)),
    Property("completed_at", maybe(MOMENT)),
    Property("updated_at", MOMENT),
    Property("recovery_attempts", WHOLE),
    Property("executor_id", maybe(TEXT)),
    Property("app_version", TEXT),
    Property("parent_workflow_id", maybe(TEXT)),
    Property("forked_from", maybe(TEXT)),
    Property("was_forked_from", FLAG),
    Property("deduplication_id", maybe(TEXT)),
    Property("priority", maybe(WHOLE)),
    Property("queue_partition_key", maybe(TEXT)),
    Property("timeout", maybe(NUMBER), "In seconds."),
    Property("deadline", maybe(MOMENT)),
    Property("delay_until", maybe(MOMENT)),
    Property("schedule_name", maybe(TEXT)),
    Property("user", maybe(TEXT)),
    Property("progress", _PROGRESS, "What it said by `set_progress`."),
    Property("stranded", {"type": "string", "enum": Stranded.values}, "Why nobody can execute it for now."),
    Property("note", maybe(TEXT), "More of that, or why it was given up."),
)
_WAIT = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": Kind.values},
        "key": TEXT,
        "workflow_id": maybe(TEXT),
        "until": maybe(MOMENT),
    },
    "required": ["kind", "key", "workflow_id", "until"],
}
RUN_DETAIL = RUN.with_more(
    "RunDetail",
    "A run, and why it waits.",
    Property("generation", WHOLE, "How often its history was begun anew, as by a rewinding; see `expected_generation`."),
    Property("waits_for", {"type": "array", "items": _WAIT}, "What a waiting run waits for; of many the first."),
    Property("queue_paused", maybe(FLAG), "Whether the queue of one that is enqueued is paused; null: there is no saying."),
)
RUNS = page_of(RUN, "runs")
STEP = Shape(
    "Step",
    "A recorded step.",
    [
        Property("step_id", WHOLE),
        Property("branch", TEXT, "Empty for the body."),
        Property("name", TEXT),
        Property("kind", {"type": "string", "enum": Kind.values}),
        Property("output", ANY),
        Property("error", _ERROR),
        _WITHHELD,
        Property("child_workflow_id", maybe(TEXT)),
        Property("started_at", MOMENT),
        Property("completed_at", MOMENT),
        Property("attempts", WHOLE),
    ],
)
STEPS = page_of(STEP, "steps")
EVENT = Shape(
    "Event",
    "The latest value that a run published under a key.",
    [Property("key", TEXT), Property("value", ANY), _WITHHELD, Property("created_at", MOMENT)],
)
EVENTS = page_of(EVENT, "events")
