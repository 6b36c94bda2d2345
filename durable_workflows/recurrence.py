"""
What a schedule is made of, checked: the one value that the public functions, the admin's form and the rows go through.

A row that somebody edited by hand is made into this value before it is fired, so what is refused when a schedule is
created is refused there too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from durable_workflows.definitions import NAME_MAX_LENGTH, Workflow
from durable_workflows.exceptions import InvalidUse
from durable_workflows.queues import options_target, valid_name
from durable_workflows.schedules import CronSchedule, IntervalSchedule, Timetable
from durable_workflows.schedules.intervals import LONGEST, shown_number
from durable_workflows.serializers import dumps
from durable_workflows.texts import valid_text

CATCH_UP, OVERLAP = ("skip", "last", "all"), ("allow", "skip")
FIRST_YEAR, LAST_YEAR = 1900, 9998  # what every database and every time zone can show


@dataclass(frozen=True, slots=True)
class ScheduleInput:
    """
    A schedule as ``create_schedule`` and ``apply_schedules`` take it; see there for the fields.

    :raises InvalidUse: if a field is not what it should be; the message says which, and what it takes.
    :raises NotSerializable: if the context cannot be stored.
    """

    name: str
    workflow: Callable[..., Any] | str
    cron: str | None = None
    context: Any = None
    timezone: str | None = None
    catch_up: Literal["skip", "last", "all"] = "skip"
    queue: str | None = None
    _: KW_ONLY
    overlap: Literal["allow", "skip"] = "allow"
    interval_seconds: float | None = None
    jitter_seconds: float = 0.0
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        valid_schedule_name(self.name)
        self._check_workflow()
        for name, allowed in (("catch_up", CATCH_UP), ("overlap", OVERLAP)):
            if getattr(self, name) not in allowed:
                raise InvalidUse(f"{name} is {' or '.join(map(repr, allowed))}, not {getattr(self, name)!r:.80}.")
        if self.queue is not None:
            valid_name(self.queue)
        self._check_dates()
        self._check_ticks()
        dumps(self.context, what=f"context of schedule {self.name!r}")

    def _check_workflow(self) -> None:
        target = options_target(self.workflow)
        if isinstance(target, str):
            if not target.strip():
                raise InvalidUse("A schedule starts a workflow: give the function, or its name, which is not blank.")
        elif not isinstance(target, Workflow):
            raise InvalidUse(f"A schedule starts a workflow, and {target.name!r} is a step. Decorate it with @workflow.")

    def _check_dates(self) -> None:
        for name in ("starts_at", "ends_at"):
            moment = getattr(self, name)
            if moment is not None and not _is_shown_everywhere(moment):
                raise InvalidUse(f"{name} is an aware datetime of the years {FIRST_YEAR} to {LAST_YEAR}, not {moment!r:.80}.")
        if self.starts_at is not None and self.ends_at is not None and self.ends_at < self.starts_at:
            raise InvalidUse(
                f"The schedule ends at {self.ends_at.isoformat()}, before it starts: {self.starts_at.isoformat()}."
            )

    def _check_ticks(self) -> None:
        if (self.cron is None) == (self.interval_seconds is None):
            raise InvalidUse(
                "A schedule has either a cron expression or interval_seconds, "
                + ("and was given neither." if self.cron is None else "not both: two schedules can start one workflow.")
            )
        _check_jitter(self.jitter_seconds)
        self.timetable(datetime.fromisoformat("2024-01-01T00:00:00+00:00"))  # which anchor makes no difference

    @property
    def workflow_name(self) -> str:
        """What rows call the workflow."""
        target = options_target(self.workflow)
        return target if isinstance(target, str) else target.name

    def timetable(self, anchor: datetime) -> Timetable:
        """
        The ticks.

        :param anchor: what an interval counts from if the schedule has no ``starts_at``.
        """
        zone = "UTC" if self.timezone is None else self.timezone
        ticks: CronSchedule | IntervalSchedule = CronSchedule("0 0 * * *" if self.cron is None else self.cron, zone)
        if self.interval_seconds is not None:
            ticks = IntervalSchedule(self.interval_seconds, self.starts_at or anchor)
        return Timetable(
            name=self.name, ticks=ticks, jitter=timedelta(seconds=self.jitter_seconds), starts_at=self.starts_at,
            ends_at=self.ends_at,
        )  # fmt: skip

    def columns(self) -> dict[str, Any]:
        """The declared part of its row, but for the context."""
        same = ("cron", "catch_up", "queue", "overlap", "starts_at", "ends_at")
        return {
            **{name: getattr(self, name) for name in same},
            "workflow_name": self.workflow_name,
            "timezone": "UTC" if self.timezone is None else self.timezone,
            "interval_seconds": None if self.interval_seconds is None else float(self.interval_seconds),
            "jitter_seconds": float(self.jitter_seconds),
        }

    def stored_context(self) -> str | None:
        """The context as its row holds it."""
        return None if self.context is None else dumps(self.context, what=f"context of schedule {self.name!r}")


def schedule_input(given: Any) -> ScheduleInput:
    """
    ``given`` itself, or the value that a mapping describes.

    :raises InvalidUse: if it is neither, or has other keys than there are fields.
    """
    if isinstance(given, ScheduleInput):
        return given
    known = [field.name for field in fields(ScheduleInput)]
    if not isinstance(given, Mapping) or not {"name", "workflow"} <= set(given) <= set(known):
        raise InvalidUse(
            f"A schedule to apply is a ScheduleInput, or a dict with name and workflow and any of {', '.join(known[2:])};"
            f" not {given!r:.200}."
        )
    return ScheduleInput(**cast("Mapping[str, Any]", given))


def valid_schedule_name(name: str) -> str:
    """``name`` itself, when it can name a schedule. Raises ``InvalidUse``."""
    if not valid_text(name, "The name of a schedule", NAME_MAX_LENGTH).strip():
        raise InvalidUse("The name of a schedule must not be empty or blank.")
    return name


def _is_shown_everywhere(moment: object) -> bool:
    return isinstance(moment, datetime) and moment.utcoffset() is not None and FIRST_YEAR <= moment.year <= LAST_YEAR


def _check_jitter(seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= LONGEST:
        raise InvalidUse(f"jitter_seconds is a number of seconds from 0 to {LONGEST:,.0f}, not {shown_number(seconds)}.")
