"""A strict Content-Security-Policy on every page of the test site: the browser tells of whatever it blocks."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from example_project.middleware import POLICY

# The admin's pages need no image that is written in a style sheet either.
STRICTEST = POLICY.replace(" data:", "")


def strict_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", STRICTEST if request.path.startswith("/admin/") else POLICY)
        return response

    return middleware
