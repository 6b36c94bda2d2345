"""The OpenAPI 3.1 document of the API, made of the table of its endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from durable_workflows.api import problems
from durable_workflows.api.endpoints import Endpoint
from durable_workflows.api.fields import Field
from durable_workflows.api.shapes import PROBLEM, Shape, reference

JSON = "application/json"
EVERYWHERE = (problems.UNAUTHENTICATED, problems.FORBIDDEN, problems.CSRF, problems.UNAVAILABLE)
ABOUT = (
    "What scripts and other services see and do of durable workflows. For active members of the staff with the permission"
    " that an operation names. Requests with a session's cookie need Django's CSRF token too, in the header `X-CSRFToken`."
)


def document(endpoints: Sequence[Endpoint], here: str = "/") -> dict[str, Any]:
    """
    The document.

    :param here: the path under which the API is included.
    """
    return {
        "openapi": "3.1.1",
        "info": {"title": "durable_workflows", "version": "1", "description": ABOUT},
        "servers": [{"url": here or "/"}],
        "security": [{"session": []}, {"token": []}],
        "paths": _paths(endpoints),
        "components": {
            "schemas": {shape.name: shape.schema() for shape in _shapes(endpoints)} | {"Problem": _problem()},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "Django's session."},
                "token": {"type": "http", "scheme": "bearer", "description": "As the setting `API_AUTHENTICATE` takes it."},
            },
        },
    }


def _paths(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(f"/{endpoint.path}", {})[endpoint.method.lower()] = _operation(endpoint)
    return paths


def _shapes(endpoints: Sequence[Endpoint]) -> Iterable[Shape]:
    """Those of the answers, and what they are made of."""
    answers = [endpoint.shape for endpoint in endpoints if endpoint.shape is not None]
    return [*answers, *(part for answer in answers for part in answer.parts)]


def _problem() -> dict[str, Any]:
    return PROBLEM.schema() | {"additionalProperties": True}


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    summary, _, more = endpoint.about.partition("\n\n")
    names = " and ".join(f"`durable_workflows.{name}`" for name in endpoint.permissions)
    needs = f"Needs the permission{'s' * bool(endpoint.also)} {names}." if names else ""
    body = {"requestBody": _body(endpoint.body)} if not endpoint.reads and endpoint.method != "DELETE" else {}
    return {
        "operationId": endpoint.name,
        "summary": summary,
        "description": " ".join(part for part in (more, needs) if part),
        "tags": [endpoint.path.partition("/")[0]],
        "parameters": [*_path_parameters(endpoint), *map(_query_parameter, endpoint.query)],
        **body,
        "responses": _responses(endpoint),
    }


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if not endpoint.parameter:
        return []
    return [{"name": endpoint.parameter, "in": "path", "required": True, "schema": endpoint.subject.schema}]


def _query_parameter(field: Field) -> dict[str, Any]:
    shown = {"name": field.name, "in": "query", "description": field.about}
    if field.kind.schema.get("type") == "object":
        return {**shown, "content": {JSON: {"schema": field.schema()}}}
    return {**shown, "schema": field.schema()}


def _body(fields: Sequence[Field]) -> dict[str, Any]:
    properties = {field.name: {**field.schema(), "description": field.about} for field in fields}
    required = [field.name for field in fields if field.required]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"required": bool(required), "content": {JSON: {"schema": schema}}}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    schema = {"schema": reference(endpoint.shape) if endpoint.shape else {"type": "object"}}
    told: dict[str, Any] = {
        str(status): {"description": HTTPStatus(status).phrase, **({} if status == 204 else {"content": {JSON: schema}})}
        for status in endpoint.statuses
    }
    if endpoint.reads:
        told["304"] = {"description": "It is what `If-None-Match` names."}
    return {**told, **_problems(endpoint)}


def _problems(endpoint: Endpoint) -> Mapping[str, Any]:
    """By status, each with the types that it may be of."""
    own = [*endpoint.problems, problems.BAD_REQUEST]
    own += [] if endpoint.reads else [problems.TOO_LARGE, problems.MEDIA_TYPE]
    kinds = sorted({*own, *EVERYWHERE}, key=lambda kind: (kind.status, kind.name))
    content = {problems.CONTENT_TYPE: {"schema": reference(PROBLEM)}}
    words = {kind: f"{kind.title} (`{problems.NAMESPACE}{kind.name}`)" for kind in kinds}
    statuses = dict.fromkeys(kind.status for kind in kinds)
    described = {status: " ".join(words[kind] for kind in kinds if kind.status == status) for status in statuses}
    return {str(status): {"description": text, "content": content} for status, text in described.items()}
