"""
Who sends a request: a session's user, or whom the project's own callable makes out, by a token for example.

A browser sends a session's cookie by itself, also when another site has it do so. Those requests need the CSRF token, and those
whose sender the callable made out do not. Nobody is ever sent to a login page.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware

from durable_workflows.api.problems import CSRF, FORBIDDEN, UNAUTHENTICATED, Problem
from durable_workflows.conf import SETTING, callable_named

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
APP = "durable_workflows"


def user_of(request: HttpRequest) -> Any:
    """
    The user who sent the request, whom the CSRF check let pass.

    :raises Problem: if there is none, if they are no active member of the staff, or if the token is missing or wrong.
    """
    user = _by_the_project(request)
    by_session = user is None
    if by_session:
        user = getattr(request, "user", None) or AnonymousUser()  # no middleware, no user
    if not user.is_authenticated:
        raise _nobody()
    if not (user.is_active and user.is_staff):
        raise Problem(FORBIDDEN, "The API is for active members of the staff. Ask for `is_staff`.")
    if by_session and request.method not in SAFE:
        _check_csrf(request)
    return user


def _by_the_project(request: HttpRequest) -> Any:
    """Whom the callable of the setting makes out; None: nobody."""
    authenticate = callable_named("api_authenticate")
    found = authenticate(request) if authenticate else None
    if found is None:
        return None
    if not hasattr(found, "is_authenticated"):
        raise ImproperlyConfigured(f"{SETTING}['API_AUTHENTICATE'] is to return a user or None, not a {type(found).__name__}.")
    return found if found.is_authenticated else None


def _nobody() -> Problem:
    scheme = "Bearer" if callable_named("api_authenticate") else "Session"
    detail = "Log in, or send a token that is known, and be a member of the staff."
    return Problem(UNAUTHENTICATED, detail).with_headers(WWW_Authenticate=scheme)


class _Check(CsrfViewMiddleware):
    """Django's own check, which tells its reason instead of making a page of it."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseForbidden:
        return HttpResponseForbidden(reason)


def _check_csrf(request: HttpRequest) -> None:
    check = _Check(lambda request: HttpResponseForbidden())
    check.process_request(request)
    if (refused := check.process_view(request, _view, (), {})) is not None:
        detail = f"{refused.content.decode()} Send the token of the cookie in the header `X-CSRFToken`."
        raise Problem(CSRF, detail)


def _view(request: HttpRequest) -> HttpResponseForbidden:
    """What the check is asked about: a view that is not exempt."""
    return HttpResponseForbidden()


def may(user: Any, permission: str) -> bool:
    """Whether a user has a permission of this app."""
    return bool(user.has_perm(f"{APP}.{permission}"))


def require(user: Any, permission: str) -> None:
    """
    See that a user has a permission of this app.

    :raises Problem: if not; it names the permission.
    """
    if not may(user, permission):
        name = f"{APP}.{permission}"
        raise Problem(FORBIDDEN, f"This needs the permission {name}, which the user does not have.", permission=name)
