"""The shape of an event: what the webhook accepts as JSON, checked before anything is stored."""

from __future__ import annotations

import json
import re
from typing import Any

# It becomes part of a workflow's id and is shown on pages.
ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")
NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")
MAX_BYTES = 64 * 1024


class BadEvent(Exception):
    """The body is signed but is not an event."""


def parse(body: bytes) -> dict[str, Any]:
    """
    The event in a request's body, with the fields that are known and no others.

    :raises BadEvent: if it is not a JSON object with an ``id`` and a ``type``.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadEvent("The body is not JSON.") from error
    if not isinstance(event, dict):
        raise BadEvent("The body is not a JSON object.")
    return {
        "id": _field(event, "id", ID),
        "type": _field(event, "type", NAME),
        "parcel": _field(event, "parcel", NAME) if event.get("parcel") else "",
    }


def _field(event: dict[str, Any], name: str, allowed: re.Pattern[str]) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not allowed.fullmatch(value):
        raise BadEvent(f"The field {name!r} must be a string that fits {allowed.pattern}.")
    return value
