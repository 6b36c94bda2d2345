"""
Exceptions out of rows, as their own class where that is safe, and as text always.

Nothing is imported for a row, and no class's own ``__init__`` or ``__new__`` is called with what a row holds: CVE-2021-23727
(Celery) was a row that named a function as its exception class. The builtin exception behind the class makes the instance,
and its attributes are put back.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import Error as DjangoDatabaseError

from durable_workflows.serializers.decoding import Decoder
from durable_workflows.serializers.errors import Origin, Record
from durable_workflows.serializers.wire import from_json, unpack

_WHAT = "attribute of an exception"


class ErrorSummary(NamedTuple):
    """A recorded exception as text that can be shown."""

    type: str
    message: str
    traceback: str


def load_error(text: str) -> BaseException | None:
    """
    The exception that ``dump_error`` recorded, or None if it cannot come back as its own class with the same ``str()``.

    It can if a module that is loaded already has an ``Exception`` class of its name, if its arguments survived as far as its
    message needs them, and if it was not clipped. Attributes that were not serialisable are missing. An exception within it
    whose own class is not loaded is replaced by a plain ``Exception`` with type and message. Compare the answer with
    None: an exception may be false.

    :param text: what a row holds.
    :raises django.db.Error: if a model instance among its attributes cannot be read now.
    """
    try:
        return _Reviver().revive(from_json(unpack(text)))
    except DjangoDatabaseError:
        raise
    except Exception:  # noqa: BLE001  a damaged record, or the class's own __str__
        return None


def error_summary(text: str) -> ErrorSummary:
    """
    Type, message and traceback of a recorded exception, for pages, logs and ``WorkflowFailed``. Never raises.

    :param text: what a row holds.
    """
    try:
        record = from_json(unpack(text))
        module, name = record["type"]
        kind = name if module == "builtins" else f"{module}.{name}"
        return ErrorSummary(*map(_shown, (kind, record["message"], record.get("traceback", ""))))
    except Exception:  # noqa: BLE001  whatever is wrong with the row, the page about it must work
        return ErrorSummary("(unreadable)", f"The recorded error cannot be read: {_shown(str(text))[:500]}", "")


def origin_of(text: str) -> Origin | None:
    """
    From where a retry of a run is to go on that failed with this error; None if no step of it failed. Never raises.

    :param text: what a row holds.
    """
    try:
        record = from_json(unpack(text))
        step, undone = record["step"], record["undone"]
    except Exception:  # noqa: BLE001  whatever is wrong with the row, a retry begins where there is no doubt: at its end
        return None
    return Origin(step, bool(undone)) if type(step) is int and step > 0 else None


def _shown(text: str) -> str:
    """Without halves of surrogate pairs, which no page, log or column takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class _Reviver:
    """Rebuilds one exception, and those within it."""

    def __init__(self) -> None:
        self._stack: list[BaseException] = []

    def revive(self, record: Record) -> Exception:
        """
        :raises Exception: any, if that is not possible.
        """
        if record.get("clipped"):
            raise LookupError("only its texts are left")
        made = _blank(_exception_class(*record["type"]), self._values(record.get("args", [record["message"]])))
        self._stack.append(made)
        try:
            self._fill(made, record)
        finally:
            self._stack.pop()
        if str(made) != record["message"]:
            raise ValueError("it would say something else")
        return made

    def _fill(self, made: Exception, record: Record) -> None:
        attributes = {name: self._values(value) for name, value in record.get("attrs", {}).items()}
        object.__getattribute__(made, "__dict__").update(attributes)
        if "cause" in record:
            made.__cause__ = self._inner(record["cause"])

    def _values(self, coded: Any) -> Any:
        return Decoder(_WHAT, coded, {"error": self._inner}).decode()

    def _inner(self, record: Record | int) -> BaseException:
        if isinstance(record, int):
            return self._stack[record]
        try:
            return self.revive(record)
        except DjangoDatabaseError:
            raise
        except Exception:  # noqa: BLE001  the outer one is worth having without
            return Exception(f"{'.'.join(record['type'])}: {record['message']}")


def _exception_class(module: str, qualname: str) -> type[Exception]:
    """
    The class of this name in a module that is loaded, looked up without asking any ``__getattr__``: that may import.

    :raises LookupError: if there is none, or it is something else than a class of ``Exception``.
    """
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = object.__getattribute__(found, "__dict__")[name]
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    raise LookupError(f"{module}.{qualname} is no exception class")


def _blank(cls: type[Exception], arguments: Sequence[Any]) -> Exception:
    """An instance, made by the builtin class behind ``cls`` that decides what is in its C part."""
    builtin: Any = cls
    while builtin.__module__ != "builtins":
        builtin = builtin.__base__
    made = builtin.__new__(cls, *arguments)
    builtin.__init__(made, *arguments)
    if type(made) is not cls:
        raise TypeError("the builtin made another class of it")
    return made
