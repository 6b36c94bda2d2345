"""
A stored payload for readers who know no tags: plain JSON, which does not come back as what it was.

Nothing is decoded that is somebody's own: no registered function is called, no row is read, no class is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from durable_workflows.serializers.decoding import corrupted
from durable_workflows.serializers.scalars import BY_TAG
from durable_workflows.serializers.wire import DATABASE, NAME, TAG, VALUE, from_json, unpack


def as_plain(text: str, *, what: str) -> Any:
    """
    A payload as plain JSON values.

    Tuples and sets become lists; moments, dates and times ISO 8601 text; a timedelta its seconds; Decimal, UUID, bytes (in
    base64) and an int of hundreds of digits (in hexadecimal) text; a registered class its fields; a row a dict of ``model``
    and ``pk``.

    :param what: what is read, for errors: "result of step 'charge'".
    :raises PayloadCorrupted: if it is damaged.
    """
    try:
        return _plain(from_json(unpack(text)))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise corrupted(what, "it is damaged.") from error


def as_stored(text: str, *, what: str) -> Any:
    """
    A payload, or a recorded exception, as it is stored, tags included.

    :raises PayloadCorrupted: if it is no JSON.
    """
    try:
        return from_json(unpack(text))
    except (ValueError, RecursionError) as error:
        raise corrupted(what, "it is damaged.") from error


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    return _TAGGED[node[TAG]](node) if TAG in node else _items(node)


def _items(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in node.items()}


def _inside(node: Mapping[str, Any]) -> Any:
    return _plain(node[VALUE])


def _as_text(node: Mapping[str, Any]) -> str:
    return str(node[VALUE])


def _moment(node: Mapping[str, Any]) -> str:
    """With its offset from UTC, if it has a zone that is known here."""
    stored = node[VALUE]
    try:
        return str(BY_TAG[node[TAG]].decode(stored).isoformat())
    except (OSError, LookupError, ValueError):  # a zone that this machine does not know
        return str(stored if isinstance(stored, str) else stored[0])


def _row(node: Mapping[str, Any]) -> dict[str, Any]:
    database = {"database": node[DATABASE]} if DATABASE in node else {}
    return {"model": node[NAME], "pk": _inside(node), **database}


_TAGGED: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    **dict.fromkeys(("tuple", "set", "frozenset", "type"), _inside),
    **dict.fromkeys(("bytes", "decimal", "uuid", "int", "date"), _as_text),
    **dict.fromkeys(("datetime", "time"), _moment),
    "dict": lambda node: _items(node[VALUE]),
    "timedelta": lambda node: BY_TAG["timedelta"].decode(node[VALUE]).total_seconds(),
    "model": _row,
}
