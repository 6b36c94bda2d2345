"""What goes wrong, as RFC 9457 has it told: ``application/problem+json``. Each type has its status and its title here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError

from durable_workflows.bodies import Refusal
from durable_workflows.exceptions import (
    Deduplicated,
    DurableError,
    InvalidUse,
    NotSerializable,
    PayloadTooLarge,
    ScheduleNotFound,
    WorkflowNotFound,
    WorkflowNotRegistered,
)

CONTENT_TYPE: Final = "application/problem+json"
NAMESPACE: Final = "urn:durable-workflows:problem:"
RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Type:
    """A type of problem; the ``name`` is the end of its URI."""

    name: str
    status: int
    title: str


BAD_REQUEST = Type("bad-request", 400, "The request cannot be what it is meant to be.")
UNAUTHENTICATED = Type("unauthenticated", 401, "Nobody is known to have sent this request.")
FORBIDDEN = Type("forbidden", 403, "The user may not do this.")
CSRF = Type("csrf", 403, "The CSRF token is missing or wrong.")
NOT_FOUND = Type("not-found", 404, "There is no such thing.")
NOT_ALLOWED = Type("method-not-allowed", 405, "This is not done by this method.")
CONFLICT = Type("conflict", 409, "This cannot be done as things stand.")
DEDUPLICATED = Type("deduplicated", 409, "An unfinished run holds the deduplication id.")
TOO_LARGE = Type("too-large", 413, "The body is too large.")
MEDIA_TYPE = Type("unsupported-media-type", 415, "The body is not application/json.")
UNAVAILABLE = Type("unavailable", 503, "The database is away, or too busy.")

TYPES = (
    BAD_REQUEST, UNAUTHENTICATED, FORBIDDEN, CSRF, NOT_FOUND, NOT_ALLOWED, CONFLICT, DEDUPLICATED, TOO_LARGE, MEDIA_TYPE,
    UNAVAILABLE,
)  # fmt: skip


class Problem(Exception):
    """
    An answer that is an error.

    :param detail: what happened, and what to do.
    :param extra: further members of the document, such as ``parameter``.
    """

    def __init__(self, kind: Type, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.extra = extra
        self.headers: Mapping[str, str] = {}

    def document(self) -> dict[str, Any]:
        """The members of the answer."""
        kind = self.kind
        return {"type": NAMESPACE + kind.name, "title": kind.title, "status": kind.status, "detail": str(self), **self.extra}

    def with_headers(self, **headers: str) -> Problem:
        """The same, with headers; an underscore in a name is a hyphen."""
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self


class InDoubt(Exception):
    """The database went away in a deed that may be done by now, and that is done again if the request is sent again."""


KNOWN = (InDoubt, DurableError, Refusal, SuspiciousOperation, PermissionDenied, OperationalError, InterfaceError)


def problem_of(error: Exception) -> Problem:
    """An error of one of the classes in ``KNOWN`` as the answer to it. All that is bad in a request comes as one of these."""
    if isinstance(error, (InDoubt, OperationalError, InterfaceError)):
        cure = "Look before you send it again: it may act twice." if isinstance(error, InDoubt) else "Send the request again."
        detail = f"Nothing was done, or it cannot be told. {cure}"
        return Problem(UNAVAILABLE, detail).with_headers(Retry_After=str(RETRY_SECONDS))
    if isinstance(error, Refusal):
        return Problem(next(kind for kind in TYPES if kind.status == error.status_code), str(error))
    if isinstance(error, PermissionDenied):
        return Problem(FORBIDDEN, str(error) or "The project does not let this user in.")
    if isinstance(error, Deduplicated):
        return Problem(DEDUPLICATED, str(error), workflow_id=error.workflow_id)
    return Problem(_type_of(error), str(error))


def _type_of(error: Exception) -> Type:
    if isinstance(error, (WorkflowNotFound, ScheduleNotFound, WorkflowNotRegistered)):
        return NOT_FOUND
    if isinstance(error, PayloadTooLarge):
        return TOO_LARGE
    if isinstance(error, (InvalidUse, NotSerializable, SuspiciousOperation)):
        return BAD_REQUEST
    return CONFLICT
