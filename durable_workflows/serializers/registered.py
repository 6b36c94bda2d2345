"""Classes that users allow into payloads: ``register_type``, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any, TypeVar

from durable_workflows.exceptions import InvalidUse, RegistrationConflict
from durable_workflows.serializers.scalars import BY_KIND
from durable_workflows.serializers.shapes import Shape, has_shape, shape_of

T = TypeVar("T")

_OURS = {*BY_KIND, type(None), bool, float, str, list, dict, tuple, set, frozenset}


@dataclass(frozen=True, slots=True)
class Registered:
    """One class under one name; rows hold the name."""

    name: str
    cls: type
    shape: Shape


class Types:
    """The registered classes by name and by class, and where to look for more when one is missing."""

    def __init__(self) -> None:
        self._by_name: dict[str, Registered] = {}
        self._by_class: dict[type, Registered] = {}
        self._unread: list[Callable[[], bool]] = []
        self._lock = RLock()

    def register(self, entry: Registered) -> None:
        """
        Allow a class, and write it under this name from now on; its earlier names are still read.

        :raises RegistrationConflict: if another class has the name. The same module and qualname is the same class:
            autoreload and notebooks define it anew.
        """
        with self._lock:
            taken = self._by_name.get(entry.name)
            if taken and path_of(taken.cls) != path_of(entry.cls):
                raise RegistrationConflict(entry.name, path_of(taken.cls), path_of(entry.cls))
            self._by_name[entry.name] = self._by_class[entry.cls] = entry

    def offer(self, cls: type) -> None:
        """Allow a class under its own path, unless somebody said otherwise or it cannot be rebuilt."""
        with self._lock:
            taken = self._by_name.get(path_of(cls))
            if taken and (taken.cls is cls or path_of(taken.cls) != path_of(cls)):
                return
            try:
                entry = entry_for(cls, path_of(cls))
            except InvalidUse:  # said again, to its author, by register_type
                return
            self._by_name[entry.name] = entry
            self._by_class.setdefault(cls, entry)

    def look_later(self, look: Callable[[], bool]) -> None:
        """Call ``look`` when a class is missing; it offers what it finds, and says whether that was all."""
        with self._lock:
            self._unread.append(look)

    def for_class(self, cls: type) -> Registered | None:
        """How instances of exactly this class are written."""
        found = self._by_class.get(cls)
        if found is None and has_shape(cls):
            self._look()
            found = self._by_class.get(cls)
        return found

    def for_name(self, name: str) -> Registered | None:
        """How what was written under this name is read."""
        if name not in self._by_name:
            self._look()
        return self._by_name.get(name)

    def _look(self) -> None:
        with self._lock:
            looks, self._unread = self._unread, []
            self._unread += [look for look in looks if not look()]


types = Types()


def register_type(
    cls: type[T],
    name: str | None = None,
    encode: Callable[[T], Any] | None = None,
    decode: Callable[[Any], T] | None = None,
) -> type[T]:
    """
    Allow instances of a class as arguments, results, messages and events. Also usable as a bare decorator.

    Enums, dataclasses and pydantic models need no more; those in the annotations of registered functions are found
    without this call. A dataclass is rebuilt by its ``__init__``, once when it is written too, to see that it comes back
    the same. Instances of subclasses are not covered: register those too.

    :param cls: the class.
    :param name: what rows call it, by default its module and qualname. Rows outlive code: give a name before the class
        moves. Registered again under a further name, instances are written under the newest and read under all.
    :param encode: takes an instance, returns anything that is serialisable itself.
    :param decode: takes what ``encode`` returned, returns an instance.
    :raises InvalidUse: if ``cls`` is no class or is serialisable by nature, if ``encode`` and ``decode`` are missing and it
        is neither Enum, dataclass nor pydantic model, or if a dataclass's ``__init__`` requires what no field holds.
    :raises RegistrationConflict: if the name belongs to another class.
    """
    if not isinstance(cls, type):
        raise InvalidUse(f"register_type() takes a class, not {cls!r}.")
    if cls in _OURS:
        raise InvalidUse(f"{cls.__qualname__} is serialisable by nature and cannot be registered.")
    if (encode is None) != (decode is None):
        raise InvalidUse(f"register_type({cls.__qualname__}): encode and decode are inverses, so pass both of them, or none.")
    shape = Shape(encode, decode) if encode and decode else None
    types.register(entry_for(cls, path_of(cls) if name is None else name, shape))
    return cls


def entry_for(cls: type, name: object, shape: Shape | None = None) -> Registered:
    """
    A checked entry; without ``shape``, that of the class itself.

    :raises InvalidUse: if the class has none, or the name is empty.
    """
    if not isinstance(name, str) or not name:
        raise InvalidUse(f"register_type({cls.__qualname__}): name must be a text that is not empty, not {name!r}.")
    shape = shape or shape_of(cls)
    if shape is None:
        raise InvalidUse(
            f"register_type({cls.__qualname__}): only an Enum, a dataclass or a pydantic model can be taken apart without"
            " help. Pass encode= and decode=."
        )
    return Registered(name, cls, shape)


def path_of(cls: type) -> str:
    """Module and qualname, with a dot between; of a builtin the name alone."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
