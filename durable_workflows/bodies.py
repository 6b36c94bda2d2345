"""A request's body: read up to a limit, strictly JSON. For every view that takes some."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.http.request import UnreadablePostError

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Refusal(Exception):
    """The request is answered with this status, and a reason that quotes nothing of it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status_code = status


def read_body(request: HttpRequest, limit: int) -> bytes:
    """
    The whole body. What says that it is longer than ``limit`` is not read, and of what does not say so no more is read.

    :raises Refusal: if it is longer, is a form or compressed, or breaks off.
    """
    if announced(request) > limit:
        raise _too_long(limit)
    if request.content_type in FORMS or request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(415, "A body is JSON here: no form, and nothing that is compressed.")
    try:
        body: bytes = request.read(limit + 1)
    except UnreadablePostError as error:
        raise Refusal(400, "The body broke off.") from error
    if len(body) > limit:
        raise _too_long(limit)
    request._body = body  # so that `request.body`, which must not be asked after `read()`, answers
    return body


def announced(request: HttpRequest) -> int:
    """How many bytes the body is said to have; 0 if that is not said."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _too_long(limit: int) -> Refusal:
    return Refusal(413, f"A body has at most {limit} bytes here.")


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
