"""How Enums and dataclasses are taken apart and rebuilt, without their authors' help."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from typing import Any, NamedTuple

from durable_workflows.exceptions import InvalidUse
from durable_workflows.serializers import pydantic_shape
from durable_workflows.serializers.wire import Unfit

# What such a base holds is in no field, and would be lost.
_BASES_WITH_CONTENT = (str, bytes, bytearray, int, float, complex, list, tuple, dict, set, frozenset, BaseException)


class Shape(NamedTuple):
    """``encode`` gives something the codec knows; ``decode`` is its inverse. Both raise ``Unfit`` with a reason."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    has_fields: bool = False  # encode gives a dict of attributes


def has_shape(cls: type) -> bool:
    """Whether ``cls`` is of a kind that can be registered without ``encode`` and ``decode``."""
    return issubclass(cls, Enum) or _is_dataclass(cls) or pydantic_shape.is_model(cls)


def shape_of(cls: type) -> Shape | None:
    """
    The shape of an Enum, a dataclass or a pydantic model; None for any other class.

    :raises InvalidUse: if ``cls`` is a dataclass that cannot be rebuilt from its fields.
    """
    if issubclass(cls, Enum):
        return Shape(_encode_member, lambda stored: _member(cls, stored))
    if _is_dataclass(cls):
        return _dataclass_shape(cls)
    if pydantic_shape.is_model(cls):
        return Shape(pydantic_shape.encode, lambda stored: pydantic_shape.decode(cls, stored), has_fields=True)
    return None


def _encode_member(member: Enum) -> Any:
    """A member's name; of a Flag its value, as a combination of members has no name of its own."""
    if isinstance(member, Flag):
        return member.value
    if type(member).__members__.get(member.name) is not member:
        raise Unfit("is no named member of its Enum")
    return member.name


def _member(cls: type[Enum], stored: Any) -> Enum:
    if issubclass(cls, Flag):
        return cls(stored)
    if stored not in cls.__members__:
        raise Unfit(f"{cls.__qualname__} has no member {stored!r}")
    return cls[stored]


def _is_dataclass(cls: type) -> bool:
    """Decorated itself: a plain subclass of a dataclass has attributes that no field tells of."""
    return "__dataclass_fields__" in vars(cls)


def _dataclass_shape(cls: type) -> Shape:
    _check_can_be_rebuilt(cls)
    return Shape(_encode_fields, lambda stored: _rebuild(cls, stored), has_fields=True)


def _check_can_be_rebuilt(cls: type[Any]) -> None:
    cure = "Pass encode and decode to register_type."
    if issubclass(cls, _BASES_WITH_CONTENT):
        raise InvalidUse(f"The dataclass {cls.__qualname__} is also a builtin container or value, which no field holds. {cure}")
    given = {field.name for field in dataclasses.fields(cls) if field.init}
    required = {
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    if lacking := sorted(required - given):
        raise InvalidUse(
            f"The dataclass {cls.__qualname__} cannot be rebuilt from its fields: its __init__ requires"
            f" {', '.join(lacking)}. {cure}"
        )


def _encode_fields(value: Any) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(value) if field.init or hasattr(value, field.name)]
    fields = {name: getattr(value, name) for name in names}
    _check_comes_back(value, fields)
    return fields


def _check_comes_back(value: Any, fields: Mapping[str, Any]) -> None:
    """
    Rebuild it once, here: a ``__post_init__`` that counts or converts may make something else of its own fields.

    Cheap beside the encoding, and no look at a class tells whether its ``__init__`` is the generated one.
    """
    try:
        again = _rebuild(type(value), fields)
    except Exception as error:
        raise Unfit(f"cannot be rebuilt from its own fields ({type(error).__name__}: {error})") from error
    for name, wanted in fields.items():
        found = getattr(again, name)
        if found is not wanted and not (type(found) is type(wanted) and found == wanted):
            raise Unfit(f"would come back with another {name!r}, as __post_init__ or __init__ changes it")


def _rebuild(cls: type[Any], stored: Mapping[str, Any]) -> Any:
    """By ``__init__``, so that fields which are new since then get their defaults; what it does not take is set after it."""
    late = {field.name for field in dataclasses.fields(cls) if not field.init}
    made = cls(**{name: value for name, value in stored.items() if name not in late})
    for name in late & stored.keys():
        object.__setattr__(made, name, stored[name])  # a frozen one too
    return made
