"""Why a value of some type is not taken, and what to do instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db.models import Manager, QuerySet
from django.utils.functional import Promise

from durable_workflows.exceptions import NotSerializable, PayloadTooLarge
from durable_workflows.serializers.registered import path_of
from durable_workflows.serializers.shapes import has_shape

_CURES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((QuerySet, Manager), "Pass list(queryset), or the ids."),
    (Promise, "A lazy translation must become text first: pass str(value)."),
    ((bytearray, memoryview), "Pass bytes(value)."),
    (Iterator, "It can be read only once: pass list(value)."),
)
_BUILTINS = (str, bytes, int, float, list, tuple, dict, set, frozenset)


class Field(str):
    """A step of a path that is an attribute, not a key; the empty one is no step."""

    __slots__ = ()


def refusal(value: object) -> tuple[str, str]:
    """Why ``value`` is not serialisable, and the cure; the value itself is not shown, as it may be a secret."""
    cls = type(value)
    if has_shape(cls):
        return "is of a class that is not registered", f"Call register_type({cls.__qualname__}), or annotate with it."
    for kinds, cure in _CURES:
        if isinstance(value, kinds):
            return "cannot be stored", cure
    for base in _BUILTINS:
        if isinstance(value, base):
            return (
                f"would come back as a plain {base.__name__}",
                f"Pass {base.__name__}(value), or call register_type({cls.__qualname__}, encode=..., decode=...).",
            )
    return "cannot be stored", f"Pass ids or plain data, or call register_type({cls.__qualname__}, encode=..., decode=...)."


def not_serializable(what: str, path: list[Any], value: object, why: tuple[str, str]) -> NotSerializable:
    """The error, with the place of ``value`` inside of what was to be stored."""
    reason, cure = why
    place = f"{_written(what, path)}, of the type {path_of(type(value))},"
    return NotSerializable(f"Cannot store the {what}: {place} {reason}. {cure}")


def too_large(what: str, size: str, limit: int) -> PayloadTooLarge:
    """The error for a payload of ``size`` ("9000000", "more than 8388608") bytes."""
    return PayloadTooLarge(
        f"Cannot store the {what}: it takes {size} bytes as JSON, and the limit is {limit}. Keep large data in a row or a"
        " file and pass its id, or raise DURABLE_WORKFLOWS['PAYLOAD_MAX_BYTES']."
    )


def _written(what: str, path: list[Any]) -> str:
    """``result["a"][3].price``, after the first word of "result of step 'charge'"."""
    root = what.split(maxsplit=1)[0] if what.strip() else ""
    steps = [_step(piece) for piece in path]
    if len(steps) > 16:
        steps[8:-4] = ["..."]
    return (root if root.isidentifier() else "value") + "".join(steps)


def _step(piece: Any) -> str:
    if isinstance(piece, Field):
        return f".{piece}" if piece else ""
    return f"[{json.dumps(piece)[:80] if isinstance(piece, str) else piece}]"
