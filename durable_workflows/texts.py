"""What every database can store as a short text, checked before it meets one: PostgreSQL's refusal would end a transaction."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from durable_workflows.exceptions import InvalidUse, NotSerializable

LONGEST = 255

_unstorable = re.compile("[\0\ud800-\udfff]")


def valid_text(value: Any, what: str, longest: int = LONGEST) -> str:
    """
    ``value`` itself, when a column can hold it.

    :param what: what it is, at the beginning of a sentence.
    :raises InvalidUse: if it is no str, too long, or holds a NUL or half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise InvalidUse(f"{what} is a str, not {type(value).__name__}.")
    if len(value) > longest:
        raise InvalidUse(f"{what} has at most {longest} characters; this one has {len(value)}.")
    if _unstorable.search(value):
        raise InvalidUse(f"{what} must not contain a NUL character, nor half of a surrogate pair: {value!r:.80}.")
    return value


def valid_json(value: Any, what: str) -> Any:
    """
    ``value`` as JSON reads it back, a copy.

    :raises NotSerializable: if it is not strictly JSON, or holds a text that cannot be stored.
    """
    try:
        copy = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializable(
            f"{what} are JSON values, and these are not: {error}. Give str, numbers, lists and dicts."
        ) from None
    if any(_unstorable.search(text) for text in _texts(copy)):
        raise NotSerializable(f"{what} must not contain a NUL character, nor half of a surrogate pair.")
    return copy


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
