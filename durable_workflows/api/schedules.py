"""Schedules, seen, paused, let go on and triggered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import scheduling
from durable_workflows.api import audit
from durable_workflows.api.endpoints import RAW, Answer, Call, Endpoint
from durable_workflows.api.handles import handle_of
from durable_workflows.api.kinds import filled
from durable_workflows.api.pages import CURSOR, LIMIT, Order, as_text, page
from durable_workflows.api.problems import CONFLICT, NOT_FOUND, Problem
from durable_workflows.api.run_shapes import HANDLE
from durable_workflows.api.shapes import ANY, FLAG, MOMENT, NUMBER, OBJECT, TEXT, WHOLE, Property, Shape, maybe, page_of
from durable_workflows.api.sight import ON_PAGES, Sight
from durable_workflows.exceptions import InvalidUse, ScheduleNotFound
from durable_workflows.models import Schedule, dialects
from durable_workflows.models.transactions import in_write_transaction

T = TypeVar("T")

SHAPE = Shape(
    "Schedule",
    "A schedule, as `list_schedules` tells it.",
    [
        Property("name", TEXT),
        Property("workflow_name", TEXT),
        Property("status", {"type": "string", "enum": list(scheduling.STATES)}),
        Property("cron", maybe(TEXT)),
        Property("interval_seconds", maybe(NUMBER)),
        Property("timezone", TEXT),
        Property("context", ANY),
        Property("withheld", OBJECT, "Of members that are null though there is a value: why."),
        Property("catch_up", TEXT),
        Property("overlap", TEXT),
        Property("jitter_seconds", NUMBER),
        Property("starts_at", maybe(MOMENT)),
        Property("ends_at", maybe(MOMENT)),
        Property("queue", maybe(TEXT)),
        Property("in_code", FLAG, "Whether code declares it."),
        Property("next_fire_at", maybe(MOMENT)),
        Property("last_fire_at", maybe(MOMENT)),
        Property("skipped", WHOLE),
        Property("note", maybe(TEXT), "Why it paused itself."),
        Property("created_at", MOMENT),
        Property("updated_at", MOMENT),
    ],
)
PAGE = page_of(SHAPE, "schedules")
COLUMNS = tuple(each.name for each in SHAPE.properties if each.name not in ("status", "context", "withheld"))


def _rows(sight: Sight) -> Any:
    return Schedule.objects.using(dialects.alias()).values(*COLUMNS, "paused", **sight.columns("context"))


def _told(row: dict[str, Any], sight: Sight) -> dict[str, Any]:
    seen = sight.seen(row, {"context": "context"})
    state = Schedule(paused=row["paused"], next_fire_at=row["next_fire_at"]).state
    return SHAPE.of({**row, **seen, "status": state, "note": sight.note(row["note"], seen["withheld"])})


def list_schedules(call: Call) -> Answer:
    """A page of the schedules."""
    sight = call.sight(ON_PAGES)
    found, following = page(_rows(sight), Order([("name", as_text)]), call.values["cursor"], call.values["limit"])
    return Answer({"schedules": [_told(row, sight) for row in found], "next": following})


def get_schedule(call: Call) -> Answer:
    """One schedule."""
    sight = call.sight()
    row = _rows(sight).filter(pk=call.subject).first()
    if row is None:
        raise ScheduleNotFound(call.subject)
    return Answer(_told(row, sight))


def _logged(call: Call, what: str, do: Callable[[str], T]) -> T:
    def deed(connection: BaseDatabaseWrapper) -> T:
        came = do(call.subject)
        audit.log(call.user, what, Schedule.objects.using(connection.alias).filter(pk=call.subject))
        return came

    try:
        return in_write_transaction(deed)
    except InvalidUse as error:  # its row was edited to what no schedule can be
        raise Problem(CONFLICT, str(error)) from error


def pause_schedule(call: Call) -> Answer:
    """Fire no ticks."""
    _logged(call, "Paused by the API.", scheduling.pause_schedule)
    return get_schedule(call)


def resume_schedule(call: Call) -> Answer:
    """Fire ticks again."""
    _logged(call, "Resumed by the API.", scheduling.resume_schedule)
    return get_schedule(call)


def trigger_schedule(call: Call) -> Answer:
    """Start a run now."""
    run_id = _logged(call, "Triggered by the API.", scheduling.trigger_schedule).workflow_id
    return Answer(handle_of(run_id), 201, run=run_id)


_ONE: dict[str, Any] = {"subject": filled(), "problems": (NOT_FOUND,)}
_VERB: dict[str, Any] = {**_ONE, "method": "POST", "problems": (NOT_FOUND, CONFLICT)}
ENDPOINTS = (
    Endpoint(
        method="GET", path="schedules", name="list_schedules", about="The schedules.\n\nIn the order of their names.",
        permission="view_schedule", act=list_schedules, shape=PAGE, query=(RAW, LIMIT, CURSOR),
    ),
    Endpoint(
        method="GET", path="schedules/{name}", name="get_schedule", about="One schedule.", permission="view_schedule",
        act=get_schedule, shape=SHAPE, query=(RAW,), **_ONE,
    ),
    Endpoint(
        path="schedules/{name}/pause", name="pause_schedule", permission="change_schedule", act=pause_schedule, shape=SHAPE,
        about="Fire no ticks of a schedule until it is resumed.", **_VERB,
    ),
    Endpoint(
        path="schedules/{name}/resume", name="resume_schedule", permission="change_schedule", act=resume_schedule, shape=SHAPE,
        about="Fire ticks of a schedule again, from the next one on.", **_VERB,
    ),
    Endpoint(
        path="schedules/{name}/trigger", name="trigger_schedule", permission="start_workflowrun", act=trigger_schedule,
        also=("view_schedule",), shape=HANDLE, statuses=(201,), about="Start a run of a schedule now.", **_VERB,
    ),
)  # fmt: skip
