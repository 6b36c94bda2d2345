"""Which runs somebody asks for: the filters of ``list_workflows``, checked, as one value for pages, commands and functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from durable_workflows.exceptions import InvalidUse, NotSerializable
from durable_workflows.states import RunState
from durable_workflows.texts import valid_json, valid_text

OneOrMany = str | Iterable[str]
Moment = datetime | str

MOST_ROWS = 2**31 - 1
# Values of one filter: what every database takes in one query, in which those of these two are conditions of their own.
MOST_VALUES, MOST_CONDITIONS = 1000, 200
WITH_CONDITIONS = ("executor_id", "workflow_id_prefix")
DEEPEST, MOST_PARTS = 8, 100  # of attributes that are asked for: what every database can still put into one query


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """
    What runs must be to fit; None: whatever. Of several values for one column any will do, of none nothing fits.

    Make it by ``run_filter``, which checks what it is given.
    """

    workflow_ids: tuple[str, ...] | None = None
    status: tuple[str, ...] | None = None
    name: tuple[str, ...] | None = None
    app_version: tuple[str, ...] | None = None
    executor_id: tuple[str, ...] | None = None
    queue_name: tuple[str, ...] | None = None
    workflow_id_prefix: tuple[str, ...] | None = None
    parent_workflow_id: tuple[str, ...] | None = None
    forked_from: tuple[str, ...] | None = None
    schedule_name: tuple[str, ...] | None = None
    user: tuple[str, ...] | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    completed_after: datetime | None = None
    completed_before: datetime | None = None
    has_parent: bool | None = None
    was_forked_from: bool | None = None
    attributes: Mapping[str, Any] | None = None
    limit: int | None = None
    offset: int = 0
    sort_desc: bool = False
    load_input: bool = True
    load_output: bool = True


TEXTS = (
    "workflow_ids", "status", "name", "app_version", "executor_id", "queue_name", "workflow_id_prefix", "parent_workflow_id",
    "forked_from", "schedule_name", "user",
)  # fmt: skip
MOMENTS = ("start_time", "end_time", "completed_after", "completed_before")
MAYBE = ("has_parent", "was_forked_from")
FLAGS = ("sort_desc", "load_input", "load_output")


def run_filter(given: Mapping[str, Any]) -> RunFilter:
    """
    A checked filter out of the parameters of ``list_workflows``; those left out, or None, ask for nothing.

    :raises InvalidUse: for a value that cannot be what it is.
    :raises TypeError: for a name that is no filter.
    """
    named = {name: value for name, value in given.items() if value is not None}
    checks: dict[str, Callable[[Any, str], Any]] = {
        **dict.fromkeys(TEXTS, _texts),
        **dict.fromkeys(MOMENTS, moment),
        **dict.fromkeys((*MAYBE, *FLAGS), _flag),
        "attributes": _attributes,
        "limit": valid_count,
        "offset": valid_count,
    }
    made = RunFilter(**{name: checks[name](value, name) if name in checks else value for name, value in named.items()})
    if unknown := [state for state in made.status or () if state not in RunState.values]:
        raise InvalidUse(f"The status of a run is one of {', '.join(RunState.values)}, not {unknown[0]!r:.80}.")
    return made


def _texts(given: Any, name: str) -> tuple[str, ...]:
    if isinstance(given, str):
        return (valid_text(given, f"The filter {name}"),)
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise InvalidUse(f"The filter {name} is a str or a list of them, not {type(given).__name__}.")
    most = MOST_CONDITIONS if name in WITH_CONDITIONS else MOST_VALUES
    values = tuple(islice(given, most + 1))
    if len(values) > most:
        raise InvalidUse(f"The filter {name} has more than {most:,} values. Ask for so many at a time.")
    return tuple(valid_text(text, f"The filter {name}") for text in values)


def moment(given: Any, name: str) -> datetime:
    """
    A moment as aware datetime in UTC.

    :param given: a datetime, or the same as ISO 8601 text; a naive one is in UTC.
    :param name: the parameter's.
    :raises InvalidUse: if it is neither.
    """
    try:
        found = datetime.fromisoformat(given) if isinstance(given, str) else given
        if isinstance(found, datetime):
            return found.replace(tzinfo=UTC) if found.utcoffset() is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidUse(f"{name} is a datetime, or one as ISO 8601 text, not {given!r:.80}.")


def _flag(given: Any, name: str) -> bool:
    if not isinstance(given, bool):
        raise InvalidUse(f"The filter {name} is True or False, not {given!r:.80}.")
    return given


def valid_count(given: Any, name: str) -> int:
    """``given`` itself, when so many rows can be asked for. Raises ``InvalidUse``."""
    if type(given) is not int or not 0 <= given <= MOST_ROWS:
        raise InvalidUse(f"{name} is a whole number from 0 to {MOST_ROWS}, not {type(given).__name__} {str(given)[:40]}.")
    return given


def _attributes(given: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InvalidUse("The filter attributes is a dict with str keys, of which all must be among a run's.")
    try:
        wanted: dict[str, Any] = valid_json(dict(given), "Attributes")
    except NotSerializable as error:
        raise InvalidUse(str(error)) from None
    if _parts(wanted, 1) > MOST_PARTS:
        raise InvalidUse(f"The filter attributes asks for more than {MOST_PARTS} things at once. Ask for fewer.")
    return wanted


def _parts(wanted: Any, level: int) -> int:
    """How many things must be looked for."""
    if level > DEEPEST:
        raise InvalidUse(f"The filter attributes is nested deeper than {DEEPEST} levels. Ask for something nearer to the top.")
    inner = wanted.values() if isinstance(wanted, dict) else wanted if isinstance(wanted, list) else ()
    return 1 + sum(_parts(part, level + 1) for part in inner)
