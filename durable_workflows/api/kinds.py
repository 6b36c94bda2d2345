"""What values of requests can be: for each kind its JSON Schema, and the check by which one is taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, datetime
from functools import partial
from typing import Any

from durable_workflows import filtering, options
from durable_workflows.bodies import read_json
from durable_workflows.exceptions import InvalidUse
from durable_workflows.queues import NAME_MAX_LENGTH, valid_name
from durable_workflows.serializers.wire import MAX_DEPTH, TAG
from durable_workflows.texts import LONGEST, valid_text

Schema = Mapping[str, Any]
MOST = 2**31 - 1
AT_ONCE = 500  # runs whose rows are locked by one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    :param schema: as JSON Schema has it.
    :param check: takes a value out of JSON, and what it is for messages; returns it as it is used, or raises ``InvalidUse``.
    :param read: the same value out of the text of a query.
    """

    schema: Schema
    check: Callable[[Any, str], Any]
    read: Callable[[str, str], Any] = lambda text, what: text


def _text(value: Any, what: str, longest: int = LONGEST) -> str:
    return valid_text(value, what, longest)


def _filled(value: Any, what: str, longest: int = LONGEST) -> str:
    if not _text(value, what, longest).strip():
        raise InvalidUse(f"{what} must not be empty or blank.")
    return str(value)


def _whole(value: Any, what: str, least: int = 0, most: int = MOST) -> int:
    if type(value) is not int or not least <= value <= most:
        raise InvalidUse(f"{what} is a whole number from {least} to {most}.")
    return value


def _read_whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidUse(f"{what} is a whole number, not {text!r:.80}.")
    return int(text)


def _flag(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidUse(f"{what} is true or false.")
    return value


def _read_flag(text: str, what: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise InvalidUse(f"{what} is true or false, not {text!r:.80}.")
    return text in ("true", "1")


def _moment(value: Any, what: str) -> datetime:
    found = filtering.moment(value, what) if isinstance(value, str) else None
    if found is None or found.year >= MAXYEAR:
        raise InvalidUse(f"{what} is a moment before the year {MAXYEAR} as ISO 8601 text; without an offset it is in UTC.")
    return found


def _read_moment(text: str, what: str) -> str:
    return text.replace(" ", "+")  # an offset that was not encoded: in a query a plus sign stands for a blank


def _one_of(value: Any, what: str, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise InvalidUse(f"{what} is one of {', '.join(choices)}, not {value!r:.80}.")
    return value


def plain(value: Any, what: str) -> Any:
    """``value`` itself, when it is plain JSON. Raises ``InvalidUse`` for a tag of the stored form: names build no types."""
    todo = [value]
    for node in todo:
        if isinstance(node, dict):
            if TAG in node:
                raise InvalidUse(
                    f"{what} has an object with the key {TAG!r}, which marks a typed value in what is stored. The API takes"
                    " plain JSON: send a number or a text, and let the workflow make of it what it needs."
                )
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return value


def not_too_deep(value: Any, what: str) -> Any:
    """``value`` itself, when it is nested no deeper than what can be stored, with room for what it is put into."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            part
            for node in level
            if isinstance(node, (dict, list))
            for part in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return value
    raise InvalidUse(f"{what} is nested deeper than {MAX_DEPTH} levels.")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidUse(f"{what} is an object.")
    return value


def _plain_object(value: Any, what: str) -> dict[str, Any]:
    return plain(_object(value, what), what)  # type: ignore[no-any-return]  # it is the same


def _read_object(text: str, what: str) -> Any:
    return not_too_deep(read_json(text.encode("utf-8", "replace")), what)


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidUse(f"{what} is a list.")
    return plain(value, what)  # type: ignore[no-any-return]  # it is the same


def _id(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidUse(f"{what} is a text.")
    return options.valid_id(value)


def _ids(value: Any, what: str) -> list[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= AT_ONCE:
        raise InvalidUse(f"{what} is a list of 1 to {AT_ONCE} ids.")
    return [_id(each, what) for each in value]


def _pairs_of_ids(value: Any, what: str) -> dict[str, str]:
    if len(_object(value, what)) > AT_ONCE:
        raise InvalidUse(f"{what} has at most {AT_ONCE} ids.")
    return {_id(old, what): _id(new, what) for old, new in value.items()}


def text(longest: int = LONGEST) -> Kind:
    """A text that may be empty."""
    return Kind(schema={"type": "string", "maxLength": longest}, check=partial(_text, longest=longest))


def filled(longest: int = LONGEST) -> Kind:
    """A text that says something."""
    schema = {"type": "string", "minLength": 1, "maxLength": longest}
    return Kind(schema=schema, check=partial(_filled, longest=longest))


def whole(least: int, most: int = MOST) -> Kind:
    """A whole number."""
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(schema=schema, check=partial(_whole, least=least, most=most), read=_read_whole)


def choice(*choices: str) -> Kind:
    """One of a few words."""
    return Kind(schema={"type": "string", "enum": list(choices)}, check=partial(_one_of, choices=choices))


_ID_SCHEMA: Schema = {"type": "string", "minLength": 1, "maxLength": options.ID_MAX_LENGTH}

ID = Kind(schema=_ID_SCHEMA, check=_id)
IDS = Kind(schema={"type": "array", "items": _ID_SCHEMA, "minItems": 1, "maxItems": AT_ONCE}, check=_ids)
PAIRS_OF_IDS = Kind(
    schema={"type": "object", "additionalProperties": _ID_SCHEMA, "maxProperties": AT_ONCE}, check=_pairs_of_ids
)
QUEUE = Kind(
    schema={"type": "string", "minLength": 1, "maxLength": NAME_MAX_LENGTH},
    check=lambda value, what: valid_name(_text(value, what)),
)
FLAG = Kind(schema={"type": "boolean"}, check=_flag, read=_read_flag)
MOMENT = Kind(schema={"type": "string", "format": "date-time"}, check=_moment, read=_read_moment)
SECONDS = Kind(schema={"type": "number", "minimum": 0, "exclusiveMaximum": options.TOO_LONG}, check=options.valid_seconds)
TIMEOUT = Kind(
    schema={"type": ["number", "null"], "exclusiveMinimum": 0, "exclusiveMaximum": options.TOO_LONG},
    check=lambda value, what: options.valid_timeout(value),
)
ANY = Kind(schema={}, check=plain)
LIST = Kind(schema={"type": "array"}, check=_list)
OBJECT = Kind(schema={"type": "object"}, check=_plain_object, read=_read_object)
ATTRIBUTES = Kind(schema={"type": "object"}, check=_object, read=_read_object)


def dumped(value: Any) -> str:
    """A value as it stands in an answer; moments are ISO 8601 text, microseconds included."""
    return json.dumps(value, default=_as_text)


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
