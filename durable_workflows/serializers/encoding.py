"""The encoder: from values to what JSON knows, or a refusal that names the place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, NoReturn

from django.db import DEFAULT_DB_ALIAS
from django.db import Error as DjangoDatabaseError
from django.db.models import Model
from django.utils.safestring import SafeString

from durable_workflows.serializers.references import reference_to
from durable_workflows.serializers.refusals import Field, not_serializable, refusal, too_large
from durable_workflows.serializers.registered import Registered, types
from durable_workflows.serializers.scalars import BY_KIND
from durable_workflows.serializers.wire import DATABASE, MAX_DEPTH, NAME, TAG, VALUE, Unfit, is_short, is_text

_HALF = "half of a surrogate pair, which is no text"
_WHOLE = "Pass bytes, or decode with errors='replace'."


class Encoder:
    """
    Encodes one payload.

    :param what: what is stored, for errors: "result of step 'charge'".
    :param limit: the most characters the JSON may take. Counted low while encoding: a small list that holds another one
        a thousand times, and so on, must not fill the memory before its text can be measured.
    :param other: encodes what nothing else knows, or returns None to have it refused.
    """

    def __init__(self, what: str, limit: int, other: Callable[[Any], Any] | None = None) -> None:
        self._what = what
        self._limit = self._room = limit
        self._other = other
        self._path: list[Any] = []
        self._parents: list[object] = []

    def encode(self, value: Any) -> Any:
        """
        What stands for ``value`` in JSON.

        :raises NotSerializable: if it would not come back as what it is.
        :raises PayloadTooLarge: if it is certain to pass the limit.
        """
        kind = type(value)
        if kind in _NATIVE:
            return _NATIVE[kind](self, value)
        if kind in BY_KIND:
            return self._scalar(value)
        if entry := types.for_class(kind):
            return self._registered(value, entry)
        if isinstance(value, Model):
            return self._reference(value)
        found = self._other(value) if self._other else None
        return self._refuse(value, *refusal(value)) if found is None else found

    def _refuse(self, value: object, reason: str, cure: str, *, cause: Exception | None = None) -> NoReturn:
        raise not_serializable(self._what, self._path, value, (reason, cure)) from cause

    def _take(self, room: int) -> None:
        self._room -= room
        if self._room < 0:
            raise too_large(self._what, f"more than {self._limit}", self._limit)

    def _as_is(self, value: object) -> object:
        return value

    def _int(self, value: int) -> Any:
        return value if is_short(value) else self._scalar(value)

    def _float(self, value: float) -> float:
        if not isfinite(value):
            self._refuse(value, f"is {value}, which JSON does not know", "Pass None, or a text that says so.")
        return value

    def _str(self, value: str) -> str:
        self._take(len(value))
        if not is_text(value):
            self._refuse(value, f"holds {_HALF}", _WHOLE)
        return value

    def _safe_str(self, value: SafeString) -> str:
        """Safe for HTML or not is a question of the page that shows it; the text comes back as ``str``."""
        return self._str(str.__str__(value))

    def _list(self, value: list[Any]) -> list[Any]:
        return self._children(value, enumerate(value))

    def _sequence(self, value: tuple[Any, ...]) -> Any:
        return {TAG: type(value).__name__, VALUE: self._children(value, enumerate(value))}

    def _set(self, value: Iterable[Any]) -> Any:
        """In an order of its own: that of a set differs from process to process."""
        items = self._children(value, ((Field("item"), item) for item in value))
        return {TAG: type(value).__name__, VALUE: sorted(items, key=repr)}

    def _dict(self, value: dict[Any, Any]) -> Any:
        for key in value:
            if type(key) is not str:
                reason = f"has a key of the type {type(key).__qualname__}, and JSON knows only str"
                self._refuse(value, reason, "Use str keys, or a list of pairs.")
            if not is_text(key):
                self._refuse(value, f"has a key with {_HALF}", _WHOLE)
            self._take(len(key))
        coded = dict(zip(value, self._children(value, value.items()), strict=True))
        return {TAG: "dict", VALUE: coded} if TAG in value else coded

    def _children(self, parent: Any, items: Iterable[tuple[Any, Any]]) -> list[Any]:
        """The parts of ``parent``, encoded, each under its step of the path."""
        if len(self._parents) >= MAX_DEPTH:
            self._refuse_depth(parent)
        self._parents.append(parent)
        coded = []
        for step, item in items:
            self._take(1)
            self._path.append(step)
            coded.append(self.encode(item))
            self._path.pop()
        self._parents.pop()
        return coded

    def _refuse_depth(self, value: object) -> NoReturn:
        if any(value is parent for parent in self._parents):
            self._refuse(value, "contains itself", "Pass data without cycles.")
        self._refuse(value, f"is nested deeper than {MAX_DEPTH} levels", "Pass flatter data, or a text.")

    def _scalar(self, value: Any) -> Any:
        scalar = BY_KIND[type(value)]
        try:
            return {TAG: scalar.tag, VALUE: scalar.encode(value)}
        except Unfit as error:
            self._refuse(value, str(error), "Pass it in a form that comes back, such as a text.")

    def _reference(self, value: Model) -> Any:
        try:
            label, pk, alias = reference_to(value)
        except Unfit as error:
            self._refuse(value, str(error), "Rows travel as references and are read again; pass plain data otherwise.")
        coded = {TAG: "model", NAME: label, VALUE: self._children(value, [(Field("pk"), pk)])[0]}
        return coded if alias == DEFAULT_DB_ALIAS else coded | {DATABASE: alias}

    def _registered(self, value: Any, entry: Registered) -> Any:
        parts = self._taken_apart(value, entry)
        if entry.shape.has_fields:
            steps = ((Field(name), part) for name, part in parts.items())
            coded: Any = dict(zip(parts, self._children(value, steps), strict=True))
        else:
            [coded] = self._children(value, [(Field(), parts)])
        return {TAG: "type", NAME: entry.name, VALUE: coded}

    def _taken_apart(self, value: Any, entry: Registered) -> Any:
        cure = f"Call register_type({type(value).__qualname__}, encode=..., decode=...) with functions that are inverses."
        try:
            return entry.shape.encode(value)
        except Unfit as error:
            self._refuse(value, str(error), cure, cause=error)
        except DjangoDatabaseError:  # the database's trouble, which may pass
            raise
        except Exception as error:  # noqa: BLE001  the user's own code
            self._refuse(value, f"could not be encoded ({type(error).__name__}: {error})", cure, cause=error)


_NATIVE: dict[type, Callable[[Encoder, Any], Any]] = {
    type(None): Encoder._as_is,
    bool: Encoder._as_is,
    int: Encoder._int,
    float: Encoder._float,
    str: Encoder._str,
    SafeString: Encoder._safe_str,
    list: Encoder._list,
    tuple: Encoder._sequence,
    set: Encoder._set,
    frozenset: Encoder._set,
    dict: Encoder._dict,
}
