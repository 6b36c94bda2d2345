"""Workers, seen."""

from __future__ import annotations

from durable_workflows.api.endpoints import Answer, Call, Endpoint
from durable_workflows.api.fields import Field
from durable_workflows.api.kinds import FLAG
from durable_workflows.api.pages import CURSOR, LIMIT, Order, as_text, page
from durable_workflows.api.shapes import ANY, MOMENT, NUMBER, TEXT, WHOLE, Property, Shape, maybe, page_of
from durable_workflows.api.shapes import FLAG as YES_OR_NO
from durable_workflows.models import Worker, dialects

SHAPE = Shape(
    "Worker",
    "A process that executes runs.",
    [
        Property("id", TEXT),
        Property("hostname", TEXT),
        Property("pid", WHOLE),
        Property("direct", YES_OR_NO, "Serves direct calls only, claims nothing."),
        Property("queues", ANY),
        Property("app_version", TEXT),
        Property("threads", WHOLE),
        Property("lease_seconds", NUMBER),
        Property("started_at", MOMENT),
        Property("heartbeat_at", MOMENT),
        Property("stopped_at", maybe(MOMENT)),
        Property("lost_at", maybe(MOMENT)),
    ],
)
PAGE = page_of(SHAPE, "workers")
ENDED = Field("ended", FLAG, "Also those that have stopped, or were lost.", default=False)


def list_workers(call: Call) -> Answer:
    """A page of the workers."""
    rows = Worker.objects.using(dialects.alias()).values(*(each.name for each in SHAPE.properties))
    if not call.values["ended"]:
        rows = rows.filter(stopped_at=None, lost_at=None)
    found, following = page(rows, Order([("id", as_text)]), call.values["cursor"], call.values["limit"])
    return Answer({"workers": [SHAPE.of(row) for row in found], "next": following})


ENDPOINTS = (
    Endpoint(
        method="GET", path="workers", name="list_workers", about="The workers.\n\nIn the order of their ids.",
        permission="view_worker", act=list_workers, shape=PAGE, query=(ENDED, LIMIT, CURSOR),
    ),
)  # fmt: skip
