"""The shape of an event: what the webhook accepts, checked before anything is stored."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import BadRequest

# It becomes part of a workflow's id and is shown on pages.
ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")
NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")
MAX_BYTES = 64 * 1024


def checked(event: Any) -> dict[str, Any]:
    """
    The event with the fields that are known and no others.

    :param event: what the sender signed, as JSON reads it.
    :raises BadRequest: if it has no ``id`` or no ``type``, or one of its fields is none that we know.
    """
    return {
        "id": _field(event, "id", ID),
        "type": _field(event, "type", NAME),
        "parcel": _field(event, "parcel", NAME) if event.get("parcel") else "",
    }


def _field(event: dict[str, Any], name: str, allowed: re.Pattern[str]) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not allowed.fullmatch(value):
        raise BadRequest(f"The field {name!r} must be a string that fits {allowed.pattern}.")
    return value
