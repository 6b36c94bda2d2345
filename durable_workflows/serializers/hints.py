"""Classes that the annotations of workflows and steps name, registered without a call of their own."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

from durable_workflows.serializers import pydantic_shape
from durable_workflows.serializers.registered import types
from durable_workflows.serializers.shapes import has_shape


def register_annotations(func: Callable[..., Any]) -> None:
    """
    Register the Enums, dataclasses and pydantic models in the annotations of ``func``, and in those of their fields.

    Read when a class is first missing, not now: a function may be annotated with a class that stands below it. What
    cannot be resolved, such as a name imported for type checkers alone, is left out.

    :param func: a plain function, without the decorators that were put around it.
    """
    types.look_later(partial(_offer_all, func))


def _offer_all(func: Callable[..., Any]) -> bool:
    """Offer every class found; false if an annotation could not be resolved, so that it is worth another look."""
    todo, seen, complete = [func], {id(func)}, True
    for annotated in todo:
        hints, resolved = _hints(annotated)
        complete &= resolved
        for cls in (cls for hint in hints for cls in _classes(hint)):
            if id(cls) in seen:
                continue
            seen.add(id(cls))
            if has_shape(cls):
                types.offer(cls)
            if _has_fields(cls):
                todo.append(cls)
    return complete


def _has_fields(cls: type) -> bool:
    """Whether values of ``cls`` hold what its own annotations say."""
    return dataclasses.is_dataclass(cls) or pydantic_shape.is_model(cls) or typing.is_typeddict(cls)


def _hints(annotated: Any) -> tuple[list[Any], bool]:
    """The resolved annotations, and whether these are all of them."""
    names = _closure(annotated)
    try:
        return list(typing.get_type_hints(annotated, localns=names).values()), True
    except Exception:  # noqa: BLE001  an annotation is any expression, so it fails in any way
        return list(_single_hints(annotated, names)), False


def _single_hints(annotated: Any, names: dict[str, Any]) -> Iterator[Any]:
    """One by one, so that an annotation which cannot be resolved hides no other."""
    module = vars(sys.modules.get(getattr(annotated, "__module__", ""), SimpleNamespace()))
    for name, hint in getattr(annotated, "__annotations__", {}).items():
        single = SimpleNamespace(__annotations__={name: hint})
        try:
            yield from typing.get_type_hints(single, module, names).values()
        except Exception:  # noqa: BLE001  as above
            continue


def _closure(annotated: Any) -> dict[str, Any]:
    """Names of an enclosing function which the body uses, so that a class defined in a test is found."""
    code, cells = getattr(annotated, "__code__", None), getattr(annotated, "__closure__", None)
    found = {}
    for name, cell in zip(code.co_freevars if code else (), cells or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _classes(hint: Any) -> Iterator[type]:
    """Every class within ``list[X]``, ``X | None``, ``Annotated[X, ...]``, ``Literal[X.A]``, aliases and the like."""
    todo = [hint]
    for part in todo:
        if isinstance(part, type) and typing.get_origin(part) is None:
            yield part
        else:  # an alias may contain itself
            todo += [inner for inner in _parts(part) if not any(inner is known for known in todo)]


def _parts(hint: Any) -> list[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return [type(value) for value in arguments]
    parts = [origin] if isinstance(origin, type) else []
    for argument in arguments:
        parts += argument if isinstance(argument, list) else [argument]  # a list in Callable[[X], Y]
    # What NewType, TypeVar and the ``type`` statement stand for.
    meant = (getattr(hint, attribute, None) for attribute in ("__supertype__", "__bound__", "__value__"))
    return parts + [inner for inner in meant if inner is not None]
