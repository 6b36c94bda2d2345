"""What answers are made of: declared once, by which they are described, and made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from durable_workflows.api.kinds import Schema


@dataclass(frozen=True, slots=True)
class Property:
    """One member of an object in an answer."""

    name: str
    schema: Schema
    about: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """
    An object in an answer: all of its members are always there.

    :param name: under which the document has it.
    :param parts: the shapes that its schemas refer to.
    """

    name: str
    about: str
    properties: Sequence[Property]
    parts: Sequence[Shape] = ()

    def of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The object, out of what was read."""
        return {each.name: row[each.name] for each in self.properties}

    def schema(self) -> dict[str, Any]:
        """As JSON Schema has it."""
        shown = {each.name: {**each.schema, **({"description": each.about} if each.about else {})} for each in self.properties}
        return {
            "type": "object", "description": self.about, "properties": shown, "required": list(shown),
            "additionalProperties": False,
        }  # fmt: skip

    def with_more(self, name: str, about: str, *more: Property) -> Shape:
        """An object that has these members too."""
        return Shape(name, about, [*self.properties, *more], self.parts)


TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
OBJECT: Schema = {"type": "object"}
ANY: Schema = {}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def reference(shape: Shape) -> Schema:
    """The schema of a shape, where the document has it."""
    return {"$ref": f"#/components/schemas/{shape.name}"}


def page_of(shape: Shape, key: str) -> Shape:
    """A page of such objects under a key, and where the next one begins."""
    items = Property(key, {"type": "array", "items": reference(shape)})
    following = Property("next", maybe(TEXT), "What `cursor` is to be for the next page; null: this is the last.")
    return Shape(f"{shape.name}Page", f"Some of the {key}.", [items, following], [shape])


PROBLEM = Shape(
    "Problem",
    "What went wrong, as in RFC 9457.",
    [
        Property("type", {"type": "string", "format": "uri"}, "Which problem it is; it never changes its meaning."),
        Property("title", TEXT),
        Property("status", WHOLE),
        Property("detail", TEXT, "What happened, and what to do."),
    ],
)
