"""Values from elsewhere, each checked against the column that is to hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models import Field, Model

from durable_workflows.conf import config
from durable_workflows.exceptions import InvalidUse, NotSerializable
from durable_workflows.filtering import moment
from durable_workflows.models.archive import columns
from durable_workflows.models.histories import OF_ALL
from durable_workflows.options import TOO_LONG, valid_id
from durable_workflows.serializers import is_stored
from durable_workflows.texts import valid_json, valid_text

# What is counted, and counted on: far from the ends of its column, where one more would fail, with all of its batch.
COUNTS = {
    "attempt", "attempts", "recovery_attempts", "stalled", "tries", "fan_in", "generation", "retry_generation", "position",
    "consumed_position", "retry_step", "progress_mark", "offset", "from_offset",
}  # fmt: skip
MOST = 10**9
WORDS = ("note",)  # texts that are no payloads
FIRST_YEAR, LAST_YEAR = 1900, 9998


def mapping(given: Any, where: str, names: set[str], defaults: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """
    A dict with exactly these keys.

    :param defaults: what stands for those that are left out: columns which the exporting version did not have yet.
    :raises InvalidUse: if it is none.
    """
    if not isinstance(given, Mapping):
        raise InvalidUse(f"{where} is a dict, not {type(given).__name__}.")
    whole = {**(defaults or {}), **given}
    if wrong := {*whole} ^ names:
        lacking = sorted(names - {*whole})
        said = f"lacks {', '.join(lacking)}" if lacking else f"has {', '.join(map(str, wrong))[:200]}, which is not known"
        raise InvalidUse(f"{where} {said}. Export it anew, with the version that is to import it.")
    return whole


def defaults_of(model: type[Model]) -> dict[str, Any]:
    """The columns that need not be given, with what they hold then."""
    optional = {name: field for name, field in columns(model).items() if field.null or field.has_db_default()}
    return {name: field.db_default if field.has_db_default() else None for name, field in optional.items()}


def listed(given: Any, where: str) -> Sequence[Any]:
    """A list. Raises ``InvalidUse``."""
    if not isinstance(given, (list, tuple)):
        raise InvalidUse(f"{where} are a list, not {type(given).__name__}.")
    return given


def checked_row(model: type[Model], given: Mapping[str, Any], where: str, **known: Any) -> Any:
    """
    A row that was not written yet.

    :raises InvalidUse: if a column cannot hold what it is given.
    """
    values = {name: _checked(field, given[name], f"{where}: {name}") for name, field in columns(model).items()}
    return model(**values, **known)


def _checked(field: Field[Any, Any], given: Any, where: str) -> Any:
    if given is None:
        if not field.null:
            raise InvalidUse(f"Cannot import {where}: it must not be null.")
        return None
    for kind, check in _CHECKS:
        if isinstance(field, kind):
            value = check(field, given, where)
            break
    else:
        raise TypeError(f"There is no check for {field}.")
    if field.choices and value not in dict(field.flatchoices):
        raise InvalidUse(f"Cannot import {where}: {value!r:.80} is not one of {', '.join(map(str, dict(field.flatchoices)))}.")
    return value


def _id(field: Any, given: Any, where: str) -> str:
    return valid_id(given)


def _text(field: Any, given: Any, where: str) -> str:
    return valid_id(given) if field.primary_key else valid_text(given, where, field.max_length)


def _payload(field: Any, given: Any, where: str) -> str:
    limit = config().payload_max_bytes
    text = valid_text(given, where, limit)
    if field.name not in WORDS and (not text.isascii() or not is_stored(text)):
        raise InvalidUse(f"Cannot import {where}: it is no stored payload.")
    return text


def _whole(field: Any, given: Any, where: str) -> int:
    # Those of all vendors: SQLite's columns take more, which another one's workers could not read.
    least, most = BaseDatabaseOperations.integer_field_ranges[field.get_internal_type()]
    if field.name in COUNTS:
        least, most = -MOST if field.name == "generation" and field.model in OF_ALL else 0, MOST
    if type(given) is not int or not least <= given <= most:
        raise InvalidUse(f"Cannot import {where}: it is a whole number from {least} to {most}.")
    return given


def _number(field: Any, given: Any, where: str) -> float:
    above_zero = field.name == "timeout_seconds"
    if type(given) not in (int, float) or not 0 <= given < TOO_LONG or (above_zero and not given):
        least = "more than 0" if above_zero else "0"
        raise InvalidUse(f"Cannot import {where}: it is a number of seconds from {least} to under {TOO_LONG:,}.")
    return float(given)


def _flag(field: Any, given: Any, where: str) -> bool:
    if not isinstance(given, bool):
        raise InvalidUse(f"Cannot import {where}: it is true or false.")
    return given


def _moment(field: Any, given: Any, where: str) -> datetime:
    found = moment(given, where)
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise InvalidUse(f"Cannot import {where}: it lies between the years {FIRST_YEAR} and {LAST_YEAR}.")
    return found


def _json(field: Any, given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InvalidUse(f"Cannot import {where}: it is a dict with str keys.")
    try:
        found: dict[str, Any] = valid_json(dict(given), where)
    except NotSerializable as error:
        raise InvalidUse(f"Cannot import {where}: {error}") from None
    return found


Check = Callable[[Any, Any, str], Any]
_CHECKS: tuple[tuple[type[Any] | tuple[type[Any], ...], Check], ...] = (
    (models.ForeignKey, _id),
    (models.CharField, _text),
    (models.TextField, _payload),
    (models.BooleanField, _flag),
    (models.IntegerField, _whole),
    (models.FloatField, _number),
    (models.DateTimeField, _moment),
    (models.JSONField, _json),
)
