"""All endpoints. What is not in here is not there; what is, is routed, checked and described as it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from durable_workflows.api import openapi, queues, runs, schedules, starting, verbs, workers
from durable_workflows.api.endpoints import Answer, Call, Endpoint

OF_THINGS = (
    *runs.ENDPOINTS, *starting.ENDPOINTS, *verbs.ENDPOINTS, *queues.ENDPOINTS, *schedules.ENDPOINTS, *workers.ENDPOINTS,
)  # fmt: skip


def describe(call: Call) -> Answer:
    """This API, as it is where it was asked for."""
    here = call.request.path.removesuffix("/openapi.json")
    return Answer(openapi.document(ENDPOINTS, here))


ENDPOINTS: Sequence[Endpoint] = (
    *OF_THINGS,
    Endpoint(
        method="GET", path="openapi.json", name="describe", permission="", act=describe, shape=None,
        about="This document.\n\nOpenAPI 3.1; any member of the staff may read it.",
    ),
)  # fmt: skip


def by_path() -> Mapping[str, Sequence[Endpoint]]:
    """The endpoints of each path, those that end with a word first: an id is any text, which may have slashes in it."""
    paths = sorted({endpoint.path: None for endpoint in ENDPOINTS}, key=lambda path: path.endswith("}"))
    return {path: [endpoint for endpoint in ENDPOINTS if endpoint.path == path] for path in paths}
