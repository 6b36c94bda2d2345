"""The decoder: from what JSON knows back to values, or an error that says which name is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db import Error as DjangoDatabaseError
from django.db.models import Model

from durable_workflows.exceptions import PayloadCorrupted, PayloadErased
from durable_workflows.serializers.references import Reference, rows_of
from durable_workflows.serializers.registered import Registered, types
from durable_workflows.serializers.scalars import BY_TAG
from durable_workflows.serializers.wire import DATABASE, ERASED, NAME, TAG, VALUE

Node = dict[str, Any]

# What taking apart something that the encoder never wrote may raise.
_DAMAGE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class Decoder:
    """
    Decodes one payload.

    :param what: what is read, for errors: "result of step 'charge'".
    :param root: the parsed JSON.
    :param other: decodes the tags that nothing else knows, by tag.
    :param read: rows that model instances in it may come back as, see ``rows_for``; others are looked for.
    """

    def __init__(
        self,
        what: str,
        root: Any,
        other: dict[str, Callable[[Any], Any]] | None = None,
        *,
        read: Mapping[Reference, Model] | None = None,
    ) -> None:
        self._what = what
        self._root = root
        self._other = other or {}
        self._read = read or {}
        self._rows: dict[Reference, Model] | None = None

    def decode(self) -> Any:
        """
        The value.

        :raises PayloadCorrupted: if it cannot be read; the message says why and what to do.
        """
        return self._value(self._root)

    def _value(self, node: Any) -> Any:
        if type(node) is list:
            return [self._value(item) for item in node]
        if type(node) is not dict:
            return node
        return self._tagged(node) if TAG in node else self._items(node)

    def _items(self, node: Node) -> dict[str, Any]:
        return {key: self._value(item) for key, item in node.items()}

    def _tagged(self, node: Node) -> Any:
        tag = node[TAG]
        try:
            if tag in BY_TAG:
                return BY_TAG[tag].decode(node[VALUE])
            if tag in self._other:
                return self._other[tag](node[VALUE])
            if tag in _TAGS:
                return _TAGS[tag](self, node)
        except _DAMAGE as error:
            raise self._corrupted(f"a value with the tag {tag!r} is damaged ({type(error).__name__}: {error}).") from error
        if tag == ERASED:
            raise PayloadErased(f"Cannot read the {self._what}: it was erased, as somebody had asked, and is gone for good.")
        raise self._corrupted(f"it has the tag {tag!r}, which this version does not know. Was it written by a newer one?")

    def _corrupted(self, reason: str) -> PayloadCorrupted:
        return corrupted(self._what, reason)

    def _tuple(self, node: Node) -> tuple[Any, ...]:
        return tuple(self._list(node))

    def _set(self, node: Node) -> set[Any]:
        return set(self._list(node))

    def _frozenset(self, node: Node) -> frozenset[Any]:
        return frozenset(self._list(node))

    def _list(self, node: Node) -> list[Any]:
        if type(node[VALUE]) is not list:
            raise TypeError("its items are no list")
        return [self._value(item) for item in node[VALUE]]

    def _dict(self, node: Node) -> dict[str, Any]:
        return self._items(node[VALUE])

    def _registered(self, node: Node) -> Any:
        name = node[NAME]
        entry = types.for_name(name)
        if entry is None:
            raise self._corrupted(
                f"it holds a value of the registered type {name!r}, which this process does not know. Register it, by"
                f" register_type(..., name={name!r}) or in the annotations of a workflow or step, where the workers import it."
            )
        return self._built(entry, self._value(node[VALUE]))

    def _built(self, entry: Registered, parts: Any) -> Any:
        try:
            return entry.shape.decode(parts)
        except DjangoDatabaseError:  # the database's trouble, not the payload's
            raise
        except Exception as error:
            raise self._corrupted(
                f"a value of the registered type {entry.name!r} cannot be rebuilt ({type(error).__name__}: {error}). Did the"
                " class change? Pass a decode to register_type that reads the earlier form too."
            ) from error

    def _model(self, node: Node) -> Model:
        reference = self._reference(node)
        if reference in self._read:
            return self._read[reference]
        if self._rows is None:  # all of the payload at once, not a query for each
            self._rows = rows_of(self._reference(found) for found in _model_nodes(self._root))
        if reference not in self._rows:
            raise self._corrupted(
                f"it refers to the {reference.label} with the key {reference.pk!r} in the database {reference.alias!r},"
                " and that row does not exist any more. Rows travel as references: keep the row, or pass what you need of it."
            )
        return self._rows[reference]

    def _reference(self, node: Node) -> Reference:
        return Reference(node[NAME], self._value(node[VALUE]), node.get(DATABASE, DEFAULT_DB_ALIAS))


def rows_for(roots: Iterable[Any]) -> dict[Reference, Model]:
    """What the model instances in several parsed payloads come back as, by one query for each model; damage is left out."""
    by_model: defaultdict[tuple[str, str], set[Reference]] = defaultdict(set)
    for root in roots:
        decoder = Decoder("payload", root)
        with suppress(*_DAMAGE, PayloadCorrupted):
            for reference in map(decoder._reference, _model_nodes(root)):
                by_model[reference.label, reference.alias].add(reference)
    read: dict[Reference, Model] = {}
    for references in by_model.values():
        with suppress(*_DAMAGE):
            read |= rows_of(references)
    return read


def corrupted(what: str, reason: str) -> PayloadCorrupted:
    """The error for a payload that cannot be read."""
    return PayloadCorrupted(f"Cannot read the {what}: {reason}")


def _model_nodes(root: Any) -> Iterator[Node]:
    todo = [root]
    for node in todo:
        if type(node) is list:
            todo += node
        elif type(node) is not dict:
            continue
        elif node.get(TAG) == "model":
            yield node
        elif node.get(TAG) == "dict":  # its items are a user's, though one may look like a tag
            todo += node[VALUE].values()
        else:
            todo += node.values()


_TAGS: dict[str, Callable[[Decoder, Node], Any]] = {
    "tuple": Decoder._tuple,
    "set": Decoder._set,
    "frozenset": Decoder._frozenset,
    "dict": Decoder._dict,
    "type": Decoder._registered,
    "model": Decoder._model,
}
