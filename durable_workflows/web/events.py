"""An event out of a request, with an id that can become a run's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from durable_workflows.bodies import Refusal
from durable_workflows.options import ID_MAX_LENGTH


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
