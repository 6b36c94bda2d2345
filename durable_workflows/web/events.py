"""From a request's body to an event: read up to a limit, strictly JSON, with an id that can become a run's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.http.request import UnreadablePostError

from durable_workflows.options import ID_MAX_LENGTH

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Refusal(Exception):
    """The request is answered with this status, and a reason that quotes nothing of it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status_code = status


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """
    An event whose signature was right.

    :param id: the sender's id of it.
    :param workflow_id: the id of its run: the sender's name, a hyphen, and ``id``.
    :param data: the body as JSON reads it.
    :param body: the body as it was signed.
    """

    id: str
    workflow_id: str
    data: Any
    body: bytes


def from_header(name: str) -> Callable[[HttpRequest, Any], str | None]:
    """
    Take the event's id from a header, as in ``event_id=from_header("X-GitHub-Delivery")``.

    Most signatures do not cover headers: who records a request could send it again under another id.
    """
    return lambda request, data: request.headers.get(name)


def read_body(request: HttpRequest, limit: int) -> bytes:
    """
    The whole body. What says that it is longer than ``limit`` is not read, and of what does not say so no more is read.

    :raises Refusal: if it is longer, is a form or compressed, or breaks off.
    """
    if _announced(request) > limit:
        raise _too_long(limit)
    if request.content_type in FORMS or request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(415, "This webhook takes JSON: no forms, and nothing that is compressed.")
    try:
        body: bytes = request.read(limit + 1)
    except UnreadablePostError as error:
        raise Refusal(400, "The body broke off.") from error
    if len(body) > limit:
        raise _too_long(limit)
    request._body = body  # so that `request.body`, which must not be asked after `read()`, answers
    return body


def _announced(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH") or "0"
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _too_long(limit: int) -> Refusal:
    return Refusal(413, f"An event has at most {limit} bytes.")


def read_json(body: bytes) -> Any:
    """
    The value in a body.

    :raises Refusal: if it is not strictly JSON in UTF-8, or names a key twice, of which two readers may take different ones.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The body is not JSON in UTF-8, in which no object names a key twice.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice")
    return made


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def valid_event_id(found: Any, sender: str) -> str:
    """
    ``found`` as the id of an event.

    :raises Refusal: if it is no text or integer, or cannot be a part of a run's id.
    """
    text = str(found) if isinstance(found, int) and not isinstance(found, bool) else found
    longest = ID_MAX_LENGTH - len(sender) - 1
    # What is not printable (control characters, halves of surrogate pairs ...) would mislead whoever reads it.
    if not isinstance(text, str) or not text.strip() or len(text) > longest or not text.isprintable():
        raise Refusal(400, f"An event's id is a text of 1 to {longest} printable characters, or an integer.")
    return text
