"""Queues, seen, paused and let go on."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.api import audit
from durable_workflows.api.endpoints import Answer, Call, Endpoint
from durable_workflows.api.kinds import QUEUE
from durable_workflows.api.pages import CURSOR, LIMIT, Order, as_text, page
from durable_workflows.api.problems import NOT_FOUND, Problem
from durable_workflows.api.shapes import FLAG, MOMENT, OBJECT, TEXT, Property, Shape, maybe, page_of
from durable_workflows.models import QueueState, desk, dialects
from durable_workflows.models.rules import rules_of
from durable_workflows.models.transactions import in_write_transaction

SHAPE = Shape(
    "Queue",
    "A queue, and what holds for it.",
    [
        Property("name", TEXT),
        Property("paused", FLAG, "Whether nothing of it is started."),
        Property("limits", OBJECT, "What holds: as declared, where nobody overrode it."),
        Property("declared", {}, "The limits as code declares them."),
        Property("overrides", {}, "The limits as somebody set them."),
        Property("problem", maybe(TEXT), "Why its limits cannot be read; its runs wait then."),
        Property("updated_at", MOMENT),
    ],
)
PAGE = page_of(SHAPE, "queues")
COLUMNS = ("name", "paused", "declared", "overrides", "revision", "updated_at")


def told(row: dict[str, Any]) -> dict[str, Any]:
    """The members of a queue's answer."""
    rules = rules_of(row["paused"], row["declared"], row["overrides"], row["revision"])
    return SHAPE.of({**row, "limits": rules.limits.as_json(), "problem": rules.problem or None})


def list_queues(call: Call) -> Answer:
    """A page of the queues that have a row."""
    rows = QueueState.objects.using(dialects.alias()).values(*COLUMNS)
    found, following = page(rows, Order([("name", as_text)]), call.values["cursor"], call.values["limit"])
    return Answer({"queues": [told(row) for row in found], "next": following})


def get_queue(call: Call) -> Answer:
    """One queue."""
    row = QueueState.objects.using(dialects.alias()).filter(pk=call.subject).values(*COLUMNS).first()
    if row is None:
        detail = f"There is no queue {call.subject!r}. Its row comes with the first worker that declares it."
        raise Problem(NOT_FOUND, detail)
    return Answer(told(row))


def pause_queue(call: Call) -> Answer:
    """Start nothing of a queue."""
    return _turn_over(call, paused=True)


def resume_queue(call: Call) -> Answer:
    """Let a queue go on."""
    return _turn_over(call, paused=False)


def _turn_over(call: Call, *, paused: bool) -> Answer:
    def deed(connection: BaseDatabaseWrapper) -> None:
        changed = desk.turn_over(connection, [call.subject], paused=paused)
        rows = QueueState.objects.using(connection.alias).filter(pk__in=changed)
        audit.log(call.user, "Paused by the API." if paused else "Resumed by the API.", rows)

    in_write_transaction(deed)
    return get_queue(call)


_VERB: dict[str, Any] = {
    "method": "POST", "permission": "change_queuestate", "shape": SHAPE, "subject": QUEUE, "problems": (NOT_FOUND,),
}  # fmt: skip
ENDPOINTS = (
    Endpoint(
        method="GET", path="queues", name="list_queues", about="The queues.\n\nIn the order of their names.",
        permission="view_queuestate", act=list_queues, shape=PAGE, query=(LIMIT, CURSOR),
    ),
    Endpoint(
        method="GET", path="queues/{name}", name="get_queue", about="One queue.", permission="view_queuestate", act=get_queue,
        shape=SHAPE, subject=QUEUE, problems=(NOT_FOUND,),
    ),
    Endpoint(
        path="queues/{name}/pause", name="pause_queue", act=pause_queue,
        about="Start nothing of a queue.\n\nWhat is running goes on.", **_VERB,
    ),
    Endpoint(path="queues/{name}/resume", name="resume_queue", act=resume_queue, about="Let a queue go on.", **_VERB),
)  # fmt: skip
