"""From a request to an answer: the same way for all endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import parse_etags, quote_etag
from django.utils.log import log_response
from django.views.decorators.csrf import csrf_exempt

from durable_workflows.api import auth
from durable_workflows.api.endpoints import Answer, Call, Endpoint
from durable_workflows.api.fields import from_body, from_query, refuse_other_media
from durable_workflows.api.kinds import dumped
from durable_workflows.api.problems import (
    BAD_REQUEST,
    CONTENT_TYPE,
    KNOWN,
    NOT_ALLOWED,
    NOT_FOUND,
    InDoubt,
    Problem,
    problem_of,
)
from durable_workflows.exceptions import InvalidUse

View = Callable[..., HttpResponse]
NAMESPACE = "durable_api"


def view_of(endpoints: Sequence[Endpoint]) -> View:
    """The view of a path, given its endpoints; of none: that of a path that there is not."""
    by_method = {endpoint.method: endpoint for endpoint in endpoints}

    @csrf_exempt  # `auth` checks it, for those whom a session made known
    @transaction.non_atomic_requests  # the answer is given after the commit, which is ours
    def view(request: HttpRequest, **path: str) -> HttpResponse:
        try:
            response = _respond(request, by_method, path)
        except Problem as problem:
            response = _told(problem)
        except KNOWN as error:
            response = _told(problem_of(error))
            if response.status_code >= 500:
                log_response("Service Unavailable: %s", request.path, response=response, request=request, exception=error)
        return _guarded(response)

    return view


def _respond(request: HttpRequest, by_method: Mapping[str, Endpoint], path: Mapping[str, str]) -> HttpResponse:
    refuse_other_media(request)
    user = auth.user_of(request)
    endpoint = _asked_for(request, by_method)
    for permission in endpoint.permissions:
        auth.require(user, permission)
    answer = _carried_out(endpoint, _call(request, user, endpoint, path))
    return _answered(request, endpoint, answer)


def _carried_out(endpoint: Endpoint, call: Call) -> Answer:
    try:
        return endpoint.act(call)
    except (OperationalError, InterfaceError) as error:
        if endpoint.is_safe_to_repeat(call.values):
            raise
        raise InDoubt(str(error)) from error


def _asked_for(request: HttpRequest, by_method: Mapping[str, Endpoint]) -> Endpoint:
    if not by_method:
        raise Problem(NOT_FOUND, "There is no such address here. openapi.json tells which there are.")
    method = "GET" if request.method == "HEAD" else str(request.method)
    if method not in by_method:
        allowed = ", ".join(sorted({*by_method, *(["HEAD"] if "GET" in by_method else [])}))
        raise Problem(NOT_ALLOWED, f"This address takes {allowed}.").with_headers(Allow=allowed)
    return by_method[method]


def _call(request: HttpRequest, user: Any, endpoint: Endpoint, path: Mapping[str, str]) -> Call:
    subject = path.get(endpoint.parameter, "")
    if endpoint.parameter:
        try:
            endpoint.subject.check(subject, endpoint.parameter)
        except InvalidUse as error:
            raise Problem(BAD_REQUEST, str(error), parameter=endpoint.parameter) from None
    values = from_query(endpoint.query, request.GET)
    if not endpoint.reads:
        values |= from_body(endpoint.body, request)
    return Call(request=request, user=user, values=values, subject=subject)


def _answered(request: HttpRequest, endpoint: Endpoint, answer: Answer) -> HttpResponse:
    if answer.data is None:
        return HttpResponse(status=answer.status)
    content = dumped(answer.data)
    if not endpoint.reads:
        response = HttpResponse(content, status=answer.status, content_type="application/json")
        if answer.run is not None:
            where = getattr(request.resolver_match, "namespace", NAMESPACE)
            response.headers["Location"] = reverse(f"{where}:get_run", args=[answer.run])
        return response
    etag = quote_etag(sha256(content.encode()).hexdigest()[:32])
    response = HttpResponse(status=304) if _has(request, etag) else HttpResponse(content, content_type="application/json")
    response.headers["ETag"] = etag
    return response


def _has(request: HttpRequest, etag: str) -> bool:
    """Whether the client has what it would be sent; a proxy that compresses makes an ETag weak."""
    given = [each.removeprefix("W/") for each in parse_etags(request.headers.get("If-None-Match", ""))]
    return etag in given or "*" in given


def _told(problem: Problem) -> HttpResponse:
    headers = dict(problem.headers)
    return HttpResponse(dumped(problem.document()), status=problem.kind.status, content_type=CONTENT_TYPE, headers=headers)


def _guarded(response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
