"""
How pydantic models are taken apart and rebuilt. Pydantic is never imported here: who has a model has imported it.

The fields travel as they are, by our own codec, and are put back the way unpickling does, without validation: dumping
to JSON by pydantic masks secrets, forgets which fields were set, and reads aliases and unions back as something else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from durable_workflows.serializers.wire import Unfit


def is_model(cls: type) -> bool:
    """Whether ``cls`` is a model of pydantic 2."""
    module = sys.modules.get("pydantic.main")
    base = vars(module).get("BaseModel") if module else None
    return isinstance(base, type) and cls is not base and issubclass(cls, base) and hasattr(base, "model_fields")


def encode(model: Any) -> dict[str, Any]:
    """Fields, the names of those that were set, and what is there of extra and private attributes."""
    state = model.__getstate__()
    known = type(model).model_fields
    parts = {
        "fields": {name: value for name, value in state["__dict__"].items() if name in known},  # no cached properties
        "set": sorted(state["__pydantic_fields_set__"]),
        "extra": state.get("__pydantic_extra__"),
        "private": state.get("__pydantic_private__"),
    }
    return {name: part for name, part in parts.items() if part is not None}


def decode(cls: Any, stored: Mapping[str, Any]) -> Any:
    """
    The model again; a field that is new since then gets its default.

    :raises Unfit: if a stored field is gone from the class, or a new one has no default.
    """
    made = cls.__new__(cls)
    made.__setstate__(
        {
            "__dict__": _complete(cls, stored["fields"]),
            "__pydantic_fields_set__": set(stored["set"]),
            "__pydantic_extra__": stored.get("extra"),
            "__pydantic_private__": stored.get("private"),
        }
    )
    return made


def _complete(cls: Any, fields: dict[str, Any]) -> dict[str, Any]:
    if gone := sorted(fields.keys() - cls.model_fields.keys()):
        raise Unfit(f"{cls.__qualname__} has no field {', '.join(gone)} any more")
    return {name: fields[name] if name in fields else _default(cls, name, field) for name, field in cls.model_fields.items()}


def _default(cls: Any, name: str, field: Any) -> Any:
    if field.is_required():
        raise Unfit(f"{cls.__qualname__} now requires the field {name}, which was not stored")
    return field.get_default(call_default_factory=True)
